import { readFileSync } from "node:fs";
import { join } from "node:path";
import { migrate } from "@tidemark/store";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildApp } from "../src/index.ts";
import { metricsRequest, nanos } from "./otlp-messages.ts";
import { Engine, temporaryDirectory, until } from "./processes.ts";

const PAGE = readFileSync(new URL("../../../docs/otlp.md", import.meta.url), "utf8");
const QUERY = /## Rates of counters[\s\S]*?```sql\n([\s\S]*?)```/.exec(PAGE)![1]!;
const STEP_S = 60;
const EVERY_S = 10;
const MINUTE_MS = 60_000;
/** What the counter of these tests really does, in 1/s. */
const RATE = 3;

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let engine: Engine;
let app: FastifyInstance;
let url: string;
/** A full minute, an hour ago. */
let start: number;

beforeAll(async () => {
  directory = await temporaryDirectory();
  engine = new Engine(join(directory.path, "engine"));
  await engine.start();
  await migrate(engine.url);
  start = Math.floor(Date.now() / MINUTE_MS - 60) * MINUTE_MS;
  app = await buildApp({
    clickhouseUrl: engine.url,
    dataDirectory: join(directory.path, "ingest"),
    flushIntervalSeconds: 0.05,
    logLevel: "silent",
  });
  url = await app.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(async () => {
  await app?.close();
  await engine.stop();
  await directory.remove();
});

interface Sent {
  readonly second: number;
  readonly value: number;
  /** Second the series began. */
  readonly began: number;
}

async function send(metric: string, temporality: 1 | 2, points: readonly Sent[]): Promise<void> {
  for (const { second, value, began } of points) {
    const dataPoints = [
      { asDouble: value, timeUnixNano: nanos(start + second * 1000), startTimeUnixNano: nanos(start + began * 1000) },
    ];
    const sum = { dataPoints, isMonotonic: true, aggregationTemporality: temporality };
    // Over a connection: the reply is delivered, so equal bytes are stored twice.
    const reply = await fetch(`${url}/v1/metrics`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(metricsRequest([{ name: metric, sum }])),
    });
    expect(await reply.json()).toEqual({});
  }
  await until("the points to be in ClickHouse", async () => {
    const [row] = await engine.query<{ n: string }>(`SELECT count() AS n FROM samples WHERE metric = '${metric}'`);
    return Number(row?.n) === points.length;
  });
}

/** The page's query: rate by minute since `start`. */
async function rates(metric: string, minutes: number): Promise<Map<number, number>> {
  const time = (ms: number) => new Date(ms).toISOString().replace("T", " ").replace("Z", "");
  const rows = await engine.query<{ t: string; rate: number }>(QUERY, {
    metric,
    step: String(STEP_S),
    from: time(start),
    to: time(start + minutes * MINUTE_MS + 1),
  });
  return new Map(rows.map(({ t, rate }) => [(Date.parse(`${t}Z`) - start) / MINUTE_MS, rate]));
}

const seconds = (from: number, to: number) =>
  Array.from({ length: (to - from) / EVERY_S + 1 }, (_, i) => from + i * EVERY_S);

describe("the rate of a counter", () => {
  test("is right through a reset, a gap, late and repeated points of a cumulative counter", async () => {
    const before = seconds(0, 300).map((second) => ({ second, value: second * RATE, began: 0 }));
    // The process starts anew at second 300, and is not heard of from 420 to 545 while it goes on counting.
    const after = [...seconds(310, 420), 545, ...seconds(550, 720)].map((second) => ({
      second,
      value: (second - 300) * RATE,
      began: 300,
    }));
    const points = [...before, ...after];
    const shuffled = points.toSorted((a, b) => ((a.second * 7919) % 977) - ((b.second * 7919) % 977));
    await send("rate.cumulative", 2, [...shuffled, points[5]!, points[40]!]);
    const found = await rates("rate.cumulative", 12);
    expect([...found.keys()]).toEqual(Array.from({ length: 12 }, (_, minute) => minute));
    for (const [minute, rate] of found) expect(rate, `minute ${minute}`).toBeCloseTo(RATE, 9);
  });

  test("is that of the deltas, and absent where none came", async () => {
    const points = [...seconds(10, 120), ...seconds(190, 300)].map((second) => ({
      second: second - 1,
      value: EVERY_S * RATE,
      began: second - 1 - EVERY_S,
    }));
    await send("rate.delta", 1, points);
    const found = await rates("rate.delta", 5);
    expect([...found.keys()]).toEqual([0, 1, 3, 4]);
    for (const [minute, rate] of found) expect(rate, `minute ${minute}`).toBeCloseTo(RATE, 9);
  });

  test("does not take the first total of a counter for an increase", async () => {
    await send("rate.old", 2, [
      { second: 60, value: 1_000_000, began: -86_400 },
      { second: 120, value: 1_000_000 + 60 * RATE, began: -86_400 },
    ]);
    expect([...(await rates("rate.old", 5))]).toEqual([[1, RATE]]);
  });
});
