// What the agent costs at the start of a program: processor time until its imports are done, and resident memory.
//
//   npm run bench:start -w @tidemark/node -- [--rounds 10] [--node PATH] [--register FILE]
//
// Each round starts every program under every tier once, in an order that changes. Shown are the least time, which
// other load on the machine disturbs least, and the median of the memory.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    node: { type: "string", default: process.execPath },
    register: { type: "string", default: fileURLToPath(new URL("../dist/register.js", import.meta.url)) },
  },
});
const PROGRAMS = { "an empty program": [], express: ["express"], "express and pg": ["express", "pg"] };
const TIERS = {
  "no agent": { TIDEMARK_DISABLED: "1" },
  metrics: { TIDEMARK_TRACES: "0" },
  "metrics and traces": { TIDEMARK_TRACES: "1" },
};

/** Milliseconds of processor time, of all threads, from the process's start to the end of its imports, and its resident bytes then. */
function start(packages, tier) {
  const code = `${packages.map((name) => `await import(${JSON.stringify(import.meta.resolve(name))});`).join("")}
    const { user, system } = process.cpuUsage();
    console.log(JSON.stringify({ ms: (user + system) / 1000, bytes: process.memoryUsage.rss() })); process.exit(0);`;
  const { stdout, stderr, status } = spawnSync(
    flags.node,
    ["--import", flags.register, "--input-type=module", "--eval", code],
    { env: { ...process.env, NODE_OPTIONS: "", TIDEMARK_ENDPOINT: "http://127.0.0.1:9", ...TIERS[tier] } },
  );
  if (status !== 0) throw new Error(`the program under ${tier} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout.toString());
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

const rounds = Number(flags.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new TypeError(`--rounds must be a whole number from 1, got ${flags.rounds}`);
const pairs = Object.keys(PROGRAMS).flatMap((program) =>
  Object.keys(TIERS).map((tier) => ({ program, tier, all: [] })),
);
for (let round = 0; round < rounds; round++) {
  const from = round % pairs.length;
  for (const pair of [...pairs.slice(from), ...pairs.slice(0, from)]) {
    pair.all.push(start(PROGRAMS[pair.program], pair.tier));
  }
}
console.log("| program | agent | processor time | resident memory |\n|---|---|---|---|");
for (const { program, tier, all } of pairs) {
  const ms = Math.min(...all.map((each) => each.ms));
  const megabytes = median(all.map(({ bytes }) => bytes)) / 1e6;
  console.log(`| ${program} | ${tier} | ${ms.toFixed(0)} ms | ${megabytes.toFixed(1)} MB |`);
}
