import { afterAll, beforeAll, expect, test } from "vitest";
import { bucketQuantile, recordedBucketQuantile } from "../src/bucket-quantile.ts";
import { createStoreClient, type StoreClient } from "../src/client.ts";
import { type Engine, rowsOf, startEngine } from "./engine.ts";

const SCALE = 4;
const BUCKET_WIDTH = 2 ** (1 / 2 ** SCALE) - 1;
const ZERO_THRESHOLD = 1e-6;
const QUANTILES = [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1];
let engine: Engine;
let client: StoreClient;
beforeAll(async () => {
  engine = await startEngine();
  client = createStoreClient(engine.readerUrl("default"));
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

/** As an OpenTelemetry exponential histogram at scale 4 counts. */
function bucketsOf(values: number[]): Map<number, number> {
  const buckets = new Map<number, number>();
  for (const value of values) {
    const key = value <= ZERO_THRESHOLD ? -32_768 : Math.ceil(Math.log2(value) * 2 ** SCALE) - 1;
    buckets.set(key, (buckets.get(key) ?? 0) + 1);
  }
  return buckets;
}

/** Smallest value with at least q of all values at or below it. */
function exact(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}

const sqlMap = (buckets: Map<number, number>) =>
  `CAST(map(${[...buckets].flat().join(", ") || ""}), 'Map(Int16, UInt64)')`;

async function quantiles(map: string): Promise<(number | null)[]> {
  const columns = QUANTILES.map((q, i) => `${bucketQuantile(map, q)} AS q${i}`).join(", ");
  const [row] = await rowsOf<Record<string, number | null>>(client, `SELECT ${columns}`);
  return QUANTILES.map((_, i) => row![`q${i}`]!);
}

/** Deterministic, so that a failure can be repeated (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const next = random(1);
const distributions: Record<string, number[]> = {
  exponential: Array.from({ length: 5000 }, () => -Math.log(1 - next()) * 0.02),
  "log-normal": Array.from({ length: 5000 }, () =>
    Math.exp(Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())),
  ),
  "two lumps far apart": [...Array(900).fill(0.001), ...Array(100).fill(5)],
  "one value": [0.3],
  "half zero": [...Array(50).fill(0), ...Array(50).fill(0.01)],
  "nanoseconds to days": Array.from({ length: 2000 }, () => 10 ** (next() * 12 - 6)),
};

test.each(Object.entries(distributions))("is within one bucket of the exact quantile: %s", async (_, values) => {
  const found = await quantiles(sqlMap(bucketsOf(values)));
  for (const [i, q] of QUANTILES.entries()) {
    const truth = exact(values, q);
    expect([q, Math.abs(found[i]! - truth) <= truth * BUCKET_WIDTH * 1.0001]).toEqual([q, true]);
  }
});

test("is the same after sumMap merged the parts, in whatever order their keys came", async () => {
  const values = distributions.exponential!;
  const whole = await quantiles(sqlMap(bucketsOf(values)));
  const parts = [values.slice(0, 1000), values.slice(1000, 1001), values.slice(1001)].map((part) =>
    sqlMap(bucketsOf(part)),
  );
  const merged = `(SELECT sumMap(m) FROM (${parts.map((part) => `SELECT ${part} AS m`).join(" UNION ALL ")}))`;
  const again = await quantiles(merged);
  for (const [i, value] of whole.entries()) expect(again[i]).toBeCloseTo(value!, 12);
});

test("is NULL for no buckets or empty ones, and 0 in the zero bucket", async () => {
  expect(await quantiles("CAST(map(), 'Map(Int16, UInt64)')")).toEqual(QUANTILES.map(() => null));
  expect(await quantiles("CAST(map(3, 0), 'Map(Int16, UInt64)')")).toEqual(QUANTILES.map(() => null));
  expect(await quantiles("CAST(map(-32768, 9), 'Map(Int16, UInt64)')")).toEqual(QUANTILES.map(() => 0));
});

test("the words of the migrations give the same quantile", async () => {
  for (const values of Object.values(distributions)) {
    const map = sqlMap(bucketsOf(values));
    const columns = QUANTILES.map((q, i) => `${recordedBucketQuantile(map, q)} AS q${i}`).join(", ");
    const [row] = await rowsOf<Record<string, number | null>>(client, `SELECT ${columns}`);
    const found = await quantiles(map);
    for (const [i, value] of found.entries()) expect(row![`q${i}`]).toBeCloseTo(value!, 12);
  }
});

test("refuses a quantile outside 0 to 1", () => {
  expect(() => bucketQuantile("m", 95)).toThrow("quantile must be from 0 to 1, got 95");
  expect(() => bucketQuantile("m", Number.NaN)).toThrow(RangeError);
});
