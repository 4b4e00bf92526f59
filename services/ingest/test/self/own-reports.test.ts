import { join } from "node:path";
import { METRICS as REGISTRY } from "@tidemark/semconv";
import { migrate } from "@tidemark/store";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildApp, type Config } from "../../src/index.ts";
import { OWN_METRICS } from "../../src/self/own-metrics.ts";
import { gauge, metricsRequest, nanos } from "../otlp-messages.ts";
import { Engine, temporaryDirectory, until } from "../processes.ts";

const DAY_MS = 86_400_000;
const OWN_REPORT_MS = 100;
const POINTS = 5;
const KIB = 1024;
/** Label set of the reports left out for want of room. */
const LEFT_OUT = 'tidemark_ingest_own_reports_dropped_total\\{reason="log_half_full"\\}';
const NO_CLICKHOUSE = "http://tidemark:x@127.0.0.1:9/tidemark";

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let engine: Engine;
beforeAll(async () => {
  directory = await temporaryDirectory();
  engine = new Engine(join(directory.path, "engine"));
  await engine.start();
  await migrate(engine.url);
});
afterAll(async () => {
  await engine.stop();
  await directory.remove();
});

let instances = 0;
async function withApp(config: Partial<Config>, use: (app: FastifyInstance) => Promise<void>): Promise<void> {
  const app = await buildApp(
    {
      clickhouseUrl: engine.url,
      flushIntervalSeconds: 0.05,
      logLevel: "silent",
      dataDirectory: join(directory.path, `ingest-${instances++}`),
      ...config,
    },
    { ownReportMs: OWN_REPORT_MS },
  );
  try {
    await use(app);
  } finally {
    await app.close();
  }
}

const send = (app: FastifyInstance, metrics: object[]) =>
  app.inject({
    method: "POST",
    url: "/v1/metrics",
    headers: { "content-type": "application/json" },
    payload: JSON.stringify(metricsRequest(metrics)),
  });

/** Sum over the label sets of a metric; undefined when it is not there. */
async function metric(app: FastifyInstance, name: string): Promise<number | undefined> {
  const { payload } = await app.inject({ url: "/metrics" });
  const found = [...payload.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))];
  return found.length === 0 ? undefined : found.reduce((sum, [, value]) => sum + Number(value), 0);
}

describe("what the ingest says about itself", () => {
  test("reaches ClickHouse through its own path, and is what /metrics says", async () => {
    const since = new Date().toISOString().replace("T", " ").replace("Z", "");
    const own = (sql: string) =>
      engine.query<Record<string, number | string>>(
        sql.replaceAll("$own", `service = 'tidemark-ingest' AND ts >= '${since}'`),
      );
    await withApp({}, async (app) => {
      await send(app, [
        ...Array.from({ length: POINTS }, (_, i) => gauge(`own.test.${i}`, i, Date.now())),
        gauge("own.test.old", 1, Date.now() - 30 * DAY_MS),
      ]);
      await until("the points to be reported and stored", async () => {
        const [row] = await own(
          "SELECT sum(value) AS n FROM metrics WHERE metric = 'tidemark.ingest.points' AND attributes['tidemark.source'] = 'shop' AND $own",
        );
        return row?.n === POINTS + 1;
      });
      expect(
        await own(
          "SELECT attributes['tidemark.rejected.reason'] AS reason, sum(value) AS n FROM metrics WHERE metric = 'tidemark.ingest.rejected' AND $own GROUP BY reason",
        ),
      ).toEqual([{ reason: "too_old", n: 1 }]);
      expect(
        await own(
          "SELECT toUInt32(sum(count)) AS n, sum(sum) > 0 AS some, sum(arraySum(buckets)) = sum(count) AS whole FROM histograms WHERE metric = 'tidemark.ingest.acknowledge.duration' AND $own",
        ),
      ).toEqual([{ n: 1, some: 1, whole: 1 }]);

      // Reports go on; several of them must add up to what the counters have now.
      const requests = await metric(app, "tidemark_ingest_requests_total");
      await until("three more reports", async () => {
        const [row] = await own(
          "SELECT uniqExact(ts) AS n FROM samples WHERE metric = 'tidemark.ingest.queue.age' AND $own",
        );
        return Number(row?.n) >= 5;
      });
      expect(
        await own("SELECT sum(value) AS n FROM samples WHERE metric = 'tidemark.ingest.requests' AND $own"),
      ).toEqual([{ n: requests }]);
      expect(
        await own("SELECT min(value) AS up FROM samples WHERE metric = 'tidemark.ingest.queue.limit' AND $own"),
      ).toEqual([{ up: 2048 * KIB * KIB }]);

      expect(await metric(app, "tidemark_ingest_acknowledged_points_total")).toBe(POINTS);
      expect(await metric(app, "tidemark_ingest_inserted_points_total")).toBe(POINTS);
      expect(await metric(app, "tidemark_ingest_points_total")).toBe(POINTS + 1);
    });
    const names = await own(
      "SELECT DISTINCT metric FROM metrics WHERE $own UNION DISTINCT SELECT DISTINCT metric FROM histograms WHERE $own",
    );
    const registered = new Set(REGISTRY.map(({ name }) => name));
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter(({ metric: name }) => !registered.has(String(name)))).toEqual([]);
    const attributes = await engine.query<{ metric: string; names: string[] }>(
      "SELECT metric, groupUniqArrayArray(mapKeys(attributes)) AS names FROM series WHERE service = 'tidemark-ingest' GROUP BY metric",
    );
    for (const { metric: name, names: used } of attributes) {
      const known = REGISTRY.find((each) => each.name === name)?.attributes ?? [];
      expect(
        used.filter((each) => !known.includes(each)),
        name,
      ).toEqual([]);
    }
  });

  test("is left out first when ClickHouse is away and the log fills up, and is counted", async () => {
    await withApp({ clickhouseUrl: NO_CLICKHOUSE, logQuotaBytes: 64 * KIB }, async (app) => {
      await until("a report to be left out", async () => ((await metric(app, LEFT_OUT)) ?? 0) > 2);
      const filled = await metric(app, "tidemark_ingest_queue_bytes");
      expect(filled).toBeGreaterThan(32 * KIB);
      expect(filled).toBeLessThan(48 * KIB);
      const dropped = (await metric(app, LEFT_OUT)) ?? 0;
      await until("more of them", async () => ((await metric(app, LEFT_OUT)) ?? 0) > dropped + 3);
      expect(await metric(app, "tidemark_ingest_queue_bytes")).toBe(filled);
      expect((await send(app, [gauge("a.sender", 1, Date.now())])).statusCode).toBe(200);
      expect(await metric(app, "tidemark_ingest_acknowledged_points_total")).toBe(1);
    });
  });

  test("can be turned off", async () => {
    await withApp({ clickhouseUrl: NO_CLICKHOUSE, selfMetrics: "off" }, async (app) => {
      await withApp({ clickhouseUrl: NO_CLICKHOUSE }, async (other) => {
        await until(
          "another ingest to report",
          async () => ((await metric(other, "tidemark_ingest_queue_bytes")) ?? 0) > 0,
        );
      });
      expect(await metric(app, "tidemark_ingest_queue_bytes")).toBe(0);
    });
  });
});

test("/metrics has the form that Prometheus asks for, and all that is to be stored", async () => {
  await withApp({ clickhouseUrl: NO_CLICKHOUSE, selfMetrics: "off" }, async (app) => {
    const { payload } = await app.inject({ url: "/metrics" });
    const types = new Map([...payload.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));
    const ours = [...types.keys()].filter((name) => name.startsWith("tidemark_"));
    for (const name of ours) {
      expect(payload).toMatch(new RegExp(`^# HELP ${name} [A-Z0-9].*\\.$`, "m"));
      if (types.get(name) === "counter") expect(name).toMatch(/_total$/);
      else expect(name).not.toMatch(/_total$/);
    }
    expect(Object.keys(OWN_METRICS).filter((name) => !ours.includes(name))).toEqual([]);
  });
});

describe("delta counters over a budget", () => {
  test("have right sums in ClickHouse, and the marked series is there once for all processes", async () => {
    const now = Date.now();
    const users = 40;
    await withApp({ maxSeriesPerMetric: 10 }, async (app) => {
      for (const instance of ["a", "b"]) {
        const reply = await app.inject({
          method: "POST",
          url: "/v1/metrics",
          headers: { "content-type": "application/json" },
          payload: JSON.stringify(
            metricsRequest(
              [
                {
                  name: "guard.orders",
                  sum: {
                    aggregationTemporality: 1,
                    isMonotonic: true,
                    dataPoints: Array.from({ length: users }, (_, i) => ({
                      timeUnixNano: nanos(now),
                      asInt: String(i),
                      attributes: [{ key: "user", value: { stringValue: `u${i}` } }],
                    })),
                  },
                },
              ],
              { "service.name": "guarded", "service.instance.id": instance },
            ),
          ),
        });
        expect(reply.json()).toEqual({
          partialSuccess: { rejectedDataPoints: "0", errorMessage: expect.stringContaining("guard.orders of guarded") },
        });
      }
      await until(
        "all to be inserted",
        async () => (await metric(app, "tidemark_ingest_inserted_points_total")) === 2 * users,
      );
      expect(await metric(app, "tidemark_ingest_overflow_points_total")).toBe(2 * users - 10);
    });
    expect(
      await engine.query(
        "SELECT sum(value) AS total, uniqExact(series_id) AS series, uniqExactIf(series_id, attributes['otel.metric.overflow'] = 'true') AS marked, anyIf(instance, attributes['otel.metric.overflow'] = 'true') AS of FROM metrics WHERE metric = 'guard.orders'",
      ),
    ).toEqual([{ total: users * (users - 1), series: 11, marked: 1, of: "" }]);
  });
});
