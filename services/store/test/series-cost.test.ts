import { afterAll, beforeAll, expect, test } from "vitest";
import { createStoreClient, type StoreClient } from "../src/client.ts";
import { migrate } from "../src/migrate.ts";
import { type Engine, rows, rowsOf, startEngine } from "./engine.ts";

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

const stamp = (secondsAgo = 0) =>
  new Date(Date.now() - secondsAgo * 1e3).toISOString().replace("T", " ").replace("Z", "");
const insert = (table: string, values: object[]) => client.insert({ table, values, format: "JSONEachRow" });
const DAY_S = 86_400;

/** `count` series of a metric with `samples` points each, first seen `ageSeconds` ago. */
async function write(service: string, metric: string, count: number, samples: number, ageSeconds = 0, attributes = {}) {
  const ids = Array.from({ length: count }, (_, i) => `${service.length * 1_000_000 + metric.length * 10_000 + i}`);
  const announced = ageSeconds > 0 ? [ageSeconds, 60] : [60];
  await insert(
    "series",
    announced.flatMap((ago) =>
      ids.map((series_id) => ({ service, metric, series_id, attributes, last_seen: stamp(ago).slice(0, 19) })),
    ),
  );
  await insert(
    "samples",
    ids.flatMap((series_id) =>
      Array.from({ length: samples }, (_, i) => ({ service, metric, series_id, ts: stamp(i), m: i, e: 0 })),
    ),
  );
}

test("series_cost says which metric of which service has how many series and rows, and what share of the bytes", async () => {
  await write("shop", "big", 100, 20);
  await write("shop", "old", 10, 5, 2 * DAY_S);
  await write("shop", "folded", 1, 50, 0, { "otel.metric.overflow": "true" });
  // Its series ended two days ago; its samples are of today, so the metric is still listed.
  await insert("series", [{ service: "shop", metric: "gone", series_id: 7, last_seen: stamp(2 * DAY_S).slice(0, 19) }]);
  await insert("samples", [{ service: "shop", metric: "gone", series_id: 7, ts: stamp(), m: 1, e: 0 }]);
  // Yesterday's samples are beside the point.
  await insert("samples", [{ service: "shop", metric: "big", series_id: 1, ts: stamp(1.5 * DAY_S), m: 1, e: 0 }]);
  await insert("http_requests", [
    { service: "web", ts: stamp(), instance: "a", route: "/a", method: "GET", status: 200, count: 1, points: 1 },
    { service: "web", ts: stamp(1), instance: "a", route: "/a", method: "GET", status: 200, count: 1, points: 1 },
    { service: "web", ts: stamp(), instance: "b", route: "/a", method: "GET", status: 200, count: 1, points: 1 },
  ]);
  await insert("series", [
    {
      service: "tidemark-ingest",
      metric: "tidemark.ingest.overflow",
      series_id: 99,
      attributes: {
        "tidemark.source": "shop",
        "tidemark.overflow.metric": "folded",
        "tidemark.overflow.outcome": "folded",
      },
      last_seen: stamp().slice(0, 19),
    },
  ]);
  await insert("samples", [
    { service: "tidemark-ingest", metric: "tidemark.ingest.overflow", series_id: 99, ts: stamp(), m: 40, e: 0 },
    { service: "tidemark-ingest", metric: "tidemark.ingest.overflow", series_id: 99, ts: stamp(1), m: 2, e: 0 },
  ]);
  // As the read-only user sees it, whom the dashboards use.
  const found = await rows<Record<string, unknown>>(
    engine.readerUrl(),
    `SELECT service, metric, stored_in, toUInt32(series) AS series, toUInt32(new_series) AS new_series, toUInt32(marked_series) AS marked_series,
       toUInt32(samples) AS samples, toUInt32(rows) AS rows, folded, rejected, row_bytes > 0 AND bytes = row_bytes + series_bytes AND (series_bytes > 0) = (series > 0 AND stored_in = 'samples') AS sized
     FROM series_cost WHERE service IN ('shop', 'web') ORDER BY service, metric`,
  );
  const line = { stored_in: "samples", marked_series: 0, folded: 0, rejected: 0, sized: 1 };
  expect(found).toEqual([
    { ...line, service: "shop", metric: "big", series: 100, new_series: 100, samples: 2_000, rows: 2_000 },
    {
      ...line,
      ...{ service: "shop", metric: "folded", series: 1, new_series: 1, samples: 50, rows: 50 },
      ...{ marked_series: 1, folded: 42 },
    },
    { ...line, service: "shop", metric: "gone", series: 0, new_series: 0, samples: 1, rows: 1 },
    { ...line, service: "shop", metric: "old", series: 10, new_series: 0, samples: 50, rows: 50 },
    {
      ...line,
      ...{ service: "web", metric: "http.server.request.duration", stored_in: "http_requests" },
      ...{ series: 2, new_series: null, samples: 3, rows: 3 },
    },
  ]);
  const [{ share }] = (await rowsOf<{ share: number }>(client, "SELECT sum(share) AS share FROM series_cost")) as [
    { share: number },
  ];
  expect(share).toBeCloseTo(1, 6);
});

test("the bytes of all metrics of a table are its size on disk", async () => {
  await client.command({ query: "OPTIMIZE TABLE samples FINAL" });
  const [row] = await rowsOf<{ estimated: number; actual: number }>(
    client,
    `SELECT (SELECT sum(row_bytes) FROM series_cost WHERE stored_in = 'samples') AS estimated,
       (SELECT toFloat64(sum(bytes_on_disk) * (SELECT countIf(ts > now() - INTERVAL 1 DAY) / count() FROM samples)) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'samples') AS actual`,
  );
  expect(row!.estimated).toBeCloseTo(row!.actual, 0);
});
