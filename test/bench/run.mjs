/**
 * `node test/bench/run.mjs NAME [flags]`: sets up what is missing, then runs the bench or campaign `NAME.ts` of this folder.
 * What it installs and builds is told on stderr, so that stdout is the bench's own and its last line the JSON of `--json`.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Longer than our services take to end. */
const STOP_WITHIN_MS = 10_000;
const STOP_POLL_MS = 50;

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");
const [name = "", ...flags] = process.argv.slice(2);
const source = join(here, `${name}.ts`);
if (!/^[a-z-]+$/.test(name) || !existsSync(source)) {
  console.error(`test/bench has no '${name}': see the scripts of package.json.`);
  process.exit(2);
}

const setup = spawnSync(process.execPath, [join(root, "services", "tidemark", "setup", "setup.mjs"), "start"], {
  cwd: root,
  stdio: ["ignore", 2, 2],
});
if (setup.status !== 0) process.exit(setup.status ?? 1);

const { build } = await import("esbuild");
// Beside the source, so that import.meta.url means the same before and after the bundling.
const outfile = join(here, `.${name}.bundle.mjs`);
await build({
  entryPoints: [source],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  logLevel: "warning",
});
// A group of processes and a folder of its own: a bench that is stopped leaves neither services nor data behind.
const folder = mkdtempSync(join(tmpdir(), `tidemark-${name}-`));
const child = spawn(process.execPath, [outfile, ...flags], {
  stdio: "inherit",
  detached: true,
  env: { ...process.env, TMPDIR: folder },
});
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    stopped = true;
    signalGroup(signal);
  });
}
child.on("exit", async (code, signal) => {
  if (stopped) {
    signalGroup("SIGTERM");
    const deadline = Date.now() + STOP_WITHIN_MS;
    while (signalGroup(0) && Date.now() < deadline) await setTimeout(STOP_POLL_MS);
    signalGroup("SIGKILL");
  }
  // What a failed run keeps to be looked at stays.
  if (stopped || readdirSync(folder).length === 0) rmSync(folder, { recursive: true, force: true });
  process.exit(signal === null ? (code ?? 1) : 1);
});

/** Whether there was a process in the child's group to be sent `signal`. */
function signalGroup(signal) {
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}
