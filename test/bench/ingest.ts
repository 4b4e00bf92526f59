import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machine, writeTable } from "../support/benchmarks-page.ts";
import { quantile, stop } from "../support/tidemark.ts";
import { COLLECTOR_TABLE, startCollector } from "./ingest/collector.ts";
import { type Generator, generate, type Sent, startGenerator } from "./ingest/load.ts";
import type { Shape } from "./ingest/payload.ts";
import {
  cpuSeconds,
  type Destination,
  type Engine,
  type Running,
  settled,
  startEngine,
  startIngest,
  watchMemory,
} from "./ingest/processes.ts";

const HELP = `What a point costs from an OTLP request over the durable acknowledgement until a query finds it, in the embedded engine.

  npm run bench:ingest -- [flags]

  --seconds N      length of each phase (default 10)
  --rounds N       phases at full load; the figure is their median (default 3)
  --connections N  senders at full load (default 4)
  --points N       points of one request (default 5000)
  --series N       series of the whole load (default 20000)
  --step-ms N      time between two points of a series (default 1000)
  --collector PATH send the load also through this Collector and its ClickHouse exporter into an engine of its own, in
                   turns with ours; test/bench/collector/build.mjs builds one from the Go modules
  --write          put the table into docs/benchmarks.md
  --json           one last line of JSON: points_per_core_second, ack_p99_ms, rss_bytes, collector_cpu_ratio
  --help           this page

CPU is that of all threads of ingest and engine, from the first request until SQL counts every acknowledged point and no
merge runs any more. The sender is a process of its own and not counted, but it shares the cores: with few of them, the
load per second (and what half of it is) is what the sender leaves. A latency runs from the moment a request was due, so
that a slow answer counts for all that wait behind it.
`;
const WARM_SECONDS = 3;
const POINTS_PER_REQUEST = "5000";

/** One phase at full load through one way into ClickHouse. */
interface Round {
  readonly points: number;
  readonly pointsPerSecond: number;
  /** CPU of the process that takes OTLP, and of the engine behind it, s. */
  readonly frontSeconds: number;
  readonly engineSeconds: number;
}

/** A way from OTLP into an engine, and how many points went through it so far. */
interface Way {
  readonly front: Running & { endpoint: string };
  readonly engine: Engine;
  readonly destination: Destination;
  points: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "10" },
      rounds: { type: "string", default: "3" },
      connections: { type: "string", default: "4" },
      points: { type: "string", default: POINTS_PER_REQUEST },
      series: { type: "string", default: "20000" },
      "step-ms": { type: "string", default: "1000" },
      collector: { type: "string" },
      write: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const seconds = positive("seconds", values.seconds);
  const rounds = positive("rounds", values.rounds);
  const connections = positive("connections", values.connections);
  const shape: Shape = {
    points: positive("points", values.points),
    resources: 20,
    series: positive("series", values.series),
    stepMs: positive("step-ms", values["step-ms"]),
  };
  const [loadBefore = 0] = loadavg();
  const closers: (() => unknown)[] = [];
  try {
    const generator = startGenerator(fileURLToPath(import.meta.url), shape);
    closers.push(() => generator.stop());
    const ours = await way(closers, startIngest, { table: "tidemark.samples", metric: "metric" });
    const { collector } = values;
    const theirs =
      collector === undefined
        ? undefined
        : await way(closers, (engine) => startCollector(collector, engine), COLLECTOR_TABLE);
    const memory = watchMemory(ours.front.pid, ours.engine.pid);

    const ourRounds: Round[] = [];
    const theirRounds: Round[] = [];
    await round("warming up", ours, generator, WARM_SECONDS, connections);
    if (theirs !== undefined) await round("warming up the Collector", theirs, generator, WARM_SECONDS, connections);
    for (let i = 1; i <= rounds; i++) {
      ourRounds.push(await round(`full load, ${i} of ${rounds}`, ours, generator, seconds, connections));
      if (theirs === undefined) continue;
      const title = `full load through the Collector, ${i} of ${rounds}`;
      theirRounds.push(await round(title, theirs, generator, seconds, connections));
    }
    const pointsPerSecond = quantile(
      ourRounds.map((each) => each.pointsPerSecond),
      0.5,
    );
    const half = await halfLoad(ours, generator, seconds, pointsPerSecond / 2 / shape.points);
    const { sum: rssBytes, each: rssEach } = memory.peak();

    const cost = (of: readonly Round[], part: (each: Round) => number) =>
      quantile(
        of.map((each) => part(each) / each.points),
        0.5,
      );
    const whole = (each: Round) => each.frontSeconds + each.engineSeconds;
    const ourCost = cost(ourRounds, whole);
    const ratio = theirs === undefined ? null : cost(theirRounds, whole) / ourCost;
    const result = {
      points_per_core_second: Math.round(1 / ourCost),
      ack_p99_ms: rounded(half.p99Ms),
      rss_bytes: rssBytes,
      collector_cpu_ratio: ratio === null ? null : rounded(ratio),
      ...(ratio === null ? { collector: "no Collector binary was named: see --collector" } : {}),
      ingest_us_per_point: rounded(1e6 * cost(ourRounds, (each) => each.frontSeconds)),
      engine_us_per_point: rounded(1e6 * cost(ourRounds, (each) => each.engineSeconds)),
      points_per_second: Math.round(pointsPerSecond),
      half_load_points_per_second: Math.round(half.acknowledgedPoints / half.seconds),
      ack_p50_ms: rounded(half.p50Ms),
      ack_longest_ms: rounded(half.longestMs),
      ingest_rss_bytes: rssEach[0],
      engine_rss_bytes: rssEach[1],
      points: ours.points,
    };

    const us = (of: readonly Round[], part: (each: Round) => number) => (1e6 * cost(of, part)).toFixed(3);
    const row = (name: string, of: readonly Round[]) =>
      `| ${name} | ${us(of, (each) => each.frontSeconds)} | ${us(of, (each) => each.engineSeconds)} | ${us(of, whole)} | ${thousands(1 / cost(of, whole))} |`;
    const lines = [
      "| way | before the engine, µs of CPU per point | engine, µs | both, µs | points per second of one core |",
      "|---|---|---|---|---|",
      row("Tidemark's ingest, on disk before the answer", ourRounds),
      ...(theirs === undefined
        ? []
        : [row(`Collector (${versionOf(theirs)}) with its ClickHouse exporter`, theirRounds)]),
      "",
      `${ratio === null ? "" : `The Collector's way costs ${ratio.toFixed(1)} times as much CPU. `}At ${thousands(result.half_load_points_per_second)} points/s, half of the full load on this machine, an answer takes ${half.p50Ms.toFixed(1)} ms at the median and ${half.p99Ms.toFixed(1)} ms at the 99th percentile from when its request was due (longest ${half.longestMs.toFixed(0)} ms). Ingest and engine held at most ${megabytes(rssBytes)} MB.`,
      "",
      `${thousands(ours.points)} points, all counted by SQL: ${shape.points} numbers per request with 3 attributes under ${shape.resources} resources with 10, ${thousands(shape.series)} series, one point each ${shape.stepMs} ms of their time; ${rounds} phases of ${seconds} s, medians, CPU until all is queryable and merged. ${machine()}${availableParallelism() <= 2 ? "; the sender took its share of the 2 cores" : ""}${loadBefore > 1 ? `; other work shared the machine (load average ${loadBefore.toFixed(1)} before the start)` : ""}.`,
    ];
    console.log(lines.join("\n"));
    if (values.write) writeTable("ingest", lines);
    if (values.json) console.log(JSON.stringify(result));
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

const versions = new WeakMap<Way, string>();
const versionOf = (of: Way): string => versions.get(of) ?? "";

async function way(
  closers: (() => unknown)[],
  start: (engine: Awaited<ReturnType<typeof startEngine>>) => Promise<Running & { endpoint: string; version?: string }>,
  destination: Destination,
): Promise<Way> {
  const engine = await startEngine();
  closers.push(() => engine.close());
  const front = await start(engine);
  closers.push(() => stop(front.process));
  const made = { front, engine, destination, points: 0 };
  versions.set(made, front.version ?? "");
  return made;
}

async function round(title: string, through: Way, generator: Generator, seconds: number, connections: number) {
  const { front, engine } = through;
  const before = [cpuSeconds(front.pid), cpuSeconds(engine.pid)] as const;
  const sent = await generator.run({ endpoint: front.endpoint, seconds, connections });
  await counted(through, sent);
  const result: Round = {
    points: sent.acknowledgedPoints,
    pointsPerSecond: sent.acknowledgedPoints / sent.seconds,
    frontSeconds: cpuSeconds(front.pid) - before[0],
    engineSeconds: cpuSeconds(engine.pid) - before[1],
  };
  const us = (s: number) => `${((1e6 * s) / result.points).toFixed(3)} µs`;
  console.error(
    `${title}: ${thousands(result.pointsPerSecond)} points/s, per point ${us(result.frontSeconds)} + engine ${us(result.engineSeconds)}` +
      ` (answers p50 ${sent.p50Ms.toFixed(1)} ms, p99 ${sent.p99Ms.toFixed(1)} ms; ${sent.refused} refused; sender ${us(sent.cpuSeconds)})`,
  );
  return result;
}

async function halfLoad(ours: Way, generator: Generator, seconds: number, rate: number): Promise<Sent> {
  const sent = await generator.run({ endpoint: ours.front.endpoint, seconds, rate });
  await counted(ours, sent);
  console.error(
    `half load: ${thousands(sent.acknowledgedPoints / sent.seconds)} points/s, answers p50 ${sent.p50Ms.toFixed(1)} ms, ` +
      `p99 ${sent.p99Ms.toFixed(1)} ms, longest ${sent.longestMs.toFixed(0)} ms; ${sent.refused} refused`,
  );
  return sent;
}

async function counted(through: Way, sent: Sent): Promise<void> {
  through.points += sent.acknowledgedPoints;
  await settled(through.engine, through.destination, through.points);
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${flag} is "${text}": expected a number above 0`);
  return value;
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000;
const thousands = (value: number): string => Math.round(value).toLocaleString("en-US");
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

if (process.argv[2] === "generate") generate(JSON.parse(process.argv[3]!) as Shape);
else
  await main().catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
