import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@tidemark/store";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildApp, type Config } from "../src/index.ts";
import { attribute, encode, gauge, METRICS, metricsRequest, nanos } from "./otlp-messages.ts";
import { Engine, refusingClickHouse, Service, startIngest, temporaryDirectory, until } from "./processes.ts";

const require = createRequire(import.meta.url);
const KILLS = 6;
const MINUTE_MS = 60_000;

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let engine: Engine;
let now: number;

beforeAll(async () => {
  directory = await temporaryDirectory();
  engine = new Engine(join(directory.path, "engine"));
  await engine.start();
  await migrate(engine.url);
  now = Date.now();
});
afterAll(async () => {
  await engine.stop();
  await directory.remove();
});

let instances = 0;
async function withApp<T>(
  config: Partial<Config>,
  use: (app: FastifyInstance, dataDirectory: string) => Promise<T>,
): Promise<T> {
  const dataDirectory = config.dataDirectory ?? join(directory.path, `ingest-${instances++}`);
  const app = await buildApp({
    clickhouseUrl: engine.url,
    flushIntervalSeconds: 0.05,
    logLevel: "silent",
    ...config,
    dataDirectory,
  });
  try {
    return await use(app, dataDirectory);
  } finally {
    await app.close();
  }
}

async function send(app: FastifyInstance, url: string, message: object): Promise<void> {
  const reply = await app.inject({
    method: "POST",
    url,
    headers: { "content-type": "application/json" },
    payload: JSON.stringify(message),
  });
  expect(reply.json()).toEqual({});
}

async function inserted(app: FastifyInstance): Promise<void> {
  await until("everything acknowledged to be inserted", async () => {
    const { payload } = await app.inject({ url: "/metrics" });
    const read = (name: string) => Number(new RegExp(`^${name} (.+)$`, "m").exec(payload)?.[1]);
    const points = read("tidemark_ingest_acknowledged_points_total");
    return points > 0 && points === read("tidemark_ingest_inserted_points_total");
  });
}

describe("rows in ClickHouse", () => {
  test("samples keep their exact values and find their series", async () => {
    const values = [0, 1, -1, 0.1, 1e-9, 123456.789, -2.5e-300, 1.7976931348623157e308, 2 ** 60, Math.PI, 99.99];
    await withApp({}, async (app) => {
      const points = values.map((asDouble, i) => ({
        asDouble,
        timeUnixNano: nanos(now + i),
        attributes: [attribute("b", "2"), attribute("a", "ü")],
      }));
      const ints = ["9223372036854775807", "-9223372036854775808", "-1"].map((asInt, i) => ({
        asInt,
        timeUnixNano: nanos(now + i),
      }));
      await send(
        app,
        "/v1/metrics",
        metricsRequest([
          { name: "exact.double", unit: "s", gauge: { dataPoints: points } },
          { name: "exact.int", sum: { dataPoints: ints, isMonotonic: true, aggregationTemporality: 2 } },
          // The same series with its attributes in another order.
          {
            name: "exact.double",
            unit: "s",
            gauge: {
              dataPoints: [
                { ...points[0], timeUnixNano: nanos(now + 500), attributes: points[0]!.attributes.toReversed() },
              ],
            },
          },
        ]),
      );
      await inserted(app);
    });
    const rows = await engine.query<{ value: number; bits: string }>(
      "SELECT value, toString(reinterpretAsUInt64(value)) AS bits FROM samples WHERE metric = 'exact.double' ORDER BY ts",
    );
    const bits = (value: number) => {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, value);
      return String(view.getBigUint64(0));
    };
    expect(rows.map((row) => row.bits)).toEqual([...values, values[0]!].map(bits));
    const ints = await engine.query<{ m: string }>(
      "SELECT toString(m) AS m FROM samples WHERE metric = 'exact.int' ORDER BY ts",
    );
    expect(ints.map((row) => row.m)).toEqual(["9223372036854775807", "-9223372036854775808", "-1"]);
    const series = await engine.query(
      "SELECT metric, service, kind, temporality, monotonic, unit, attributes, scope_name, series_id IN (SELECT series_id FROM samples) AS used FROM series FINAL WHERE metric LIKE 'exact%' ORDER BY metric",
    );
    expect(series).toEqual([
      {
        metric: "exact.double",
        service: "shop",
        kind: "gauge",
        temporality: "unspecified",
        monotonic: false,
        unit: "s",
        attributes: { a: "ü", b: "2" },
        scope_name: "test",
        used: 1,
      },
      {
        metric: "exact.int",
        service: "shop",
        kind: "sum",
        temporality: "cumulative",
        monotonic: true,
        unit: "",
        attributes: {},
        scope_name: "test",
        used: 1,
      },
    ]);
  });

  test("histograms of all kinds keep their buckets", async () => {
    const time = { timeUnixNano: nanos(now) };
    await withApp({}, async (app) => {
      await send(
        app,
        "/v1/metrics",
        metricsRequest([
          {
            name: "h.explicit",
            histogram: {
              aggregationTemporality: 1,
              dataPoints: [
                { ...time, count: 6, sum: 7.5, min: 0.5, max: 3, explicitBounds: [1, 2], bucketCounts: [1, 2, 3] },
              ],
            },
          },
          {
            name: "h.exponential",
            exponentialHistogram: {
              aggregationTemporality: 1,
              dataPoints: [
                {
                  ...time,
                  count: 7,
                  sum: -1,
                  scale: 3,
                  zeroCount: 1,
                  positive: { offset: -2, bucketCounts: [1, 0, 2] },
                  negative: { offset: 5, bucketCounts: [3] },
                },
              ],
            },
          },
          {
            name: "h.summary",
            summary: { dataPoints: [{ ...time, count: 4, sum: 10, quantileValues: [{ quantile: 0.5, value: 2 }] }] },
          },
        ]),
      );
      await inserted(app);
    });
    expect(
      await engine.query(
        "SELECT toUInt32(count) AS count, sum, min, max, bounds, arrayMap(x -> toUInt32(x), buckets) AS buckets FROM histograms WHERE metric = 'h.explicit'",
      ),
    ).toEqual([{ count: 6, sum: 7.5, min: 0.5, max: 3, bounds: [1, 2], buckets: [1, 2, 3] }]);
    expect(
      await engine.query(
        "SELECT scale, toUInt32(zero) AS zero, sum, max, mapApply((k, v) -> (toString(k), toUInt32(v)), positive) AS positive, mapApply((k, v) -> (toString(k), toUInt32(v)), negative) AS negative FROM exp_histograms WHERE metric = 'h.exponential'",
      ),
    ).toEqual([{ scale: 3, zero: 1, sum: -1, max: null, positive: { "-2": 1, "0": 2 }, negative: { "5": 3 } }]);
    expect(await engine.query("SELECT quantiles, values FROM summaries WHERE metric = 'h.summary'")).toEqual([
      { quantiles: [0.5], values: [2] },
    ]);
  });

  test("the points of one resource become one row of resource_samples, with the agents' identity", async () => {
    const of = (name: string, value: number, ...more: object[]) =>
      gauge(`tidemark.resource.${name}`, value, now, [
        attribute("tidemark.resource.kind", "thread_pool"),
        attribute("tidemark.resource.name", "gunicorn-gthread"),
        attribute("tidemark.resource.scope", "process"),
        ...more,
      ]);
    const counter = (name: string, reason: string, asInt: number) => ({
      name: `tidemark.resource.${name}`,
      sum: {
        aggregationTemporality: 1,
        isMonotonic: true,
        dataPoints: [
          {
            asInt,
            timeUnixNano: nanos(now),
            attributes: [
              attribute("tidemark.resource.kind", "thread_pool"),
              attribute("tidemark.resource.name", "gunicorn-gthread"),
              attribute("tidemark.rejected.reason", reason),
            ],
          },
        ],
      },
    });
    const wait = {
      name: "tidemark.resource.wait",
      unit: "s",
      exponentialHistogram: {
        aggregationTemporality: 1,
        dataPoints: [
          {
            timeUnixNano: nanos(now),
            count: 5,
            sum: 2,
            max: 1.5,
            scale: 5,
            zeroCount: 1,
            positive: { offset: -3, bucketCounts: [1, 1, 2] },
            attributes: [
              attribute("tidemark.resource.kind", "thread_pool"),
              attribute("tidemark.resource.name", "gunicorn-gthread"),
            ],
          },
        ],
      },
    };
    await withApp({}, async (app) => {
      await send(
        app,
        "/v1/metrics",
        metricsRequest(
          [
            of("capacity", 4),
            of("busy", 3.5),
            of("waiting", 36),
            wait,
            counter("rejected", "a", 2),
            counter("rejected", "b", 3),
          ],
          {
            "service.name": "bookshop",
            "telemetry.distro.name": "tidemark-django",
            "service.instance.id": "i-1",
            "process.pid": "77",
            "tidemark.worker.index": "2",
            "tidemark.server": "gunicorn-gthread",
            "tidemark.group.id": "g",
            "deployment.environment.name": "test",
            "host.name": "h",
          },
        ),
      );
      await inserted(app);
    });
    expect(
      await engine.query(
        "SELECT service, runtime, environment, host, instance, worker, server, group_id, pid, kind, name, scope, capacity, busy, busy_max, waiting, toUInt32(wait_count) AS wait_count, wait_sum, wait_max, mapApply((k, v) -> (toString(k), toUInt32(v)), wait_buckets) AS buckets, stall_age, rejected, points FROM resource_samples WHERE service = 'bookshop'",
      ),
    ).toEqual([
      {
        service: "bookshop",
        runtime: "django",
        environment: "test",
        host: "h",
        instance: "i-1",
        worker: "2",
        server: "gunicorn-gthread",
        group_id: "g",
        pid: 77,
        kind: "thread_pool",
        name: "gunicorn-gthread",
        scope: "process",
        capacity: 4,
        busy: 3.5,
        busy_max: null,
        waiting: 36,
        wait_count: 5,
        wait_sum: 2,
        wait_max: 1.5,
        buckets: { "-32768": 1, "-2": 1, "-1": 3 },
        stall_age: null,
        rejected: 5,
        points: 6,
      },
    ]);
  });

  test("connections join the memory of their kind", async () => {
    const kind = attribute("tidemark.connection.kind", "websocket");
    await withApp({}, async (app) => {
      await send(
        app,
        "/v1/metrics",
        metricsRequest(
          [
            gauge("tidemark.connections", 500, now, [kind, attribute("tidemark.connection.direction", "inbound")]),
            gauge("tidemark.connections", 9, now, [kind, attribute("tidemark.connection.direction", "outbound")]),
            gauge("tidemark.connections.memory", 1e8, now, [kind, attribute("tidemark.memory.type", "rss_anon")]),
            gauge("tidemark.memory.per_connection", 9216, now, [kind, attribute("tidemark.memory.type", "rss_anon")]),
          ],
          { "service.name": "sockets" },
        ),
      );
      await inserted(app);
    });
    expect(
      await engine.query(
        "SELECT kind, memory_type, connections, memory_bytes, bytes_per_connection, points FROM connection_memory WHERE service = 'sockets'",
      ),
    ).toEqual([
      {
        kind: "websocket",
        memory_type: "rss_anon",
        connections: 500,
        memory_bytes: 1e8,
        bytes_per_connection: 9216,
        points: 3,
      },
    ]);
    expect(await engine.query("SELECT value FROM samples WHERE service = 'sockets'")).toEqual([{ value: 9 }]);
  });

  test("cumulative request and query durations of other SDKs are stored as what each interval added", async () => {
    const begin = nanos(Date.now() + MINUTE_MS);
    const export_ = (at: number, counts: number[], startTimeUnixNano = begin) =>
      metricsRequest(
        [
          {
            name: "http.server.request.duration",
            unit: "s",
            histogram: {
              aggregationTemporality: 2,
              dataPoints: [
                {
                  startTimeUnixNano,
                  timeUnixNano: nanos(now + at),
                  count: counts[0]! + counts[1]!,
                  sum: counts[0]! * 0.04 + counts[1]! * 0.3,
                  explicitBounds: [0.02, 0.08],
                  bucketCounts: [0, ...counts],
                  attributes: [
                    attribute("http.route", "/books"),
                    attribute("http.request.method", "GET"),
                    attribute("http.response.status_code", 200),
                  ],
                },
              ],
            },
          },
        ],
        { "service.name": "plain-sdk" },
      );
    await withApp({}, async (app) => {
      await send(app, "/v1/metrics", export_(0, [2, 1]));
      await send(app, "/v1/metrics", export_(1000, [5, 1]));
      await send(app, "/v1/metrics", export_(2000, [1, 0], nanos(Date.now() + 2 * MINUTE_MS)));
      await inserted(app);
    });
    const rows = await engine.query(
      "SELECT route, method, status, toUInt32(count) AS count, round(sum, 6) AS sum, arraySum(mapValues(buckets)) AS spread FROM http_requests WHERE service = 'plain-sdk' ORDER BY ts",
    );
    expect(rows).toMatchObject([
      { route: "/books", method: "GET", status: 200, count: 3, sum: 0.38 },
      { count: 3, sum: 0.12 },
      { count: 1, sum: 0.04 },
    ]);
    expect(rows.map((row) => Number(row.spread))).toEqual([3, 3, 1]);
  });

  test("query timings carry the id ClickHouse would give their statement", async () => {
    const text = "SELECT id, title FROM bookshop_book WHERE author_id = $1 ORDER BY title LIMIT 21";
    await withApp({}, async (app) => {
      await send(
        app,
        "/v1/metrics",
        metricsRequest(
          [
            {
              name: "db.client.operation.duration",
              unit: "s",
              exponentialHistogram: {
                aggregationTemporality: 1,
                dataPoints: [
                  {
                    timeUnixNano: nanos(now),
                    count: 2,
                    sum: 0.5,
                    scale: 4,
                    positive: { offset: -32, bucketCounts: [2] },
                    attributes: [
                      attribute("db.query.text", text),
                      attribute("db.system.name", "postgresql"),
                      attribute("tidemark.db.alias", "default"),
                    ],
                  },
                ],
              },
            },
          ],
          { "service.name": "queries" },
        ),
      );
      await inserted(app);
    });
    expect(
      await engine.query(
        "SELECT db_system, db_alias, s.text = '' AS missing, t.statement_id = xxHash64(s.text) AS same FROM query_timings AS t ANY LEFT JOIN query_statements AS s ON s.statement_id = t.statement_id WHERE service = 'queries'",
      ),
    ).toEqual([{ db_system: "postgresql", db_alias: "default", missing: 0, same: 1 }]);
  });

  test("an annotation keeps its attributes and its event name", async () => {
    await withApp({}, async (app) => {
      await send(app, "/v1/logs", {
        resourceLogs: [
          {
            resource: { attributes: [attribute("service.name", "lab")] },
            scopeLogs: [
              {
                logRecords: [
                  {
                    timeUnixNano: nanos(now),
                    eventName: "tidemark.annotation",
                    severityNumber: 9,
                    body: { stringValue: "calm" },
                    attributes: [
                      attribute("event.name", "tidemark.annotation"),
                      attribute("tidemark.annotation.title", "calm"),
                      attribute("tidemark.annotation.duration", 12.5),
                    ],
                  },
                ],
              },
            ],
          },
        ],
      });
      await inserted(app);
    });
    expect(
      await engine.query("SELECT EventName, Body, ServiceName, LogAttributes FROM otel_logs WHERE ServiceName = 'lab'"),
    ).toEqual([
      {
        EventName: "tidemark.annotation",
        Body: "calm",
        ServiceName: "lab",
        LogAttributes: {
          "event.name": "tidemark.annotation",
          "tidemark.annotation.title": "calm",
          "tidemark.annotation.duration": "12.5",
        },
      },
    ]);
  });
});

describe("stock OpenTelemetry exporters", () => {
  test("metrics, traces and logs by protobuf, JSON and gRPC arrive without our agents", async () => {
    const { MeterProvider, PeriodicExportingMetricReader, AggregationType } = require("@opentelemetry/sdk-metrics");
    const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");
    const { LoggerProvider, BatchLogRecordProcessor } = require("@opentelemetry/sdk-logs");
    const { resourceFromAttributes } = require("@opentelemetry/resources");
    const resource = resourceFromAttributes({ "service.name": "stock", "telemetry.sdk.language": "nodejs" });
    await withApp({}, async (app) => {
      const base = await app.listen({ host: "127.0.0.1", port: 0 });
      const grpc = `http://127.0.0.1:${await app.grpc.listen("127.0.0.1", 0)}`;
      for (const name of ["proto", "http", "grpc"]) {
        const to = (path: string) => (name === "grpc" ? grpc : base + path);
        const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${name}`);
        const exporter = new OTLPMetricExporter({ url: to("/v1/metrics"), compression: "gzip" });
        const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
        const views = [
          { instrumentName: "stock.exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
        ];
        const provider = new MeterProvider({ resource, readers: [reader], views });
        const meter = provider.getMeter("stock");
        meter.createCounter("stock.counter").add(2, { encoding: name });
        meter.createHistogram("stock.histogram").record(3, { encoding: name });
        meter.createHistogram("stock.exponential").record(3, { encoding: name });
        await provider.forceFlush();
        const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${name}`);
        const traces = new BasicTracerProvider({
          resource,
          spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: to("/v1/traces") }))],
        });
        const span = traces.getTracer("stock").startSpan("GET /", { kind: 1, attributes: { encoding: name, rows: 3 } });
        span.addEvent("cache.miss", { key: "k" });
        span.setStatus({ code: 2, message: "late" });
        span.end();
        await traces.forceFlush();
        const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${name}`);
        const logs = new LoggerProvider({
          resource,
          processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: to("/v1/logs") }) })],
        });
        logs.getLogger("stock").emit({ body: { nested: ["x", 1] }, eventName: "stock.event", severityNumber: 13 });
        await logs.forceFlush();
        await Promise.all([provider.shutdown(), traces.shutdown(), logs.shutdown()]);
      }
      await inserted(app);
    });
    const counted = await engine.query<{ encoding: string; tables: number }>(
      `SELECT encoding, count() AS tables FROM (
         SELECT DISTINCT attributes['encoding'] AS encoding, metric FROM series WHERE service = 'stock' AND series_id IN (
           SELECT series_id FROM samples UNION ALL SELECT series_id FROM histograms UNION ALL SELECT series_id FROM exp_histograms))
       GROUP BY encoding ORDER BY encoding`,
    );
    expect(counted.map((row) => [row.encoding, Number(row.tables)])).toEqual([
      ["grpc", 3],
      ["http", 3],
      ["proto", 3],
    ]);
    expect(
      await engine.query(
        "SELECT SpanName, SpanKind, StatusCode, StatusMessage, SpanAttributes, Events.Name AS events, Events.Attributes AS event_attributes, length(TraceId) AS id, Duration > 0 AS lasted FROM otel_traces WHERE ServiceName = 'stock' ORDER BY SpanAttributes['encoding']",
      ),
    ).toEqual(
      ["grpc", "http", "proto"].map((encoding) => ({
        SpanName: "GET /",
        SpanKind: "Server",
        StatusCode: "Error",
        StatusMessage: "late",
        SpanAttributes: { encoding, rows: "3" },
        events: ["cache.miss"],
        event_attributes: [{ key: "k" }],
        id: 32,
        lasted: 1,
      })),
    );
    expect(
      await engine.query("SELECT Body, EventName, SeverityNumber FROM otel_logs WHERE ServiceName = 'stock'"),
    ).toEqual(
      Array.from({ length: 3 }, () => ({ Body: '{"nested":["x",1]}', EventName: "stock.event", SeverityNumber: 13 })),
    );
  });
});

describe("ClickHouse away and refusing", () => {
  test("acknowledges while ClickHouse is away, from the start on, and catches up", async () => {
    await engine.stop("SIGKILL");
    await withApp({}, async (app) => {
      for (let i = 0; i < 20; i++) await send(app, "/v1/metrics", metricsRequest([gauge("away", i, now + i)]));
      await engine.start();
      await inserted(app);
    });
    expect(
      await engine.query("SELECT toUInt32(count()) AS n, sum(value) AS total FROM samples WHERE metric = 'away'"),
    ).toEqual([{ n: 20, total: 190 }]);
    expect(await engine.query("SELECT toUInt32(sum(n)) AS n FROM samples_1m WHERE metric = 'away'")).toEqual([
      { n: 20 },
    ]);
  });

  test("is ready only while ClickHouse answers and has its tables", async () => {
    const readyz = async (app: FastifyInstance) => {
      const reply = await app.inject({ url: "/readyz" });
      return `${reply.statusCode} ${reply.json().clickhouse}`;
    };
    const elsewhere = new URL(engine.url);
    elsewhere.pathname = "/not_migrated";
    await withApp({ clickhouseUrl: elsewhere.href }, async (app) => {
      await until("the tables to be missed", async () => (await readyz(app)) === "503 tables missing");
    });
    await withApp({}, async (app) => {
      await until("readiness", async () => (await readyz(app)) === "200 ok");
      await engine.stop("SIGKILL");
      await until("ClickHouse to be missed without an insert", async () => (await readyz(app)) === "503 unreachable");
      await engine.start();
      await until("readiness again", async () => (await readyz(app)) === "200 ok");
    });
  });

  test("sets rows aside that ClickHouse refuses for good, and the rest goes on", async () => {
    const refusing = await refusingClickHouse(engine.url, () => ["otel_logs"], {
      code: 33,
      name: "CANNOT_READ_ALL_DATA",
    });
    const record = { timeUnixNano: nanos(now), body: { stringValue: "refused" } };
    await withApp({ clickhouseUrl: refusing.url }, async (app, dataDirectory) => {
      await send(app, "/v1/logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
      await send(app, "/v1/metrics", metricsRequest([gauge("goes.on", 1, now)]));
      await until("the rest to be inserted", async () => {
        return (await engine.query("SELECT 1 FROM samples WHERE metric = 'goes.on'")).length === 1;
      });
      await until("the refused rows to be reported", async () => {
        const { payload } = await app.inject({ url: "/metrics" });
        return payload.includes('tidemark_ingest_set_aside_points_total{table="otel_logs"} 1');
      });
      const kept = (await readdir(join(dataDirectory, "log"))).filter((name) => name.endsWith(".otel_logs.bad"));
      expect(kept).toHaveLength(1);
      expect(await readFile(join(dataDirectory, "log", kept[0]!), "latin1")).toContain("refused");
    });
    await refusing.close();
  });
});

describe("kill -9", () => {
  test(`of ingest and engine in turn, ${KILLS} times: no acknowledged point is lost and none is there twice`, async () => {
    const dataDirectory = join(directory.path, "killed");
    const environment = { TIDEMARK_DATA_DIR: dataDirectory, TIDEMARK_CLICKHOUSE_URL: engine.url };
    let ingest = await startIngest(environment);
    const acknowledged = new Set<number>();
    let next = 0;
    let sending = true;
    const send = async () => {
      while (sending) {
        const value = next++;
        const body = encode(
          METRICS,
          metricsRequest([gauge("killed", value, now + (value % 1000), [attribute("client", value % 7)])]),
        );
        // As every OTLP exporter does: the same bytes again until somebody says that they are kept.
        while (sending) {
          try {
            const reply = await fetch(`${ingest.url}/v1/metrics`, {
              method: "POST",
              body: new Uint8Array(body),
              headers: { "content-type": "application/x-protobuf" },
            });
            await reply.arrayBuffer();
            if (reply.status === 200) {
              acknowledged.add(value);
              break;
            }
          } catch {
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        }
      }
    };
    const clients = Array.from({ length: 4 }, send);
    for (let kill = 0; kill < KILLS; kill++) {
      const before = acknowledged.size;
      await until("more acknowledged points", () => acknowledged.size > before + 60 + kill * 13);
      if (kill % 3 === 2) {
        await engine.stop("SIGKILL");
        await engine.start();
      } else {
        await ingest.service.end("SIGKILL");
        ingest = await startIngest(environment);
      }
    }
    sending = false;
    await Promise.all(clients);
    await until("everything to be inserted", async () => {
      const text = await (await fetch(`${ingest.url}/metrics`)).text();
      const read = (name: string) => Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1]);
      return read("tidemark_ingest_acknowledged_points_total") === read("tidemark_ingest_inserted_points_total");
    });
    const started = performance.now();
    await ingest.service.end("SIGTERM");
    expect(ingest.service.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - started).toBeLessThan(5000);

    const rows = await engine.query<{ value: number; n: string }>(
      "SELECT value, count() AS n FROM samples WHERE metric = 'killed' GROUP BY value",
    );
    const stored = new Map(rows.map((row) => [Number(row.value), Number(row.n)]));
    expect(
      [...acknowledged].filter((value) => !stored.has(value)),
      "lost",
    ).toEqual([]);
    expect(
      [...stored].filter(([, n]) => n !== 1),
      "twice",
    ).toEqual([]);
    const [rollup] = await engine.query<{ n: string }>("SELECT sum(n) AS n FROM samples_1m WHERE metric = 'killed'");
    expect(Number(rollup!.n)).toBe(stored.size);
    expect(
      await engine.query(
        "SELECT 1 FROM samples WHERE metric = 'killed' AND series_id NOT IN (SELECT series_id FROM series) LIMIT 1",
      ),
    ).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(KILLS * 60);
  });
});

describe("the process", () => {
  const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

  test.each([
    ["a host that others reach and no token", { TIDEMARK_OTLP_HOST: "0.0.0.0" }, /TIDEMARK_TOKEN/],
    ["a port that is no port", { TIDEMARK_OTLP_PORT: "99999" }, /TIDEMARK_OTLP_PORT/],
    [
      "a data directory that cannot be",
      { TIDEMARK_DATA_DIR: "/dev/null/x", TIDEMARK_OTLP_PORT: "0" },
      /log directory \/dev\/null\/x\/log/,
    ],
  ])("refuses %s with one clear sentence", async (_case, environment: Record<string, string>, sentence) => {
    const service = new Service(MAIN, { TIDEMARK_DATA_DIR: join(directory.path, "refused"), ...environment });
    await until("the process to end", () => service.exited);
    expect(service.exited).toEqual({ code: 1, signal: null });
    expect(service.lines.at(-1)?.msg).toMatch(sentence);
  });

  test("names the variable to change when its port is taken", async () => {
    const first = await startIngest({ TIDEMARK_DATA_DIR: join(directory.path, "first") });
    const { grpcPort } = await first.service.line("ready");
    try {
      for (const taken of [
        { TIDEMARK_OTLP_PORT: String(first.port), TIDEMARK_OTLP_GRPC_PORT: "off" },
        { TIDEMARK_OTLP_PORT: "0", TIDEMARK_OTLP_GRPC_PORT: String(grpcPort) },
      ]) {
        const second = new Service(MAIN, { TIDEMARK_DATA_DIR: join(directory.path, "second"), ...taken });
        await until("the second to end", () => second.exited);
        expect(second.exited?.code).toBe(1);
        const [variable, port] = Object.entries(taken).find(([, value]) => Number(value) > 0)!;
        expect(second.lines.at(-1)?.msg).toBe(`port ${port} is taken: set ${variable} to another one`);
      }
    } finally {
      await first.service.end();
    }
  });
});
