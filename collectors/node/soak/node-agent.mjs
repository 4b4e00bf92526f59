// A day's worth of requests in a minute: memory stays flat, routes are capped, nothing is thrown; --help says more.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadGenerator } from "../bench/load.mjs";
import { median } from "../bench/median.mjs";
import { startFlakySink } from "./flaky-sink.mjs";

const HELP = `npm run soak:node-agent -- [flags]

  --requests 10000000   requests told to the agent on Node's diagnostics channels, at an even rate
  --routes 100000       distinct routes among them
  --seconds 120         time that they take
  --json                a last line of JSON

Beside them wrk, or a generator of our own, sends real HTTP requests for half of the time. The endpoint that the
agent exports to is away (refuses connections) for half of the time. Fails, with code 1, when the server's memory in
the last quarter is over that of the second by more than 5 % and 5 MB, when more routes than the limit were told,
when anything was thrown or printed, or when the agent counts an error of its own. Memory is judged in runs of a
minute and longer: a shorter one ends before the heap has its size.
`;
const REGISTER = new URL("../dist/register.js", import.meta.url).href;
const APPLICATION = fileURLToPath(new URL("application.mjs", import.meta.url));
const MAX_ROUTES = 500;
const FLIPS = 8;
const GROWTH_SHARE = 1.05;
const GROWTH_BYTES = 5e6;
const JUDGED_SECONDS = 60;
const MS_PER_S = 1000;

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    requests: { type: "string", default: "10000000" },
    routes: { type: "string", default: "100000" },
    seconds: { type: "string", default: "120" },
  },
});

function count(name) {
  const value = Number(flags[name]);
  if (!Number.isInteger(value) || value < 1)
    throw new TypeError(`--${name} must be a whole number from 1, got ${flags[name]}`);
  return value;
}

const passed = (ms) => new Promise((done) => setTimeout(done, ms));

function startApplication(url) {
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  const child = fork(APPLICATION, [count("requests"), count("routes"), count("seconds")].map(String), {
    execArgv: ["--import", REGISTER],
    env: {
      ...inherited,
      TIDEMARK_ENDPOINT: url,
      TIDEMARK_TRACES: "0",
      TIDEMARK_EXPORT_INTERVAL: String(Math.min(2, count("seconds") / 40)),
      OTEL_SERVICE_NAME: "soak",
    },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      printed += chunk;
    });
  }
  return { child, printed: () => printed, ended: once(child, "exit") };
}

async function ask(child) {
  const answer = once(child, "message");
  child.send("read");
  return (await answer)[0];
}

/** Resident bytes twenty times a second while the requests are told, and the state at the end. */
async function watch(child, endMs) {
  const readings = [];
  for (;;) {
    const state = await ask(child);
    readings.push(state.rssBytes);
    if (state.published >= count("requests") && performance.now() > endMs) return { readings, state };
    await passed((count("seconds") * MS_PER_S) / 200);
  }
}

async function soak() {
  const sink = await startFlakySink();
  const { child, printed, ended } = startApplication(sink.url);
  try {
    const [{ port }] = await once(child, "message");
    const startMs = performance.now();
    child.send("run");
    const endMs = startMs + count("seconds") * MS_PER_S;
    const flipping = sink.flip(FLIPS, (count("seconds") * MS_PER_S) / FLIPS);
    const generator = await loadGenerator();
    const real = generator.run(port, Math.max(1, Math.round(count("seconds") / 2)));
    const { readings, state } = await watch(child, endMs);
    const realRequests = await real;
    await flipping;
    await sink.heard(20 * MS_PER_S);
    child.send("end");
    const [code] = await ended;
    const quarter = readings.length / 4;
    const quarters = [0, 1, 2, 3].map((at) => median(readings.slice(at * quarter, (at + 1) * quarter)));
    return {
      requests_on_channels: state.published,
      requests_over_http: realRequests,
      routes_sent: count("routes"),
      routes_told: sink.routes.size,
      seconds: (performance.now() - startMs) / MS_PER_S,
      endpoint_down_share: sink.downShare(),
      exports: sink.exports(),
      records_dropped: sink.sum("tidemark.agent.dropped"),
      agent_errors: sink.sum("tidemark.agent.errors"),
      thrown: state.thrown,
      exit_code: code,
      printed_bytes: printed().length,
      rss_quarters_bytes: quarters,
    };
  } finally {
    child.kill("SIGKILL");
    await sink.close();
  }
}

if (flags.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const result = await soak();
const [, early, , late] = result.rss_quarters_bytes;
const failures = [
  count("seconds") >= JUDGED_SECONDS && late > Math.max(GROWTH_SHARE * early, early + GROWTH_BYTES) && "memory grew",
  (result.routes_told > MAX_ROUTES + 1 || result.routes_told < Math.min(MAX_ROUTES, result.routes_sent)) &&
    `routes are not capped at ${MAX_ROUTES} and _other`,
  (result.thrown > 0 || result.exit_code !== 0 || result.printed_bytes > 0) && "something was thrown or printed",
  result.agent_errors > 0 && "the agent counts errors",
].filter(Boolean);
for (const [name, value] of Object.entries(result))
  console.log(`${name.padEnd(22)} ${Math.round(value * 1000) / 1000}`);
for (const failure of failures) console.log(`FAILED: ${failure}`);
if (flags.json) console.log(JSON.stringify({ ...result, failures }));
process.exitCode = failures.length > 0 ? 1 : 0;
