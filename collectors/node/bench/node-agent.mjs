// What the agent costs: CPU time of the server's process for each request to a handler that does nothing; --help says how to run it.
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { ownCores } from "./cores.mjs";
import { loadGenerator } from "./load.mjs";
import { MODES, REGISTER, startLoaded } from "./loaded-server.mjs";
import { median, medianBounds } from "./median.mjs";

const HELP = `npm run bench:node-agent -- [flags]

  --json                        a last line of JSON with the ratios
  --readme                      write the table into README.md
  --rounds 10                   rounds, each with a fresh server for each mode
  --blocks 8                    blocks of slices in a round; a block loads each server twice
  --slice-ms 200                length of a slice
  --settle-ms 12000             time from the start of a round's servers to the first slice
  --own-cores                   servers on one core and their load on the others (Linux, taskset)
  --modes metrics,traces,...    thread, metrics, traces, otel, otel1; two servers without an agent are always there
  --node20 PATH --node22 PATH --node24 PATH   further Node.js programs

A block loads the servers one after the other and then in the reverse order, so that what drifts on the machine falls on
all alike; the next block begins with another one. A round's ratio is the CPU time per request of all its slices to the
mean of the two servers without an agent; shown is the median of the rounds, and the bounds of that median in 95 of 100
cases. Of the second server without an agent it is the ratio to the first: what the machine's noise alone makes.
Starting is not part of it: the servers are loaded and left alone until the agents have made their first export.
Memory is what a server holds after its load, less the mean of those without an agent.

With --own-cores a server's threads share one core, as in a container with one: servers without an agent differ less
from each other, and the agent's thread takes its time from the application's.

Run it alone on the machine. The agent's thread costs the same each second whatever the requests, so where others take
most of the core, and leave the server few requests a second, it weighs more on each: the last line tells what the
server had, which is 0.9 of a core or more on a machine that is free.
`;
const README = new URL("../README.md", import.meta.url);
const WARM_SLICE_MS = 500;
/** Without an agent: what the others are compared with, and each with the other. */
const BARE = ["none", "again"];

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    "own-cores": { type: "boolean", default: false },
    readme: { type: "boolean", default: false },
    rounds: { type: "string", default: "10" },
    blocks: { type: "string", default: "8" },
    "slice-ms": { type: "string", default: "200" },
    "settle-ms": { type: "string", default: "12000" },
    modes: { type: "string", default: Object.keys(MODES).join(",") },
    node20: { type: "string" },
    node22: { type: "string" },
    node24: { type: "string" },
  },
});

if (flags.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

function count(name) {
  const value = Number(flags[name]);
  if (!Number.isInteger(value) || value < 1)
    throw new TypeError(`--${name} must be a whole number from 1, got ${flags[name]}`);
  return value;
}

/** An OTLP endpoint that takes everything and keeps nothing. */
async function startSink() {
  const sink = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.setHeader("content-type", "application/json").end("{}"));
  });
  sink.listen(0, "127.0.0.1");
  await once(sink, "listening");
  return sink;
}

/** Loads all servers in turn until the last one has settled. */
async function warm(servers) {
  const untilMs = performance.now() + count("settle-ms");
  do {
    for (const server of servers.values()) await server.slice(WARM_SLICE_MS);
  } while (performance.now() < untilMs);
}

/** One round: CPU time, time and requests of all slices, and resident bytes, by mode. */
async function measureRound(node, modes, round, load, endpoint) {
  const servers = new Map();
  const results = new Map(
    modes.map((mode) => [mode, { microseconds: 0, wallMicroseconds: 0, requests: 0, rssBytes: 0 }]),
  );
  try {
    for (const mode of modes) servers.set(mode, await startLoaded(node, mode, endpoint, load, cores));
    await warm(servers);
    for (let block = 0; block < count("blocks"); block++) {
      const from = (round + block) % modes.length;
      const order = [...modes.slice(from), ...modes.slice(0, from)];
      for (const mode of [...order, ...order.toReversed()]) {
        const slice = await servers.get(mode).slice(count("slice-ms"));
        const result = results.get(mode);
        result.microseconds += slice.microseconds;
        result.wallMicroseconds += slice.wallMicroseconds;
        result.requests += slice.requests;
        result.rssBytes = slice.rssBytes;
      }
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
  for (const [mode, { requests }] of results) if (requests === 0) throw new Error(`${mode} had no request in a round`);
  return results;
}

/** Medians of all rounds by mode. */
async function measure(node, modes, load, endpoint) {
  const rounds = [];
  for (let round = 0; round < count("rounds"); round++) {
    rounds.push(await measureRound(node, modes, round, load, endpoint));
    const told = modes.map((mode) => `${mode} ${perRequest(rounds.at(-1).get(mode)).toFixed(1)} us`).join(", ");
    process.stderr.write(`round ${round + 1} of ${count("rounds")} under ${node}: ${told}\n`);
  }
  return new Map(
    modes.map((mode) => {
      const without = (round, what) =>
        mean((BARE.includes(mode) ? ["none"] : BARE).map((bare) => what(round.get(bare))));
      const ratios = rounds.map((round) => perRequest(round.get(mode)) / without(round, perRequest));
      const microseconds = median(rounds.map((round) => perRequest(round.get(mode))));
      const addedBytes = median(rounds.map((round) => round.get(mode).rssBytes - without(round, rssBytes)));
      const cores = median(rounds.map((round) => round.get(mode).microseconds / round.get(mode).wallMicroseconds));
      return [mode, { microseconds, ratio: median(ratios), ...medianBounds(ratios), addedBytes, cores }];
    }),
  );
}

function perRequest({ microseconds, requests }) {
  return microseconds / requests;
}

function rssBytes(result) {
  return result.rssBytes;
}

function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function table(measured) {
  const lines = [
    "| Node | mode | CPU per request | ratio to no agent | its bounds | memory added |",
    "|---|---|---|---|---|---|",
  ];
  for (const [version, modes] of measured) {
    for (const [mode, { microseconds, ratio, lower, upper, addedBytes }] of modes) {
      const added = mode === "none" ? "" : `${(addedBytes / 1e6).toFixed(1)} MB`;
      const range = mode === "none" ? "" : `${lower.toFixed(2)} to ${upper.toFixed(2)}`;
      lines.push(
        `| ${version} | ${MODES[mode].title} | ${microseconds.toFixed(1)} us | ${ratio.toFixed(2)} | ${range} | ${added} |`,
      );
    }
  }
  return lines.join("\n");
}

const modes = [...new Set([...BARE, ...flags.modes.split(",")])];
for (const mode of modes) if (!(mode in MODES)) throw new TypeError(`--modes knows ${Object.keys(MODES)}, not ${mode}`);
if (!existsSync(REGISTER)) throw new Error("the agent is not built: run `npx tsc -b collectors/node` first");
const require = createRequire(import.meta.url);
for (const mode of ["otel", "otel1"]) {
  try {
    require.resolve("@opentelemetry/instrumentation-http");
  } catch {
    if (modes.includes(mode))
      console.log(`@opentelemetry/instrumentation-http is not installed: ${mode} is not measured`);
    modes.splice(modes.indexOf(mode) >>> 0, 1);
  }
}

const load = await loadGenerator();
const coreCount = availableParallelism();
const cores = flags["own-cores"] ? ownCores() : undefined;
const sink = await startSink();
const endpoint = `http://127.0.0.1:${sink.address().port}`;
const own = Number(process.versions.node.split(".")[0]);
const measured = new Map();
const byMajor = new Map();
for (const major of [20, 22, 24]) {
  const node = flags[`node${major}`] ?? (major === own ? process.execPath : undefined);
  if (node === undefined) {
    if (major !== 22) console.log(`Node ${major} is not measured: give its path as --node${major}`);
    continue;
  }
  byMajor.set(major, await measure(node, modes, load, endpoint));
  measured.set(major, byMajor.get(major));
}
sink.close();
sink.closeAllConnections();

const shares = [...measured.values()].map((byMode) => byMode.get("none").cores.toFixed(2));
const slices = `2 x ${count("blocks")} slices of ${count("slice-ms")} ms`;
const machine = `Median of ${count("rounds")} rounds of ${slices} for each server, ${load.name} with 32 connections, on ${coreCount} cores (${cpus()[0]?.model.trim() || "unknown processor"})${cores === undefined ? "" : ", the servers on one of their own"}. The bounds hold the median in 95 of 100 cases. Servers without an agent had ${shares.join(" and ")} of a core.`;
console.log(`${table(measured)}\n\n${machine}`);

if (flags.readme) {
  const text = readFileSync(README, "utf8");
  const marked = /(<!-- bench -->\n)[\s\S]*?(<!-- \/bench -->)/;
  if (!marked.test(text)) throw new Error("README.md has no place for the table");
  writeFileSync(
    README,
    text.replace(marked, (_all, open, close) => `${open}${table(measured)}\n\n${machine}\n${close}`),
  );
}

const rounded = (value) => (value === undefined ? null : Math.round(value * 1000) / 1000);
if (flags.json) {
  const main = byMajor.get(20) ?? byMajor.get(own);
  console.log(
    JSON.stringify({
      cpu_ratio_node20: rounded(byMajor.get(20)?.get("metrics")?.ratio),
      cpu_ratio_node22: rounded(byMajor.get(22)?.get("metrics")?.ratio),
      cpu_ratio_node24: rounded(byMajor.get(24)?.get("metrics")?.ratio),
      trace_tier_cpu_ratio: rounded(main?.get("traces")?.ratio),
      same_cpu_ratio_node20: rounded(byMajor.get(20)?.get("again")?.ratio),
      same_cpu_ratio_node24: rounded(byMajor.get(24)?.get("again")?.ratio),
      otel_cpu_ratio: rounded(main?.get("otel")?.ratio),
      otel_1pct_cpu_ratio: rounded(main?.get("otel1")?.ratio),
      rss_bytes: rounded(main?.get("metrics")?.addedBytes),
      rss_bytes_node24: rounded(byMajor.get(24)?.get("metrics")?.addedBytes),
      thread_rss_bytes: rounded(main?.get("thread")?.addedBytes),
      thread_rss_bytes_node24: rounded(byMajor.get(24)?.get("thread")?.addedBytes),
    }),
  );
}
