import { afterAll, beforeAll, expect, test } from "vitest";
import { createStoreClient, type StoreClient } from "../src/client.ts";
import { migrate } from "../src/migrate.ts";
import type { SaturationRow } from "../src/tables.ts";
import { type Engine, rowsOf, startEngine } from "./engine.ts";

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
const select = <T>(query: string) => rowsOf<T>(client, query);
const insert = (table: string, values: object[], settings = {}) =>
  client.insert({ table, values, format: "JSONEachRow", clickhouse_settings: settings });
const recent = (secondsAgo = 0) =>
  new Date(Date.now() - secondsAgo * 1e3).toISOString().replace("T", " ").replace("Z", "");

/** A series of points over some hours with every exponent, and bits of a Float64 where a decimal does not fit. */
async function fillSamples(metric: string, n: number, settings: Record<string, string | number>): Promise<void> {
  const body = await client.exec({
    query: `SELECT '${metric}' AS metric, 's' AS service, number % 5 AS series_id,
      toDateTime64(toStartOfDay(now('UTC') - INTERVAL 1 DAY, 'UTC'), 3, 'UTC') + INTERVAL (number * 1303) MILLISECOND AS ts,
      if(number % 7 = 0, reinterpretAsInt64(sqrt(toFloat64(number))), toInt64(number * 37 % 100003)) AS m,
      if(number % 7 = 0, toInt8(127), toInt8(number % 9 - 5)) AS e FROM numbers(${n}) FORMAT Native`,
    clickhouse_settings: { max_block_size: "1000" },
  });
  const blocks = await body.stream.toArray();
  const { Readable } = await import("node:stream");
  const done = await client.exec({
    query: "INSERT INTO samples FORMAT Native",
    values: Readable.from([Buffer.concat(blocks)], { objectMode: false }),
    clickhouse_settings: settings,
  });
  await done.stream.resume().toArray();
}

test("keeps decimals and Float64 bits exactly", async () => {
  await insert("samples", [
    { metric: "exact", service: "s", series_id: 1, ts: recent(), m: "123456789012345", e: -9 },
    { metric: "exact", service: "s", series_id: 2, ts: recent(), m: "-5", e: 3 },
    { metric: "exact", service: "s", series_id: 3, ts: recent(), m: "4591870180066957722", e: 127 },
  ]);
  const values = await select("SELECT value FROM samples WHERE metric = 'exact' ORDER BY series_id");
  expect(values).toEqual([{ value: 123456.789012345 }, { value: -5000 }, { value: 0.1 }]);
});

test("rollups equal the base, minute and hour, and one token counts once in all of them", async () => {
  const settings = {
    insert_deduplication_token: "node:samples:1",
    deduplicate_blocks_in_dependent_materialized_views: 1,
  };
  for (let i = 0; i < 3; i++) await fillSamples("rolled", 12_000, settings);
  const [base] = await select<{ n: number }>("SELECT count() AS n FROM samples WHERE metric = 'rolled'");
  expect(base).toEqual({ n: 12_000 });
  for (const [table, start] of [
    ["samples_1m", "toStartOfMinute"],
    ["samples_1h", "toStartOfHour"],
  ]) {
    const wrong = await select(
      `SELECT * FROM
        (SELECT service, series_id, ${start}(ts) AS t, count() AS n, sum(value) AS total, min(value) AS lowest, max(value) AS highest
         FROM samples WHERE metric = 'rolled' GROUP BY service, series_id, t) AS a
       FULL JOIN
        (SELECT service, series_id, ts AS t, sum(n) AS n, sum(total) AS total, min(lowest) AS lowest, max(highest) AS highest
         FROM ${table} WHERE metric = 'rolled' GROUP BY service, series_id, t) AS b
       USING (service, series_id, t)
       WHERE a.n != b.n OR a.lowest != b.lowest OR a.highest != b.highest
          OR abs(a.total - b.total) > 1e-9 * abs(a.total)`,
    );
    expect([table, wrong]).toEqual([table, []]);
  }
  await fillSamples("rolled", 12_000, { ...settings, insert_deduplication_token: "node:samples:2" });
  expect(await select("SELECT sum(n) AS n FROM samples_1h WHERE metric = 'rolled'")).toEqual([{ n: 24_000 }]);
});

test("one token counts once in every table that takes rows", async () => {
  const settings = { insert_deduplication_token: "t", deduplicate_blocks_in_dependent_materialized_views: 1 };
  const ts = recent();
  const one: Record<string, object> = {
    histograms: { metric: "h", ts },
    exp_histograms: { metric: "h", ts },
    summaries: { metric: "h", ts },
    resource_samples: { service: "once", ts },
    http_requests: { service: "once", ts },
    request_phases: { service: "once", ts },
    query_timings: { service: "once", ts },
    connection_memory: { service: "once", ts },
    alert_events: { rule_id: "once", ts, started_at: ts, state: "recovered" },
    otel_traces: { ServiceName: "once", TraceId: "abc", Timestamp: ts },
    otel_logs: { ServiceName: "once", Timestamp: ts },
  };
  for (const [table, row] of Object.entries(one)) {
    for (let i = 0; i < 2; i++) await insert(table, [row], settings);
    expect([table, await select(`SELECT count() AS n FROM ${table}`)]).toEqual([table, [{ n: 1 }]]);
  }
  expect(await select("SELECT count() AS n FROM otel_traces_trace_id_ts WHERE TraceId = 'abc'")).toEqual([{ n: 1 }]);
});

test("saturation: utilization, percentiles within what was measured, NULL where there is no number", async () => {
  const ts = recent();
  await insert("resource_samples", [
    {
      ...{
        ts,
        service: "sat",
        runtime: "django",
        instance: "i",
        worker: "1",
        kind: "thread_pool",
        name: "gunicorn-gthread",
      },
      ...{
        scope: "process",
        capacity: 4,
        busy: 3,
        busy_max: 4,
        waiting: 10,
        waiting_max: 36,
        wait_count: 100,
        wait_sum: 50,
      },
      // 50 values in (0.5, 0.522], 50 in (1, 1.044]
      ...{ wait_max: 1.01, wait_buckets: { "0": 50, "-16": 50 }, rejected: 1, saturated_time: 0.5, stall_age: 0.2 },
    },
    { ts, service: "sat", runtime: "node", kind: "listen_queue", name: "l" },
  ]);
  const [pool] = await select<SaturationRow>("SELECT * FROM saturation WHERE service = 'sat' AND kind = 'thread_pool'");
  expect(pool).toMatchObject({
    utilization: 0.75,
    wait_count: 100,
    wait_p99: 1.01,
    wait_max: 1.01,
    stall_age: 0.2,
    scope: "process",
  });
  expect(pool!.wait_p50).toBeCloseTo(2 ** (-15 / 16), 6);
  expect(pool!.wait_p95).toBe(1.01);
  const [queue] = await select<SaturationRow>(
    "SELECT * FROM saturation WHERE service = 'sat' AND kind = 'listen_queue'",
  );
  const { capacity, busy, utilization, wait_count, wait_p50, wait_p99, wait_max, rejected } = queue!;
  expect([capacity, busy, utilization, wait_count, wait_p50, wait_p99, wait_max, rejected]).toEqual(
    Array(8).fill(null),
  );
  expect(await select("SELECT kind, capacity FROM thread_saturation WHERE service = 'sat'")).toEqual([
    { kind: "thread_pool", capacity: 4 },
  ]);
  await insert("resource_samples", [
    { ts, service: "sat", kind: "event_loop", name: "main", wait_count: 4, wait_sum: 1, wait_buckets: { "-32": 4 } },
  ]);
  const [lag] = await select<{ lag_mean: number; lag_p99: number }>(
    "SELECT * FROM event_loop_lag WHERE service = 'sat'",
  );
  expect(lag).toMatchObject({ lag_mean: 0.25 });
  expect(lag!.lag_p99).toBeCloseTo(2 ** ((-32 + 0.99) / 16), 6);
});

test("a filter on the view's time reaches the table's index", async () => {
  const days = Array.from({ length: 6 }, (_, day) => ({
    ts: recent(day * 86_400),
    service: "pushed",
    kind: "event_loop",
    name: "main",
  }));
  await insert("resource_samples", days);
  for (const view of ["saturation", "event_loop_lag"]) {
    const plan = await select<{ explain: string }>(
      `EXPLAIN indexes = 1 SELECT * FROM ${view} WHERE ts >= now() - INTERVAL 1 HOUR AND service = 'pushed'`,
    );
    const text = plan.map((line) => line.explain).join("\n");
    expect(text).toMatch(/Min-?Max[\s\S]*Condition:[^\n]*ts/);
    expect(text).toMatch(/PrimaryKey[\s\S]*service/);
    // Of the parts of six days only today's are read.
    const [, read, all] = /Min-?Max[\s\S]*?Parts: (\d+)\/(\d+)/.exec(text)!.map(Number);
    expect(read! <= all! - 5).toBe(true);
  }
  for (const view of ["metrics", "otel_metrics_gauge"]) {
    const [time, metric] = view === "metrics" ? ["ts", "metric"] : ["TimeUnix", "MetricName"];
    const plan = await select<{ explain: string }>(
      `EXPLAIN indexes = 1 SELECT * FROM ${view} WHERE ${time} >= now() - INTERVAL 1 HOUR AND ${metric} = 'rolled'`,
    );
    expect(plan.map((line) => line.explain).join("\n")).toMatch(
      /Min-?Max[\s\S]*Condition:[^\n]*ts[\s\S]*PrimaryKey[\s\S]*metric/,
    );
  }
});

test("the exporter's views show every sample of a series, also where the series was written twice", async () => {
  const series = { metric: "m.every", service: "s", series_id: 9, unit: "s" };
  await insert("series", [{ ...series, kind: "gauge", last_seen: recent(60).slice(0, 19) }]);
  await insert("series", [{ ...series, kind: "gauge", last_seen: recent().slice(0, 19) }]);
  const point = { metric: "m.every", service: "s", series_id: 9, e: 0 };
  await insert(
    "samples",
    [1, 2, 3].map((m) => ({ ...point, ts: recent(10 * m), m })),
  );
  const values = (view: string, value: string, metric: string) =>
    select(`SELECT ${value} AS value FROM ${view} WHERE ${metric} = 'm.every' ORDER BY value`);
  const every = [{ value: 1 }, { value: 2 }, { value: 3 }];
  expect(await values("otel_metrics_gauge", "Value", "MetricName")).toEqual(every);
  expect(await values("metrics", "value", "metric")).toEqual(every);
  expect(await values("otel_metrics_sum", "Value", "MetricName")).toEqual([]);
});

test("stalls and annotations come from log events, alerts_current from the last change of each label set", async () => {
  const ts = recent();
  await insert("otel_logs", [
    {
      Timestamp: ts,
      ServiceName: "shop",
      EventName: "tidemark.stall",
      TraceId: "t1",
      ResourceAttributes: { "telemetry.distro.name": "tidemark-node", "service.instance.id": "i1" },
      LogAttributes: {
        "tidemark.stall.duration": "0.31",
        "tidemark.stall.late": "true",
        "tidemark.stall.ended": "true",
        "tidemark.stall.victims": "3",
        "tidemark.stall.victims.lost_time": "0.9",
        "http.route": "/r",
        "code.line.number": "12",
      },
    },
    {
      Timestamp: ts,
      EventName: "tidemark.annotation",
      Body: "500 sockets",
      LogAttributes: { "tidemark.annotation.title": "WebSockets", "tidemark.annotation.duration": "12.5" },
    },
  ]);
  const [stall] = await select<Record<string, unknown>>("SELECT * FROM stalls WHERE service = 'shop'");
  expect(stall).toMatchObject({
    runtime: "node",
    instance: "i1",
    duration: 0.31,
    late: true,
    ended: true,
    victims: 3,
    victims_lost_time: 0.9,
    victims_routes: "",
    route: "/r",
    code_line: 12,
    trace_id: "t1",
  });
  const [mark] = await select<Record<string, unknown>>(
    "SELECT title, text, dateDiff('millisecond', ts, ts_end) AS ms FROM annotations WHERE title != ''",
  );
  expect(mark).toEqual({ title: "WebSockets", text: "500 sockets", ms: 12_500 });

  const event = (state: string, secondsAgo: number, fingerprint: string) => ({
    ...{
      ts: recent(secondsAgo),
      started_at: recent(secondsAgo),
      rule_id: "r",
      fingerprint,
      state,
      value: 0.9,
      labels: { a: "b" },
    },
  });
  await insert("alert_events", [
    event("pending", 30, "f1"),
    event("firing", 20, "f1"),
    event("firing", 20, "f2"),
    event("recovered", 10, "f2"),
  ]);
  expect(await select("SELECT fingerprint, state, value, labels FROM alerts_current WHERE rule_id = 'r'")).toEqual([
    { fingerprint: "f1", state: "firing", value: 0.9, labels: { a: "b" } },
  ]);
});

test("the exporter's metric tables are views over the narrow ones", async () => {
  const ts = recent();
  const identity = {
    metric: "m.x",
    service: "s",
    resource: { "host.name": "h" },
    attributes: { a: "b" },
    unit: "s",
    last_seen: ts.slice(0, 19),
  };
  await insert("series", [
    { ...identity, series_id: 1, kind: "gauge" },
    { ...identity, series_id: 2, kind: "sum", temporality: "cumulative", monotonic: true },
    { ...identity, series_id: 3, kind: "exponential_histogram", temporality: "delta" },
    { ...identity, series_id: 4, kind: "histogram", temporality: "delta" },
    { ...identity, series_id: 5, kind: "summary" },
  ]);
  const point = { metric: "m.x", service: "s", ts };
  await insert("samples", [
    { ...point, series_id: 1, m: 15, e: -1 },
    { ...point, series_id: 2, m: 7, e: 0 },
  ]);
  await insert("exp_histograms", [
    { ...point, series_id: 3, count: 3, sum: 1.5, scale: 4, zero: 1, positive: { "-2": 1, "1": 2 }, negative: {} },
  ]);
  await insert("histograms", [{ ...point, series_id: 4, count: 3, sum: 1.5, bounds: [1], buckets: [2, 1] }]);
  await insert("summaries", [{ ...point, series_id: 5, count: 3, sum: 1.5, quantiles: [0.5], values: [9] }]);
  const shared = {
    ServiceName: "s",
    MetricName: "m.x",
    MetricUnit: "s",
    Attributes: { a: "b" },
    ResourceAttributes: { "host.name": "h" },
  };
  const one = async (view: string) => (await select<object>(`SELECT * FROM ${view} WHERE MetricName = 'm.x'`))[0];
  expect(await one("otel_metrics_gauge")).toMatchObject({ ...shared, Value: 1.5 });
  expect(await one("otel_metrics_sum")).toMatchObject({
    ...shared,
    Value: 7,
    AggregationTemporality: 2,
    IsMonotonic: true,
  });
  expect(await one("otel_metrics_exponential_histogram")).toMatchObject({
    ...shared,
    ...{
      Count: 3,
      Sum: 1.5,
      Scale: 4,
      ZeroCount: 1,
      PositiveOffset: -2,
      PositiveBucketCounts: [1, 0, 0, 2],
      AggregationTemporality: 1,
    },
  });
  expect(await one("otel_metrics_histogram")).toMatchObject({ ...shared, BucketCounts: [2, 1], ExplicitBounds: [1] });
  expect(await one("otel_metrics_summary")).toMatchObject({
    ...shared,
    "ValueAtQuantiles.Quantile": [0.5],
    "ValueAtQuantiles.Value": [9],
  });
  expect(await select("SELECT value, unit, attributes FROM metrics WHERE metric = 'm.x' AND kind = 'gauge'")).toEqual([
    { value: 1.5, unit: "s", attributes: { a: "b" } },
  ]);
});
