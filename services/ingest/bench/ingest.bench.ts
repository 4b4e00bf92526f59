import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { migrate } from "@tidemark/store";
import protobuf from "protobufjs";
import { Decoder } from "../src/rows/decoder.ts";

/**
 * What decoding costs alone, and what the whole way into the embedded engine costs. Needs the built engine, store and
 * ingest. Node 22.18 and later: `node services/ingest/bench/ingest.bench.ts [--json]`. Node 20, from `services/ingest`:
 * `npx esbuild bench/ingest.bench.ts --bundle --platform=node --format=esm --packages=external
 * --outfile=dist/ingest.bench.mjs && node dist/ingest.bench.mjs [--json]`.
 * The second half posts 5,000 points per request over 4 connections for `SECONDS`.
 */
const POINTS = 5000;
const DECODE_SECONDS = 3;
const SECONDS = 8;
const CONNECTIONS = 4;
const MS_PER_S = 1000;

const root = protobuf.loadSync(fileURLToPath(new URL("../test/fixtures/otlp.proto", import.meta.url)));
const METRICS = root.lookupType("otlp.ExportMetricsServiceRequest");
const TRACES = root.lookupType("otlp.ExportTraceServiceRequest");
const start = Date.now();
const nanos = (ms: number) => (BigInt(ms) * 1_000_000n).toString();
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const resource = (i: number) => ({
  attributes: Array.from({ length: 10 }, (_, k) =>
    text(k === 0 ? "service.name" : `resource.attribute.${k}`, `value-${i}-${k}`),
  ),
});
const RESOURCES = 20;
const labels = (i: number) => [text("http.route", `/books/${i % 50}`), text("method", "GET"), text("n", String(i))];

function metrics(round: number, metric: (i: number) => object): Buffer {
  const perResource = POINTS / RESOURCES;
  return Buffer.from(
    METRICS.encode(
      METRICS.fromObject({
        resourceMetrics: Array.from({ length: RESOURCES }, (_, r) => ({
          resource: resource(r),
          scopeMetrics: [
            {
              scope: { name: "bench" },
              metrics: [metric(round)].map((m) => ({
                ...m,
                name: "bench.metric",
                ...pointsOf(m, perResource, r, round),
              })),
            },
          ],
        })),
      }),
    ).finish(),
  );
}
type Kind = "gauge" | "histogram" | "exponentialHistogram";
function pointsOf(of: object, count: number, r: number, round: number): object {
  const { kind } = of as { kind: Kind };
  const time = nanos(start + round);
  const dataPoints = Array.from({ length: count }, (_, i) => {
    const shared = { timeUnixNano: time, attributes: labels(r * count + i) };
    if (kind === "gauge") return { ...shared, asDouble: Math.round(Math.random() * 1e6) / 1000 };
    if (kind === "histogram") {
      return {
        ...shared,
        count: 15,
        sum: 1,
        explicitBounds: Array.from({ length: 14 }, (_, b) => b + 1),
        bucketCounts: Array(15).fill(1),
      };
    }
    return { ...shared, count: 80, sum: 1, scale: 4, positive: { offset: -100, bucketCounts: Array(80).fill(1) } };
  });
  return { [kind]: { dataPoints, ...(kind === "gauge" ? {} : { aggregationTemporality: 1 }) } };
}

function spans(): Buffer {
  const id = (n: number, size: number) => Buffer.alloc(size, (n % 255) + 1);
  return Buffer.from(
    TRACES.encode(
      TRACES.fromObject({
        resourceSpans: [
          {
            resource: resource(1),
            scopeSpans: [
              {
                spans: Array.from({ length: 2000 }, (_, i) => ({
                  traceId: id(i, 16),
                  spanId: id(i + 1, 8),
                  name: `GET /books/${i % 20}`,
                  kind: 2,
                  startTimeUnixNano: nanos(start),
                  endTimeUnixNano: nanos(start + 5),
                  attributes: [...labels(i), text("url.path", "/books/1"), text("server.address", "localhost")],
                })),
              },
            ],
          },
        ],
      }),
    ).finish(),
  );
}

function decodeRate(signal: "metrics" | "traces", body: Buffer, units: number): number {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1e6, now: () => start });
  for (let i = 0; i < 20; i++) decoder.decode(signal, "protobuf", body);
  const before = process.cpuUsage();
  const until = performance.now() + DECODE_SECONDS * MS_PER_S;
  let done = 0;
  while (performance.now() < until) done += units * Math.sign(decoder.decode(signal, "protobuf", body).points);
  const { user, system } = process.cpuUsage(before);
  return done / ((user + system) / 1e6);
}

async function service(script: string, environment: Record<string, string>, ready: string) {
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH ?? "", ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const parsed = JSON.parse(line) as { msg: string; url?: string; port?: number };
    if (parsed.msg === ready) return { child, ...parsed };
  }
  throw new Error(`${script} ended before it was ready`);
}

async function wholeWay() {
  const directory = await mkdtemp(join(tmpdir(), "tidemark-bench-"));
  const engine = await service(
    fileURLToPath(new URL("../../engine/dist/main.js", import.meta.url)),
    { TIDEMARK_CLICKHOUSE_PORT: "0", TIDEMARK_DATA_DIR: directory, TIDEMARK_ENGINE_WRITER_PASSWORD: "bench-writer" },
    "engine ready",
  );
  const url = engine.url!.replace("http://", "http://tidemark:bench-writer@").concat("/tidemark");
  await migrate(url);
  const ingest = await service(
    fileURLToPath(new URL("../dist/main.js", import.meta.url)),
    { TIDEMARK_OTLP_PORT: "0", TIDEMARK_DATA_DIR: directory, TIDEMARK_CLICKHOUSE_URL: url, TIDEMARK_LOG_LEVEL: "info" },
    "ready",
  );
  const base = `http://127.0.0.1:${ingest.port}`;
  const bodies = Array.from({ length: 32 }, (_, i) => new Uint8Array(metrics(i, () => ({ kind: "gauge" }))));
  const waits: number[] = [];
  let acknowledged = 0;
  const began = performance.now();
  const client = async (offset: number) => {
    for (let i = offset; performance.now() - began < SECONDS * MS_PER_S; i += CONNECTIONS) {
      const sent = performance.now();
      const reply = await fetch(`${base}/v1/metrics`, {
        method: "POST",
        body: bodies[i % bodies.length]!,
        headers: { "content-type": "application/x-protobuf" },
      });
      await reply.arrayBuffer();
      if (reply.status === 200) acknowledged += POINTS;
      waits.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => client(i)));
  let inserted = 0;
  while (inserted < acknowledged) {
    const page = await (await fetch(`${base}/metrics`)).text();
    inserted = Number(/^tidemark_ingest_inserted_points_total (.+)$/m.exec(page)?.[1]);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const seconds = (performance.now() - began) / MS_PER_S;
  const cpu = await cpuSeconds(ingest.child.pid!, engine.child.pid!);
  for (const { child } of [ingest, engine]) {
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("exit", resolve));
  }
  await rm(directory, { recursive: true });
  waits.sort((a, b) => a - b);
  return {
    points: inserted,
    points_per_second: inserted / seconds,
    points_per_core_second: inserted / cpu,
    ack_p50_ms: waits[waits.length >> 1]!,
    ack_p99_ms: waits[Math.floor(waits.length * 0.99)]!,
  };
}

/** CPU time of processes: user and system ticks of /proc/<pid>/stat, 100 a second on Linux. */
async function cpuSeconds(...pids: number[]): Promise<number> {
  const { readFile } = await import("node:fs/promises");
  let ticks = 0;
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

const result = {
  numbers_per_core_second: decodeRate(
    "metrics",
    metrics(0, () => ({ kind: "gauge" })),
    POINTS,
  ),
  histograms_per_core_second: decodeRate(
    "metrics",
    metrics(0, () => ({ kind: "histogram" })),
    POINTS,
  ),
  exponential_histograms_per_core_second: decodeRate(
    "metrics",
    metrics(0, () => ({ kind: "exponentialHistogram" })),
    POINTS,
  ),
  spans_per_core_second: decodeRate("traces", spans(), 2000),
  ...(await wholeWay()),
};
console.log(`${cpus().length} x ${cpus()[0]?.model ?? "unknown"}, Node ${process.version}`);
for (const [name, value] of Object.entries(result)) console.log(`${name.padEnd(42)} ${Math.round(value * 10) / 10}`);
if (process.argv.includes("--json")) console.log(JSON.stringify(result));
