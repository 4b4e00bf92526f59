import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grafanaInterval } from "../src/interval.ts";
import { expand } from "../src/macros.ts";
import { aggregateSeries, gaugeSeries, heatmapColumns, quantileSeries } from "../src/sql/series.ts";
import { startTestEngine, type TestEngine } from "./support/engine.ts";

const RATE = 20;
const PROCESSES = 2;
const DAY_MS = 86_400_000;
/** Each export period has a day of its own. */
const CASES = [
  { period: 1, ranges: [300, 1800] },
  { period: 2, ranges: [300, 1800] },
  { period: 10, ranges: [300, 1800, 6 * 3600, 24 * 3600] },
  { period: 60, ranges: [1800, 24 * 3600] },
] as const;

let engine: TestEngine;
const midnight = Math.floor(Date.now() / DAY_MS) * DAY_MS;

function endOf(period: number): number {
  return midnight - CASES.findIndex((each) => each.period === period) * 2 * DAY_MS;
}

beforeAll(async () => {
  engine = await startTestEngine();
  for (const { period, ranges } of CASES) {
    const seconds = Math.max(...ranges);
    // Two processes with phases of their own, each at half the rate; every export a little late.
    const exports = `SELECT number % ${PROCESSES} AS p, intDiv(number, ${PROCESSES}) AS n, concat('p', toString(p)) AS instance,
      fromUnixTimestamp64Milli(toInt64(${endOf(period) - seconds * 1000} + n * ${period * 1000} + p * ${period * 370} + n % 7), 'UTC') AS ts
      FROM numbers(${PROCESSES * (Math.ceil(seconds / period) + 1)})`;
    const half = (RATE * period) / PROCESSES;
    await engine.writer.command({
      query: `INSERT INTO http_requests (ts, service, runtime, instance, route, status, count, sum, buckets)
        SELECT ts, 'shop', 'node', instance, '/', 200, ${half}, ${half * 0.1}, map(toInt16(-54), toUInt64(${half})) FROM (${exports})`,
    });
    await engine.writer.command({
      query: `INSERT INTO resource_samples (ts, service, runtime, instance, kind, name, scope, capacity, busy, waiting, wait_count, wait_sum, wait_buckets)
        SELECT ts, 'shop', 'node', instance, 'event_loop', 'main', 'process', 1, 0.25, 3, 20, 0.02, map(toInt16(-160), toUInt64(19), toInt16(0), toUInt64(1)) FROM (${exports})`,
    });
  }
});

afterAll(async () => {
  await engine.stop();
});

async function run(sql: string, period: number, range: number): Promise<readonly Record<string, number | string>[]> {
  // Grafana's range never falls on the exports.
  const to = new Date(endOf(period) - 1234);
  const from = new Date(to.getTime() - range * 1000 + 5000);
  const intervalMs = grafanaInterval(range * 1000, 1000, 5000);
  const result = await engine.reader.query({ query: expand(sql, { from, to, intervalMs }), format: "JSONEachRow" });
  return (await result.json()) as unknown as Record<string, number | string>[];
}

const every = CASES.flatMap(({ period, ranges }) => ranges.map((range) => ({ period, range })));

describe.each(every)("exports of $period s over a range of $range s", ({ period, range }) => {
  it("a rate is the rate in every bucket, at both edges too", async () => {
    const rows = await run(
      aggregateSeries({ from: "http_requests", name: "'all'", value: "sum(count) / step" }),
      period,
      range,
    );
    expect(rows.length).toBeGreaterThan(Math.min(12, range / period / 3));
    const values = rows.map(({ value }) => Number(value)).sort((a, b) => a - b);
    expect(values.reduce((a, b) => a + b, 0) / values.length).toBeCloseTo(RATE, -Math.log10(RATE * 0.06));
    // A bucket holds one export of a process more or less when the exports drift against it.
    expect(values[Math.floor(values.length * 0.05)]).toBeGreaterThan(RATE * 0.85);
    expect(values[Math.floor(values.length * 0.95)]).toBeLessThan(RATE * 1.15);
  });

  it("a gauge of several processes is their sum, however many exports a bucket holds", async () => {
    const rows = await run(
      gaugeSeries({
        from: "resource_samples",
        name: "'all'",
        key: "instance",
        value: "sum(waiting_sum) / sum(waiting_n)",
        combine: "sum",
      }),
      period,
      range,
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ value }) => value === 6).length / rows.length).toBeGreaterThan(0.95);
  });

  it("a quantile is that of all waits together", async () => {
    const rows = await run(
      quantileSeries({ from: "resource_samples", name: "'w'", buckets: "wait_buckets", quantiles: [0.5, 0.99] }),
      period,
      range,
    );
    for (const { series, value } of rows) {
      if (series === "w p50") expect(Math.abs(Number(value) / 2 ** -10 - 1)).toBeLessThan(0.05);
      else expect(Math.abs(Number(value) - 1)).toBeLessThan(0.05);
    }
    expect(rows.length).toBeGreaterThan(0);
  });
});

it("a heat map's rows are ascending, end on the same edges, and hold every wait once", async () => {
  const rows = await run(heatmapColumns({ from: "resource_samples", buckets: "wait_buckets" }), 2, 300);
  const { time: _, ...first } = rows[0] ?? {};
  const bounds = Object.keys(first).map(Number);
  expect(bounds).toEqual([...bounds].sort((a, b) => a - b));
  expect(first["0.0020"]).toBe(19 * Number(first["2.0"]));
  expect(Object.values(first).reduce((sum: number, each) => sum + Number(each), 0) % 20).toBe(0);
});
