import { bucketQuantile } from "@tidemark/store";
import { DASHBOARDS } from "../panel-ids.ts";
import { heat, lines, numbers, scatter } from "../panels/panels.ts";
import { OK, RESOURCE_COLOURS, RESOURCE_DASHES, WARNING } from "../panels/theme.ts";
import { BUCKET, VARIABLE_FILTER, WHOLE_BUCKETS, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, heatmapColumns, quantileSeries } from "../sql/series.ts";
import { fromWindows } from "../sql/windows.ts";
import type { DashboardSpec } from "./layout.ts";
import { phasesPanel } from "./shared.ts";

const RUNTIME = "toString(runtime)";
const BOTH = "runtime IN ('node', 'django')";
const RESOURCE = "concat(runtime, ' ', kind, ' ', name)";
/** Column with `value` where the row is of that runtime, for a chart that draws both against one axis. */
const ofEach = (value: string): string =>
  ["node", "django"].map((runtime) => `if(runtime = '${runtime}', toFloat64(${value}), NULL) AS ${runtime}`).join(", ");

/** Load and latency of each runtime, one point per bucket; the mean number in flight by Little's law, L = rate x duration. */
function knee(y: string): string {
  return `${WITH_STEP}
SELECT toFloat64(in_flight) AS "in flight", ${ofEach("y")}
FROM (
  SELECT runtime, ${BUCKET} AS time, sum(sum) / step AS in_flight, ${y} AS y
  ${fromWindows("http_requests", `count sum ${y}`)} AND ${BOTH} AND ${VARIABLE_FILTER}
  GROUP BY runtime, time
  HAVING ${WHOLE_BUCKETS} AND sum(count) > 0
)
WHERE y IS NOT NULL
ORDER BY in_flight`;
}

/** Memory against connections of all kinds of each runtime, one point per process and bucket: means of its exports. */
const MEMORY = `${WITH_STEP}
SELECT toFloat64(open) AS connections, ${ofEach("bytes")}
FROM (
  SELECT runtime, instance, time, memory_type, sum(mean_open) AS open, max(mean_bytes) AS bytes
  FROM (
    SELECT runtime, instance, ${BUCKET} AS time, memory_type, kind, sum(connections_sum) / sum(connections_n) AS mean_open, sum(memory_bytes_sum) / sum(memory_bytes_n) AS mean_bytes
    ${fromWindows("connection_memory", "kind memory_type connections_sum connections_n memory_bytes_sum memory_bytes_n")} AND ${BOTH} AND ${VARIABLE_FILTER}
    GROUP BY runtime, instance, time, memory_type, kind
    HAVING sum(connections_n) > 0 AND sum(memory_bytes_n) > 0
  )
  GROUP BY runtime, instance, time, memory_type
)
ORDER BY cityHash64(instance, time)
LIMIT 2000 BY runtime`;

/** A fit that explains less is none. */
const MIN_R2 = 0.8;
/** Connections a fit must reach over. */
const MIN_SPAN = 50;
/** Share of all the connections seen that a fit must hold over: a slope that vanished as more came was none. */
const MIN_REACH = 0.8;
/** In place of a number. */
const TOO_LITTLE = -1;
const NO_SLOPE = -2;

/**
 * What one more connection costs, per runtime and kind: the agents' own fits, made of a point per second over rising connections.
 * A regression over what is stored would take any growth of memory meanwhile for the connections' price. The fit must stand in half of
 * the exports near the peak: one rise in which something else grew too does not count against those that show nothing.
 */
const CONNECTION_COST = `SELECT name, toFloat64(multiIf(fits > 0, cost, reach < ${MIN_SPAN}, ${TOO_LITTLE}, ${NO_SLOPE})) AS value
FROM (
  SELECT concat(runtime, ' ', kind) AS name, max(span) AS reach, if(sum(length(slopes)) * 2 >= sum(near), sum(length(slopes)), 0) AS fits,
    quantileExactArray(0.5)(slopes) AS cost
  FROM (
    -- One scan: what the exports near the peak are is known when the peak is.
    SELECT runtime, kind, ifNull(max(connections) - min(connections), 0) AS span, ifNull(min(connections) + ${MIN_REACH} * span, 0) AS near_from,
      if(span >= ${MIN_SPAN}, arrayCount(open -> open >= near_from, groupArray(connections)), 0) AS near,
      arrayMap(fit -> fit.1, arrayFilter(fit -> fit.2 >= greatest(${MIN_SPAN}, ${MIN_REACH} * span),
        groupArrayIf((ifNull(bytes_per_connection, 0), ifNull(fit_span, 0)), bytes_per_connection > 0 AND fit_r2 >= ${MIN_R2}))) AS slopes
    FROM tidemark.connection_memory
    WHERE $__timeFilter(ts) AND ${BOTH} AND ${VARIABLE_FILTER}
    GROUP BY runtime, instance, kind
  )
  GROUP BY name
)
WHERE fits > 0 OR reach >= ${MIN_SPAN} OR endsWith(name, 'websocket')
ORDER BY name`;

/** Both runtimes on the same axes. */
export const compare: DashboardSpec = {
  uid: DASHBOARDS.compare,
  title: "Tidemark: Django and Node side by side",
  description:
    "The same questions to both runtimes, in the same units, on the same axes. Green is Node, blue is Django.",
  rows: [
    {
      id: 1,
      title: "What do clients see?",
      panels: [
        lines({
          id: 11,
          title: "How much work does each finish?",
          description: "Requests per second. A comparison is fair only where both get the same load.",
          width: 8,
          unit: "reqps",
          sql: aggregateSeries({ from: "http_requests", name: RUNTIME, where: BOTH, value: "sum(count) / step" }),
        }),
        lines({
          id: 12,
          title: "How long does a request take?",
          description:
            "p50, p95 and p99 (light, middle, dark) inside the application. The queue in front of it is not in here; see the waits below.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "http_requests",
            name: RUNTIME,
            where: BOTH,
            buckets: "buckets",
            quantiles: [0.5, 0.95, 0.99],
          }),
        }),
        lines({
          id: 13,
          title: "How many requests fail?",
          description:
            "Share of requests answered with 5xx. A runtime that answers fast by failing has not won anything.",
          width: 8,
          unit: "percentunit",
          sql: aggregateSeries({
            from: "http_requests",
            name: RUNTIME,
            where: BOTH,
            value: "sumIf(count, status >= 500) / sum(count)",
          }),
        }),
      ],
    },
    {
      id: 2,
      title: "Where does a request wait?",
      panels: [
        phasesPanel("node", 21, 12),
        phasesPanel("django", 22, 12),
        lines({
          id: 23,
          title: "How busy is each resource (U)?",
          description:
            "Busy share of everything a request can queue for. The line nearest to 1 is the limit the service meets first. The list is by the largest value of the range.",
          width: 12,
          height: 10,
          unit: "percentunit",
          max: 1,
          colours: RESOURCE_COLOURS,
          dashes: RESOURCE_DASHES,
          legend: "figures",
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.8, colour: WARNING },
          ],
          sql: aggregateSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: `${BOTH} AND u_capacity > 0`,
            value: "if(any(scope) = 'host', max(u_max), sum(u_busy) / sum(u_capacity))",
          }),
        }),
        lines({
          id: 24,
          title: "How long does work wait for each resource (W)?",
          description:
            "p95 of the wait, from the moment work was ready to the moment the resource took it. Compare across runtimes: seconds are seconds. The highest line is where requests lose most; the list is by the largest value of the range.",
          width: 12,
          height: 10,
          unit: "s",
          colours: RESOURCE_COLOURS,
          dashes: RESOURCE_DASHES,
          legend: "figures",
          sql: quantileSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: BOTH,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        heat({
          id: 25,
          title: "How long do requests wait for Node's event loop?",
          description:
            "Every wait of the range, by length: rows are seconds, darker is more. A second cloud high up is a loop that blocks; compare with the panel below, row by row.",
          width: 24,
          height: 7,
          scheme: "Greens",
          sql: heatmapColumns({
            from: "resource_samples",
            where: "runtime = 'node' AND kind = 'event_loop' AND name NOT LIKE 'worker-%'",
            buckets: "wait_buckets",
          }),
        }),
        heat({
          id: 26,
          title: "How long do requests wait for a Django worker or thread?",
          description:
            "The same rows as above, for what a Django request queues for: a worker, a thread, or the asyncio loop. A cloud that climbs is a queue that grows.",
          width: 24,
          height: 7,
          scheme: "Blues",
          sql: heatmapColumns({
            from: "resource_samples",
            where: "runtime = 'django' AND kind IN ('thread_pool', 'worker', 'event_loop')",
            buckets: "wait_buckets",
          }),
        }),
      ],
    },
    {
      id: 3,
      title: "Where is the knee?",
      panels: [
        scatter({
          id: 31,
          title: "When does latency bend upwards?",
          description:
            "p95 against the mean number of requests in flight (rate times duration). Flat: the service takes more load. Where it bends, its limit is reached.",
          width: 12,
          height: 9,
          unit: "s",
          yLabel: "p95",
          xColumn: "in flight",
          xUnit: "none",
          xLabel: "requests in flight",
          sql: knee(bucketQuantile("sumMap(buckets)", 0.95)),
        }),
        scatter({
          id: 32,
          title: "When does throughput stop growing?",
          description:
            "Requests per second against requests in flight. A straight line scales; a flat one is saturated; a falling one loses work to contention.",
          width: 12,
          height: 9,
          unit: "reqps",
          yLabel: "requests/s",
          xColumn: "in flight",
          xUnit: "none",
          xLabel: "requests in flight",
          sql: knee("sum(count) / step"),
        }),
      ],
    },
    {
      id: 4,
      title: "What does a connection cost?",
      panels: [
        scatter({
          id: 41,
          title: "How does memory grow with connections?",
          description:
            "Private memory of a process against its open connections of all kinds. The slope is the price of one more connection; the height at zero is the price of the process.",
          width: 16,
          height: 8,
          unit: "bytes",
          yLabel: "private memory",
          xColumn: "connections",
          xUnit: "none",
          xLabel: "open connections",
          sql: MEMORY,
        }),
        numbers({
          id: 42,
          title: "What does one more connection cost?",
          description: `Slope of memory over rising connections, as the agent measured it: a span of ${MIN_SPAN} at least, R2 ${MIN_R2} at least, and holding over most of the connections seen. "No slope": memory moved for other reasons (a heap that had room, a collection). Never memory divided by connections.`,
          width: 8,
          height: 8,
          unit: "bytes",
          stacked: true,
          noValue: "insufficient variation",
          words: { [TOO_LITTLE]: "insufficient variation", [NO_SLOPE]: "no slope" },
          sql: CONNECTION_COST,
        }),
      ],
    },
    {
      id: 5,
      title: "What does the database do to each?",
      panels: [
        lines({
          id: 51,
          title: "How many queries does a request run?",
          description: "Statements per request. A number that follows the length of a list is an N+1.",
          width: 8,
          unit: "none",
          sql: `${WITH_STEP}
SELECT time, series, toFloat64(sum(queries) / nullIf(sum(requests), 0)) AS value
FROM (
  SELECT ${BUCKET} AS time, ${RUNTIME} AS series, sum(count) AS queries, toUInt64(0) AS requests
  ${fromWindows("query_timings", "count")} AND ${BOTH} AND ${VARIABLE_FILTER} GROUP BY time, series
  UNION ALL
  SELECT ${BUCKET} AS time, ${RUNTIME} AS series, toUInt64(0) AS queries, sum(count) AS requests
  ${fromWindows("http_requests", "count")} AND ${BOTH} AND ${VARIABLE_FILTER} GROUP BY time, series
)
GROUP BY time, series
HAVING ${WHOLE_BUCKETS} AND value IS NOT NULL
ORDER BY time, series`,
        }),
        lines({
          id: 52,
          title: "How long does a query take?",
          description: "p95 of one database operation as the caller saw it, without the wait for a connection.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "query_timings",
            name: RUNTIME,
            where: BOTH,
            buckets: "buckets",
            quantiles: [0.95],
          }),
        }),
        lines({
          id: 53,
          title: "How long does a request wait for a connection?",
          description:
            "p95 of the wait for a connection of the pool. High while queries are fast: the pool is too small. High with slow queries: mend the queries.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "resource_samples",
            name: "concat(runtime, ' ', name)",
            where: `${BOTH} AND kind = 'db_pool'`,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
      ],
    },
  ],
};
