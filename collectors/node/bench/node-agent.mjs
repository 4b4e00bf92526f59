// What the agent costs: CPU time of the server's process for each request to a handler that does nothing; --help says how to run it.
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadGenerator } from "./load.mjs";
import { median, quantile } from "./median.mjs";

const HELP = `npm run bench:node-agent -- [flags]

  --json                        a last line of JSON with the ratios
  --readme                      write the table into README.md
  --rounds 4 --slices 6         rounds of fresh servers, slices of load in each
  --seconds 1                   length of a slice
  --modes none,metrics,...      none, metrics, traces, otel, otel1
  --node20 PATH --node22 PATH --node24 PATH   further Node.js programs

Each round starts a fresh server for each mode and loads them in turn, slice by slice, in an order that changes. A
slice's ratio is to the slice of the server without an agent next to it; shown is the median of all slices, and the
middle half of them. Memory is what a server holds after its load, less what the one without an agent holds.
`;
const WARM_SECONDS = 1;
const REGISTER = new URL("../dist/register.js", import.meta.url);
const README = new URL("../README.md", import.meta.url);
const SERVER = fileURLToPath(new URL("server.mjs", import.meta.url));
const OPENTELEMETRY = new URL("opentelemetry.mjs", import.meta.url).href;

const MODES = {
  none: { title: "no agent", preload: [], env: {} },
  metrics: { title: "Tidemark, metrics tier", preload: [REGISTER.href], env: { TIDEMARK_TRACES: "0" } },
  traces: { title: "Tidemark, metrics and trace tier", preload: [REGISTER.href], env: { TIDEMARK_TRACES: "1" } },
  otel: {
    title: "OpenTelemetry HTTP spans, all exported",
    preload: [OPENTELEMETRY],
    env: { OTEL_TRACES_SAMPLER: "parentbased_always_on" },
  },
  otel1: {
    title: "OpenTelemetry HTTP spans, 1 % sampled",
    preload: [OPENTELEMETRY],
    env: { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.01" },
  },
};

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    readme: { type: "boolean", default: false },
    rounds: { type: "string", default: "4" },
    slices: { type: "string", default: "6" },
    seconds: { type: "string", default: "1" },
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

async function startServer(node, mode, endpoint) {
  const { preload, env } = MODES[mode];
  const inherited = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|OTEL_|TIDEMARK_)/.test(name));
  const child = fork(SERVER, {
    execPath: node,
    execArgv: preload.flatMap((module) => ["--import", module]),
    env: {
      ...Object.fromEntries(inherited),
      TIDEMARK_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_SERVICE_NAME: "bench",
      ...env,
    },
  });
  let ended;
  let stopping = false;
  child.once("exit", (code) => {
    ended = code;
    if (!stopping) child.emit("error", new Error(`the server under ${mode} ended with ${code}`));
  });
  child.on("error", () => {}); // told by the answer that is waited for
  const answer = async () => {
    if (ended !== undefined) throw new Error(`the server under ${mode} ended with ${ended}`);
    const [message] = await once(child, "message");
    return message;
  };
  const { port } = await answer();
  return {
    port,
    read() {
      const message = answer();
      child.send("read");
      return message;
    },
    async stop() {
      if (ended !== undefined) return;
      stopping = true;
      const exit = once(child, "exit");
      child.send("end");
      await exit;
    },
  };
}

/** One round: microseconds per request in each slice, and resident bytes, by mode. */
async function measureRound(node, modes, round, load, endpoint) {
  const servers = new Map();
  const results = new Map();
  try {
    for (const mode of modes) {
      servers.set(mode, await startServer(node, mode, endpoint));
      await load.run(servers.get(mode).port, WARM_SECONDS);
      results.set(mode, { slices: [], rssBytes: 0 });
    }
    for (let slice = 0; slice < count("slices"); slice++) {
      const from = (round + slice) % modes.length;
      for (const mode of [...modes.slice(from), ...modes.slice(0, from)]) {
        const server = servers.get(mode);
        const before = await server.read();
        const requests = await load.run(server.port, count("seconds"));
        const after = await server.read();
        const result = results.get(mode);
        result.slices.push((after.cpuMicroseconds - before.cpuMicroseconds) / requests);
        result.rssBytes = after.rssBytes;
      }
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
  return results;
}

/** Medians of all slices by mode. */
async function measure(node, modes, load, endpoint) {
  const rounds = [];
  for (let round = 0; round < count("rounds"); round++) {
    rounds.push(await measureRound(node, modes, round, load, endpoint));
    process.stderr.write(`round ${round + 1} of ${count("rounds")} under ${node}\n`);
  }
  return new Map(
    modes.map((mode) => {
      const ratios = rounds.flatMap((round) =>
        round.get(mode).slices.map((microseconds, slice) => microseconds / round.get("none").slices[slice]),
      );
      return [
        mode,
        {
          microseconds: median(rounds.flatMap((round) => round.get(mode).slices)),
          ratio: median(ratios),
          lower: quantile(ratios, 0.25),
          upper: quantile(ratios, 0.75),
          addedBytes: median(rounds.map((round) => round.get(mode).rssBytes - round.get("none").rssBytes)),
        },
      ];
    }),
  );
}

function table(measured) {
  const lines = [
    "| Node | mode | CPU per request | ratio to no agent | half of the slices | memory added |",
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

const modes = flags.modes.split(",");
for (const mode of modes) if (!(mode in MODES)) throw new TypeError(`--modes knows ${Object.keys(MODES)}, not ${mode}`);
if (!modes.includes("none")) modes.unshift("none");
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

const machine = `Median of ${count("rounds") * count("slices")} slices of ${count("seconds")} s, in ${flags.rounds} rounds, ${load.name} with 32 connections, on ${availableParallelism()} cores (${cpus()[0]?.model.trim() || "unknown processor"}).`;
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
      otel_cpu_ratio: rounded(main?.get("otel")?.ratio),
      otel_1pct_cpu_ratio: rounded(main?.get("otel1")?.ratio),
      rss_bytes: rounded(main?.get("metrics")?.addedBytes),
      rss_bytes_node24: rounded(byMajor.get(24)?.get("metrics")?.addedBytes),
    }),
  );
}
