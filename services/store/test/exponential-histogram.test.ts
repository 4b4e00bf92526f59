import { afterAll, beforeAll, expect, test } from "vitest";
import { createStoreClient, type StoreClient } from "../src/client.ts";
import { exponentialQuantile, mergeExponential } from "../src/exponential-histogram.ts";
import { migrate } from "../src/migrate.ts";
import { type Engine, rowsOf, startEngine } from "./engine.ts";

const QUANTILES = [0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1];
/** Scale of each of the processes that send. 20 is the finest an SDK begins with, -2 covers sixteen powers of two in a bucket. */
const SCALES = [20, 8, 4, 3, 0, -2];
const MINUTES = 3;
const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 7_200_000;

let engine: Engine;
let client: StoreClient;
beforeAll(async () => {
  engine = await startEngine();
  await migrate(engine.url());
  client = createStoreClient(engine.url());
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

interface Histogram {
  zero: number;
  positive: Map<number, number>;
  negative: Map<number, number>;
}

/** As the data model says: index i of scale s holds (2^(i/2^s), 2^((i+1)/2^s)]. */
function histogram(values: readonly number[], scale: number): Histogram {
  const result: Histogram = { zero: 0, positive: new Map(), negative: new Map() };
  for (const value of values) {
    if (value === 0) {
      result.zero++;
      continue;
    }
    const buckets = value > 0 ? result.positive : result.negative;
    const index = Math.ceil(Math.log2(Math.abs(value)) * 2 ** scale) - 1;
    buckets.set(index, (buckets.get(index) ?? 0) + 1);
  }
  return result;
}

/** Smallest value with at least q of all values at or below it. */
function exact(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One row of each process and half minute; gives every value that is in them. */
async function send(
  metric: string,
  scales: readonly number[],
  make: (next: () => number) => number,
): Promise<number[]> {
  const next = random(7);
  const all: number[] = [];
  const rows: object[] = [];
  for (const [process, scale] of scales.entries()) {
    for (let half = 0; half < 2 * MINUTES; half++) {
      const values = Array.from({ length: 200 }, () => make(next));
      all.push(...values);
      const { zero, positive, negative } = histogram(values, scale);
      rows.push({
        ...{ metric, service: "s", series_id: process, scale, zero, count: values.length },
        ts: new Date(hour + half * 30_000).toISOString().replace("T", " ").replace("Z", ""),
        sum: values.reduce((a, b) => a + b, 0),
        min: Math.min(...values),
        max: Math.max(...values),
        positive: Object.fromEntries(positive),
        negative: Object.fromEntries(negative),
      });
    }
  }
  await client.insert({ table: "exp_histograms", values: rows, format: "JSONEachRow" });
  return all;
}

const mixed = (next: () => number): number => {
  const kind = next();
  if (kind < 0.1) return 0;
  return (kind < 0.4 ? -1 : 1) * Math.exp(4 * (next() + next() - 1));
};

type Merged = {
  scale: number;
  count: number;
  sum: number;
  zero: number;
  positive: Record<string, number>;
  negative: Record<string, number>;
} & Record<string, number>;

async function merged(from: string, metric: string, by: Record<string, string> = {}): Promise<Merged[]> {
  const quantiles = QUANTILES.map((q, i) => `${exponentialQuantile(q)} AS q${i}`).join(", ");
  return rowsOf<Merged>(
    client,
    `SELECT *, ${quantiles} FROM (${mergeExponential({ from, by, where: `h.metric = '${metric}'` })}) ORDER BY ALL`,
  );
}

test.each(["exp_histograms", "exp_histograms_1m", "exp_histograms_1h"])(
  "histograms of all scales merge into exactly the one of all values: %s",
  async (from) => {
    const metric = `mixed.${from}`;
    const values = await send(metric, SCALES, mixed);
    const [row, ...others] = await merged(from, metric);
    expect(others).toEqual([]);
    const scale = Math.min(...SCALES);
    const truth = histogram(values, scale);
    expect({ ...row, sum: 0 }).toMatchObject({ scale, count: values.length, zero: truth.zero });
    expect(row!.sum).toBeCloseTo(
      values.reduce((a, b) => a + b, 0),
      6,
    );
    expect(row!.positive).toEqual(Object.fromEntries(truth.positive));
    expect(row!.negative).toEqual(Object.fromEntries(truth.negative));
  },
);

test.each([
  ["exp_histograms", 3],
  ["exp_histograms_1m", 3],
  ["exp_histograms", 6],
  ["exp_histograms_1h", 6],
])("a quantile is within one bucket of the exact one: %s, scales from %i", async (from, finest) => {
  const metric = `quantile.${from}.${finest}`;
  const scales = [finest, finest + 2, 20];
  const values = await send(metric, scales, mixed);
  const [row] = await merged(from, metric);
  // A rollup keeps scale 4 at most.
  const scale = from === "exp_histograms" ? finest : Math.min(4, finest);
  expect(row!.scale).toBe(scale);
  const width = 2 ** (2 ** -scale) - 1;
  for (const [i, q] of QUANTILES.entries()) {
    const truth = exact(values, q);
    expect([q, Math.abs(row![`q${i}`]! - truth) <= Math.abs(truth) * width * 1.0001]).toEqual([q, true]);
  }
});

test("each group is merged by itself, at its own coarsest scale", async () => {
  await send("groups", [5, 3, 1], mixed);
  const rows = await merged("exp_histograms", "groups", { id: "h.series_id", at: "toStartOfMinute(h.ts)" });
  expect(rows).toHaveLength(3 * MINUTES);
  expect(rows.map(({ id, scale }) => [Number(id), scale])).toEqual(
    [5, 3, 1].flatMap((scale, id) => Array(MINUTES).fill([id, scale])),
  );
  expect(rows.map(({ count }) => Number(count))).toEqual(Array(3 * MINUTES).fill(400));
});

test("a quantile is NULL without a measurement and 0 among zeros", async () => {
  const of = async (map: string, zero: number) =>
    rowsOf<{ q: number | null }>(
      client,
      `SELECT ${exponentialQuantile(0.5)} AS q FROM (SELECT toInt8(4) AS scale, toUInt64(${zero}) AS zero, CAST(${map}, 'Map(Int32, UInt64)') AS positive, CAST(map(), 'Map(Int32, UInt64)') AS negative, CAST(NULL, 'Nullable(Float64)') AS min, CAST(NULL, 'Nullable(Float64)') AS max)`,
    );
  expect(await of("map()", 0)).toEqual([{ q: null }]);
  expect(await of("map(3, 4)", 5)).toEqual([{ q: 0 }]);
  expect(() => exponentialQuantile(95)).toThrow("quantile must be from 0 to 1, got 95");
});
