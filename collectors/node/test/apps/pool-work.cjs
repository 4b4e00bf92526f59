// Keeps threads of libuv's pool at work: by SIGUSR2 STUCK of them open a pipe that nobody writes to; by another one that ends,
// and HASHES of them hash. Prints each step. POOL is a size that the program itself sets.
const { execFileSync } = require("node:child_process");
const { pbkdf2 } = require("node:crypto");
const { closeSync, mkdtempSync, open, openSync, rmSync, writeSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

if (process.env.POOL !== undefined) process.env.UV_THREADPOOL_SIZE = process.env.POOL;
const directory = mkdtempSync(join(tmpdir(), "pool-work-"));
const fifo = join(directory, "fifo");
execFileSync("mkfifo", [fifo]);
process.on("exit", () => rmSync(directory, { recursive: true }));
const say = (step) => writeSync(1, `${step}\n`);
const free = () => closeSync(openSync(fifo, "r+"));

function stick() {
  for (let thread = 0; thread < Number(process.env.STUCK); thread++) open(fifo, "r", (_error, file) => closeSync(file));
  say("stuck");
}
function hash() {
  free();
  const again = () => pbkdf2("secret", "salt", 500_000, 64, "sha512", again);
  for (let thread = 0; thread < Number(process.env.HASHES); thread++) again();
  say("hashing");
}
const steps = [stick, hash];
process.on("SIGUSR2", () => steps.shift()?.());
process.on("SIGTERM", () => {
  free(); // a thread that is stuck would hold up the end
  process.exit();
});
say("ready");
setInterval(() => {}, 1000);
