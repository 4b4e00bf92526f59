import { bucketQuantile } from "@tidemark/store";
import { DASHBOARDS, PANELS } from "../panel-ids.ts";
import { gauges, lines, note, numbers, rows, states } from "../panels/panels.ts";
import { CRITICAL, KIND_COLOURS, OK, WARNING } from "../panels/theme.ts";
import { BOTTLENECK_CODES, bottleneckSql } from "../sql/bottleneck.ts";
import { BUCKET, SERVICE_FILTER, VARIABLE_FILTER, WHOLE_BUCKETS, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, quantileSeries } from "../sql/series.ts";
import { fromWindows } from "../sql/windows.ts";
import type { DashboardSpec } from "./layout.ts";

/** "Now" on this page, in seconds: long enough for six exports of 10 s. */
const NOW_SECONDS = 60;
const LATEST = `ts >= $__toTime - ${NOW_SECONDS} AND ts <= $__toTime`;

/** Text and colour of each verdict of the bottleneck query. */
const VERDICTS = Object.fromEntries(
  Object.entries(BOTTLENECK_CODES).map(([kind, code]) => [
    code,
    { text: kind === "none" ? "nothing waits" : kind.replaceAll("_", " "), color: KIND_COLOURS[kind] ?? "#888888" },
  ]),
);

const CURRENT_ALERTS = `SELECT rule_id, fingerprint, argMax(state, ts) AS last_state, argMax(title, ts) AS last_title,
    argMax(severity, ts) AS last_severity, argMax(service, ts) AS of_service, argMax(runtime, ts) AS of_runtime,
    argMax(value, ts) AS last_value, argMax(summary, ts) AS last_summary, max(ts) AS since
  FROM tidemark.alert_events
  WHERE ts <= $__toTime AND ${SERVICE_FILTER}
  GROUP BY rule_id, fingerprint
  HAVING last_state IN ('firing', 'error', 'no_data')`;

export const overview: DashboardSpec = {
  uid: DASHBOARDS.overview,
  title: "Tidemark: who needs help now?",
  description:
    "One page for the person on call: what is firing, who is the bottleneck, how close each service is to its own limit.",
  rows: [
    {
      id: 1,
      title: "Now",
      panels: [
        numbers({
          id: 11,
          title: "Is anything firing?",
          description:
            "Alerts that fire now or cannot be judged. Zero is good. The table below says which, and what to do.",
          width: 4,
          height: 5,
          unit: "none",
          decimals: 0,
          thresholds: [
            { from: 0, colour: OK },
            { from: 1, colour: CRITICAL },
          ],
          sql: `SELECT 'firing' AS name, toFloat64(count()) AS value FROM (
  ${CURRENT_ALERTS}
)`,
        }),
        numbers({
          id: PANELS.freshness,
          title: "Is telemetry fresh?",
          description:
            "Age of the newest data of each service. More than a minute: the service is gone or its agent cannot reach the ingest; every other number of it is then old.",
          width: 8,
          height: 5,
          unit: "s",
          decimals: 0,
          thresholds: [
            { from: 0, colour: OK },
            { from: 30, colour: WARNING },
            { from: 60, colour: CRITICAL },
          ],
          sql: `${WITH_STEP}
SELECT toString(service) AS name, toFloat64(greatest(0, toUnixTimestamp($__toTime) - toUnixTimestamp(max(ts)))) AS value
FROM (
  SELECT service, runtime, instance, ts ${fromWindows("resource_samples", "")}
  UNION ALL
  -- The last hour to the export, what came before to the window.
  SELECT service, runtime, instance, toDateTime(ts) AS ts FROM tidemark.resource_samples WHERE $__timeFilter(ts) AND ts >= $__toTime - 3600
)
WHERE ${VARIABLE_FILTER}
GROUP BY name
ORDER BY value DESC, name
LIMIT 25`,
        }),
        gauges({
          id: 12,
          title: "How close is each service to its own limit?",
          description:
            "U, the busy share of the fullest resource of each service in the last minute of the range: event loop, threads, workers, pool. Above 0.8 waiting grows steeply, above 0.9 act.",
          width: 12,
          height: 5,
          unit: "percentunit",
          max: 1,
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.8, colour: WARNING },
            { from: 0.9, colour: CRITICAL },
          ],
          sql: `SELECT concat(service, ': ', argMax(resource, u)) AS name, toFloat64(max(u)) AS value
FROM (
  SELECT toString(service) AS service, concat(kind, ' ', name) AS resource,
    ifNull(if(any(scope) = 'host', max(busy / capacity), sum(busy) / sum(capacity)), 0) AS u
  FROM tidemark.resource_samples
  WHERE ${LATEST} AND capacity > 0 AND busy IS NOT NULL AND ${VARIABLE_FILTER}
  GROUP BY service, resource
)
GROUP BY service
ORDER BY value DESC, name
LIMIT 25`,
        }),
        states({
          id: 13,
          title: "Who is the bottleneck, minute by minute?",
          description:
            "The resource where requests lose most time, per service: the largest W (p95 of the wait) of at least 10 ms; if nothing waits, what is busy to 80 % or more. Grey: nothing waits. Hover for the resource, then open the runtime's dashboard.",
          width: 24,
          height: 7,
          states: VERDICTS,
          sql: `${WITH_STEP}
SELECT time, toString(service) AS series, code AS value
FROM (
${bottleneckSql({
  from: "windows",
  time: "$__timeFilter(ts)",
  bucket: BUCKET,
  by: "service",
  where: VARIABLE_FILTER,
})}
)
WHERE ${WHOLE_BUCKETS}
ORDER BY time, series`,
        }),
      ],
    },
    {
      id: 2,
      title: "Requests",
      panels: [
        lines({
          id: 21,
          title: "How much work arrives?",
          description: "Requests per second that each service finished. Compare the shape with the latency beside it.",
          width: 8,
          unit: "reqps",
          sql: aggregateSeries({ from: "http_requests", name: "toString(service)", value: "sum(count) / step" }),
        }),
        lines({
          id: 22,
          title: "How many requests fail?",
          description: "Share of requests answered with 5xx. Above 1 % look at the routes below.",
          width: 8,
          unit: "percentunit",
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.01, colour: CRITICAL },
          ],
          sql: aggregateSeries({
            from: "http_requests",
            name: "toString(service)",
            value: "sumIf(count, status >= 500) / sum(count)",
          }),
        }),
        lines({
          id: 23,
          title: "How long does one request in twenty take?",
          description:
            "p95 of the time inside the application. What a request waits before the application sees it is not in here: compare with the next panel.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "http_requests",
            name: "toString(service)",
            buckets: "buckets",
            quantiles: [0.95],
          }),
        }),
        rows({
          id: 24,
          title: "Which routes need help?",
          description: "Routes by total time spent in the range: rate times duration is where work pays most.",
          width: 24,
          height: 9,
          units: { "requests/s": "reqps", p50: "s", p95: "s", errors: "percentunit", "share of time": "percentunit" },
          sql: `${WITH_STEP}
SELECT toString(service) AS service, toString(route) AS route,
  toFloat64(sum(count) / greatest(1, toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime))) AS "requests/s",
  toFloat64(${bucketQuantile("sumMap(buckets)", 0.5)}) AS p50,
  toFloat64(${bucketQuantile("sumMap(buckets)", 0.95)}) AS p95,
  toFloat64(sumIf(count, status >= 500) / sum(count)) AS errors,
  toFloat64(sum(sum) / sum(sum(sum)) OVER ()) AS "share of time"
${fromWindows("http_requests", "route status count sum buckets")} AND ${VARIABLE_FILTER}
GROUP BY service, route
ORDER BY "share of time" DESC
LIMIT 50`,
        }),
      ],
    },
    {
      id: 3,
      title: "Alerts",
      panels: [
        rows({
          id: 31,
          title: "What fires, and what should I do?",
          description:
            "Alerts that fire now or cannot be judged. Each text says the number; the runbook of the rule says what to do.",
          width: 14,
          height: 7,
          units: { value: "none", since: "dateTimeAsLocal" },
          noValue: "nothing fires",
          sql: `SELECT toString(last_severity) AS severity, toString(last_state) AS state, toString(last_title) AS alert,
  toString(of_service) AS service, last_value AS value, last_summary AS text, since
FROM (
  ${CURRENT_ALERTS}
)
ORDER BY severity, since DESC
LIMIT 100`,
        }),
        note({
          id: 32,
          title: "How do I read U and W?",
          description: "The two numbers every page here is made of.",
          width: 10,
          height: 7,
          content: `**U** is how much of a resource is busy (busy / capacity). **W** is how long work waits for it, in seconds.

Every resource a request can queue for is measured with these two, in both runtimes: the event loop, threads and workers, the libuv pool, the database pool, the listen queue, the interpreter lock, the processor.

1. Something fires, or a colour shows in *who is the bottleneck*: note service and resource.
2. [Compare](/d/${DASHBOARDS.compare}) shows both runtimes on the same axes.
3. [Node](/d/${DASHBOARDS.node}) and [Django](/d/${DASHBOARDS.django}) show the line of code, the statement or the queue.`,
        }),
      ],
    },
  ],
};
