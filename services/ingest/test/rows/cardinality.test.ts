import { describe, expect, test } from "vitest";
import { Cardinality } from "../../src/rows/cardinality.ts";
import { type Decoded, Decoder } from "../../src/rows/decoder.ts";
import { attribute, encode, METRICS, metricsRequest, nanos } from "../otlp-messages.ts";

const HOUR_MS = 3_600_000;
const SERIES_TABLE = 0;

const start = Date.UTC(2026, 0, 15, 12);
let now = start;
const decoder = (perMetric: number, perService = 100, maxSeries = 1_000) => {
  now = start;
  return new Decoder({ retentionDays: 15, maxSeries, limits: { perMetric, perService }, now: () => now });
};

/** One point each for users 0 to `users`, in a form that `metric` makes of the points. */
const points = (users: readonly number[], more: object = { asInt: "2" }) =>
  users.map((user) => ({ timeUnixNano: nanos(now), attributes: [attribute("user", `u${user}`)], ...more }));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const deltaSum = (name: string, users: readonly number[], more?: object) => ({
  name,
  sum: { dataPoints: points(users, more), aggregationTemporality: 1, isMonotonic: true },
});
const gauges = (name: string, users: readonly number[]) => ({ name, gauge: { dataPoints: points(users) } });
const send = (to: Decoder, metrics: object[], resource?: Record<string, string>): Decoded =>
  to.decode("metrics", "protobuf", encode(METRICS, metricsRequest(metrics, resource)));
const newSeries = ({ blocks }: Decoded) => blocks.find(({ table }) => table === SERIES_TABLE)?.rows ?? 0;

describe("a metric with more series than its budget", () => {
  test("folds delta counters into one marked series, loses no point and says so", () => {
    const decoded = send(decoder(10), [deltaSum("orders", range(0, 25))]);
    expect(decoded).toMatchObject({ points: 25, rejected: 0 });
    expect(newSeries(decoded)).toBe(11);
    expect(decoded.overflow).toEqual([{ service: "shop", metric: "orders", folded: 15, rejected: 0 }]);
    expect(decoded.message).toBe(
      "folded 15 into series marked otel.metric.overflow or values (overflow): too many series (limits: 10 per metric, 100 per service) in orders of shop",
    );
  });

  test("uses one marked series for all processes and scopes of the service", () => {
    const to = decoder(1);
    let rows = 0;
    for (const instance of ["a", "b", "c"]) {
      const resource = { "service.name": "shop", "service.instance.id": instance };
      rows += newSeries(send(to, [deltaSum("orders", range(0, 5))], resource));
    }
    expect(rows).toBe(2);
  });

  test("rejects gauges, cumulative sums and summaries, which have no right sum", () => {
    const cumulative = (name: string) => ({
      name,
      sum: { dataPoints: points(range(0, 3)), aggregationTemporality: 2, isMonotonic: true },
    });
    const summary = { name: "sizes", summary: { dataPoints: points(range(0, 3), { count: "1", sum: 2 }) } };
    const decoded = send(decoder(1), [gauges("depth", range(0, 3)), cumulative("total"), summary]);
    expect(decoded).toMatchObject({ points: 3, rejected: 6 });
    expect(decoded.rejectedBy).toEqual(new Map([["too_many_series", 6]]));
    expect(decoded.message).toContain("rejected 6: 6 of series over the budget of their metric or service");
    expect(newSeries(decoded)).toBe(3);
  });

  test("lets known series through while it refuses new ones, and remembers nothing of those", () => {
    const to = decoder(10);
    send(to, [gauges("depth", range(0, 10))]);
    const before = to.series;
    for (let i = 1; i <= 20; i++) {
      const decoded = send(to, [gauges("depth", [...range(0, 10), ...range(100 * i, 100 * i + 50)])]);
      expect([decoded.points, decoded.rejected]).toEqual([10, 50]);
    }
    expect(to.series).toBe(before);
  });

  test("is told apart from the same metric of another service", () => {
    const to = decoder(5);
    expect(send(to, [gauges("depth", range(0, 9))]).rejected).toBe(4);
    expect(send(to, [gauges("depth", range(0, 5))], { "service.name": "other" }).rejected).toBe(0);
  });
});

describe("a service with more series than its budget", () => {
  test("folds where the metric has a series, and rejects metrics without one", () => {
    const to = decoder(10, 12);
    const decoded = send(to, [
      deltaSum("a", range(0, 10)),
      deltaSum("b", range(0, 10)),
      ...range(0, 5).map((i) => deltaSum(`random.${i}`, [0])),
    ]);
    expect(decoded.overflow).toEqual([
      { service: "shop", metric: "b", folded: 8, rejected: 0 },
      ...range(0, 5).map((i) => ({ service: "shop", metric: `random.${i}`, folded: 0, rejected: 1 })),
    ]);
    expect(decoded).toMatchObject({ points: 20, rejected: 5 });
  });
});

describe("a series that is let in", () => {
  test("stays in while it is seen, and leaves its place an hour after", () => {
    const to = decoder(2);
    send(to, [gauges("depth", [1, 2])]);
    for (let half = 0; half < 4; half++) {
      now += HOUR_MS / 2;
      expect(send(to, [gauges("depth", [3])]).rejected).toBe(1);
      expect(send(to, [gauges("depth", [1, 2])]).rejected).toBe(0);
    }
    now += HOUR_MS / 2;
    send(to, [gauges("depth", [1])]);
    now += HOUR_MS / 2;
    send(to, [gauges("depth", [1])]);
    expect(send(to, [gauges("depth", [3])]).rejected).toBe(0);
    expect(send(to, [gauges("depth", [2])]).rejected).toBe(1);
    expect(to.liveSeries).toBe(2);
  });

  test("stays in when the book of series was forgotten for want of memory", () => {
    const to = decoder(10, 100, 20);
    send(to, [gauges("depth", range(0, 10))]);
    send(
      to,
      range(0, 12).map((i) => gauges(`other.${i}`, [0])),
    );
    const after = send(to, [gauges("depth", range(5, 15))]);
    expect(newSeries(after), "their rows are written again").toBe(5);
    expect(after.rejected).toBe(5);
    expect(send(to, [gauges("depth", range(0, 10))]).rejected).toBe(0);
  });
});

describe("the columns of subject tables", () => {
  const requests = (routes: readonly string[]) => ({
    name: "http.server.request.duration",
    unit: "s",
    histogram: {
      aggregationTemporality: 1,
      dataPoints: routes.map((route) => ({
        timeUnixNano: nanos(now),
        count: "1",
        sum: 0.1,
        bucketCounts: ["1", "0"],
        explicitBounds: [1],
        attributes: [attribute("http.route", route)],
      })),
    },
  });

  test("take no more than 2,000 routes, keep every request, and ignore the budget of series", () => {
    const decoded = send(decoder(10), [requests(range(0, 2_500).map((i) => `/user/${i}`))]);
    expect(decoded).toMatchObject({ points: 2_500, rejected: 0 });
    expect(decoded.overflow).toEqual([
      { service: "shop", metric: "http.server.request.duration", folded: 500, rejected: 0 },
    ]);
    const [block] = decoded.blocks;
    expect(block!.bytes.includes("(overflow)")).toBe(true);
    expect(block!.bytes.includes("/user/1999")).toBe(true);
    expect(block!.bytes.includes("/user/2000")).toBe(false);
  });

  test("give a statement over the limit no id, so that its text is not stored either", () => {
    const statement = (i: number) => ({
      timeUnixNano: nanos(now),
      count: "1",
      sum: 0.1,
      bucketCounts: ["1", "0"],
      explicitBounds: [1],
      attributes: [
        attribute("db.query.text", `SELECT column_${i} FROM a_table_with_a_long_name WHERE id = ? AND name = ?`),
      ],
    });
    const decoded = send(decoder(10), [
      {
        name: "db.client.operation.duration",
        unit: "s",
        histogram: { aggregationTemporality: 1, dataPoints: range(0, 10_003).map(statement) },
      },
    ]);
    expect(decoded).toMatchObject({ rejected: 0, overflow: [{ folded: 3 }] });
    expect(decoded.blocks.map(({ rows }) => rows)).toEqual([10_000, 10_003]);
  });

  test("reject resources over the limit: their numbers would mix", () => {
    const resource = (i: number) => ({
      timeUnixNano: nanos(now),
      asDouble: 1,
      attributes: [attribute("tidemark.resource.kind", "db_pool"), attribute("tidemark.resource.name", `p${i}`)],
    });
    const decoded = send(decoder(10), [
      { name: "tidemark.resource.busy", gauge: { dataPoints: range(0, 2_010).map(resource) } },
    ]);
    expect(decoded).toMatchObject({ points: 2_000, rejected: 10 });
  });
});

test("a budget forgets services that are gone", () => {
  const guard = new Cardinality({ perMetric: 5, perService: 5 });
  guard.begin(0);
  for (let i = 0; i < 1_000; i++) guard.admit(guard.budget(`service-${i}`, "m"), i, 0);
  expect(guard.series).toBe(1_000);
  guard.begin(HOUR_MS);
  guard.begin(2 * HOUR_MS);
  guard.sweep();
  expect(guard.series).toBe(0);
});
