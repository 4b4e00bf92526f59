import { bucketQuantile } from "@tidemark/store";
import { lines, type Placed, rows, stackedBars } from "../panels/panels.ts";
import { DJANGO, NODE, PHASE_COLOURS, shades } from "../panels/theme.ts";
import { BUCKET, VARIABLE_FILTER, WHOLE_BUCKETS, WITH_STEP } from "../sql/fragments.ts";
import { gaugeSeries, metricSource, PROCESS } from "../sql/series.ts";
import { fromWindows } from "../sql/windows.ts";

/** Panels that both runtimes' pages have, in the same words, over the rows of one runtime. */
export type Runtime = "node" | "django";

const TITLES: Record<Runtime, string> = { node: "Node", django: "Django" };

/** Mean time of one request in each phase; the phase that every request has says how many requests there were. */
export function phasesPanel(runtime: Runtime, id: number, width: number): Placed {
  return stackedBars({
    id,
    title: `Where does a ${TITLES[runtime]} request spend its time?`,
    description:
      "Mean time per request by phase, stacked. `queue` is what the client waited before the application saw the request; `db_pool` the wait for a connection; `view` is what the other phases leave. Work on the widest band.",
    width,
    unit: "s",
    colours: Object.fromEntries(
      Object.entries(PHASE_COLOURS).map(([phase, colour]) => [`/(^|\\W)${phase}\\W*$/`, colour]),
    ),
    sql: `${WITH_STEP}
SELECT time, phase AS series, toFloat64(seconds / nullIf(max(requests) OVER (PARTITION BY time), 0)) AS value
FROM (
  SELECT ${BUCKET} AS time, toString(phase) AS phase, sum(sum) AS seconds, sum(count) AS requests
  ${fromWindows("request_phases", "phase count sum")} AND runtime = '${runtime}' AND ${VARIABLE_FILTER}
  GROUP BY time, phase
  HAVING ${WHOLE_BUCKETS}
)
ORDER BY time, series`,
  });
}

export function statementsPanel(runtime: Runtime, id: number, width: number): Placed {
  return rows({
    id,
    title: "Which statements cost most?",
    description:
      "Statements by total time in the range. A fast statement that runs thousands of times costs as much as a slow one: look at the count.",
    width,
    height: 9,
    units: { "calls/s": "ops", p50: "s", p95: "s", "total time": "s" },
    widths: { statement: 340 },
    sql: `${WITH_STEP}
SELECT service, alias, if(text != '', text, summary) AS statement, calls_per_second AS "calls/s", p50, p95, total AS "total time"
FROM (
  SELECT toString(service) AS service, toString(db_alias) AS alias, toString(any(summary)) AS summary, statement_id,
    toFloat64(sum(count) / greatest(1, toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime))) AS calls_per_second,
    toFloat64(${bucketQuantile("sumMap(buckets)", 0.5)}) AS p50,
    toFloat64(${bucketQuantile("sumMap(buckets)", 0.95)}) AS p95,
    toFloat64(sum(sum)) AS total
  ${fromWindows("query_timings", "db_alias statement_id summary count sum buckets")} AND runtime = '${runtime}' AND ${VARIABLE_FILTER}
  GROUP BY service, alias, statement_id
  ORDER BY total DESC
  LIMIT 30
) AS timings
ANY LEFT JOIN (SELECT statement_id, text FROM tidemark.query_statements) AS statements USING (statement_id)
ORDER BY "total time" DESC`,
  });
}

export function repeatsPanel(runtime: Runtime, id: number, width: number): Placed {
  return rows({
    id,
    title: "Which routes run one statement again and again?",
    description:
      "Statements that run five times or more per request of a route: an N+1. Load the relation with the list (`select_related`, `prefetch_related`, a join) and the number falls to one.",
    width,
    height: 9,
    units: { "per request": "none", "time per request": "s", requests: "none" },
    widths: { statement: 300 },
    noValue: "none",
    sql: `${WITH_STEP}
SELECT service, route, if(text != '', text, summary) AS statement, toFloat64(calls / requests) AS "per request",
  toFloat64(seconds / requests) AS "time per request", toFloat64(requests) AS requests
FROM (
  SELECT toString(service) AS service, toString(route) AS route, statement_id, toString(any(summary)) AS summary, sum(count) AS calls, sum(sum) AS seconds
  ${fromWindows("query_timings", "route statement_id summary count sum")} AND runtime = '${runtime}' AND ${VARIABLE_FILTER}
  GROUP BY service, route, statement_id
) AS timings
INNER JOIN (
  SELECT toString(service) AS service, toString(route) AS route, sum(count) AS requests
  ${fromWindows("http_requests", "route count")} AND runtime = '${runtime}' AND ${VARIABLE_FILTER}
  GROUP BY service, route
) AS served USING (service, route)
ANY LEFT JOIN (SELECT statement_id, text FROM tidemark.query_statements) AS statements USING (statement_id)
WHERE calls / requests >= 5
ORDER BY "time per request" DESC
LIMIT 30`,
  });
}

export function stallsPanel(runtime: Runtime, id: number, width: number): Placed {
  return rows({
    id,
    title: "Which line of code stood in the way?",
    description:
      "Stalls, those first that other requests lost most by, then the longest: something stood still, and this is where. `late` means the stack was taken after the block had ended, so look one call earlier.",
    width,
    height: 9,
    units: { time: "dateTimeAsLocal", duration: "s", "others lost": "s", "held up": "none" },
    widths: { where: 380 },
    noValue: "no stalls",
    // A stall is told again while it lasts and at its end, always with its begin.
    sql: `SELECT ts AS time, toString(service) AS service, toString(kind) AS kind, toString(reason) AS reason, ifNull(stall.duration, 0) AS duration,
  ifNull(toFloat64(victims), 0) AS "held up", ifNull(victims_lost_time, 0) AS "others lost", toString(route) AS route, concat(code_function, ' ', code_file, if(code_line IS NULL, '', concat(':', toString(code_line)))) AS where,
  if(late, 'yes', '') AS late
FROM (
  SELECT * FROM tidemark.stalls AS stall
  WHERE $__timeFilter(ts) AND runtime = '${runtime}' AND ${VARIABLE_FILTER}
  ORDER BY duration DESC
  LIMIT 1 BY service, instance, kind, name, route, ts
) AS stall
ORDER BY "others lost" DESC, duration DESC, time DESC
LIMIT 50`,
  });
}

/** Connections of the inbound side by kind. */
export function connectionsPanel(runtime: Runtime, id: number, width: number): Placed {
  return lines({
    id,
    title: "How many connections are open?",
    description: "Open inbound connections by protocol. See the compare page for what one of them costs in memory.",
    width,
    unit: "none",
    colours: shades(runtime === "node" ? NODE : DJANGO),
    sql: gaugeSeries({
      from: "connection_memory",
      name: "concat(service, ' ', kind)",
      where: `runtime = '${runtime}' AND connections_n > 0`,
      key: "instance",
      value: "sum(connections_sum) / sum(connections_n)",
      combine: "sum",
    }),
  });
}

/** One line per process of a generic gauge or up-down counter; its series (for example heap spaces) are added up. */
export function processGauge(metric: string, runtime: Runtime, name: string = PROCESS): string {
  return gaugeSeries({
    from: metricSource(metric),
    name,
    where: `runtime = '${runtime}'`,
    key: "series_id",
    value: "sum(total) / sum(n)",
    combine: "sum",
  });
}
