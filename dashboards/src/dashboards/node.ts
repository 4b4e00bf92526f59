import { DASHBOARDS, PANELS } from "../panel-ids.ts";
import { heat, lines, rows } from "../panels/panels.ts";
import { CRITICAL, NODE as NODE_HUE, OK, shades, WARNING } from "../panels/theme.ts";
import { TIER, VARIABLE_FILTER, WITH_STEP } from "../sql/fragments.ts";
import {
  aggregateSeries,
  gaugeSeries,
  heatmapColumns,
  histogramSource,
  metricSource,
  PROCESS,
  quantileSeries,
} from "../sql/series.ts";
import { windowRows } from "../sql/windows.ts";
import type { DashboardSpec } from "./layout.ts";
import { agentRow } from "./node-agent.ts";
import { processorRow, sharingRow } from "./node-processes.ts";
import { webSocketsRow } from "./node-websockets.ts";
import { connectionsPanel, phasesPanel, processGauge, repeatsPanel, stallsPanel, statementsPanel } from "./shared.ts";

/** The loops that serve requests: a worker thread that computes for seconds on end does what it is for. */
const LOOP = "runtime = 'node' AND kind = 'event_loop' AND name NOT LIKE 'worker-%'";
const LIBUV = "runtime = 'node' AND kind = 'thread_pool'";
const POOL = "runtime = 'node' AND kind = 'db_pool'";
const COLOURS = shades(NODE_HUE);
const WAIT_STEPS = [
  { from: 0, colour: OK },
  { from: 0.1, colour: WARNING },
];

/** What limits a Node service: its loop, libuv's threads, its pools, its memory. */
export const node: DashboardSpec = {
  uid: DASHBOARDS.node,
  title: "Tidemark: what limits Node?",
  description: "Event loop, libuv's thread pool, database pools, memory and the lines of code that hold the loop.",
  rows: [
    {
      id: 210,
      title: "Is the event loop free?",
      panels: [
        lines({
          id: PANELS.eventLoopWait,
          colours: COLOURS,
          title: "How long does a request wait for the loop?",
          description:
            "p50, p95 and p99 of what a request that arrives at random waits for the event loop (probes at random moments). Above 100 ms for one in twenty the alert fires: look for the line of code below.",
          width: 8,
          unit: "s",
          thresholds: WAIT_STEPS,
          sql: quantileSeries({
            from: "resource_samples",
            name: "toString(service)",
            where: LOOP,
            buckets: "wait_buckets",
            quantiles: [0.5, 0.95, 0.99],
          }),
        }),
        lines({
          id: PANELS.eventLoopStall,
          colours: COLOURS,
          title: "How long did the loop stand still?",
          description:
            "Longest wait of each bucket, or the age of the oldest probe still unanswered: a block shows while it lasts. Above 1 s the alert fires.",
          width: 8,
          unit: "s",
          thresholds: [
            { from: 0, colour: OK },
            { from: 1, colour: CRITICAL },
          ],
          sql: aggregateSeries({
            from: "resource_samples",
            name: PROCESS,
            where: LOOP,
            value: "greatest(ifNull(max(stall_age), 0), ifNull(max(wait_max), 0))",
          }),
        }),
        lines({
          id: 213,
          colours: COLOURS,
          title: "How busy is each loop?",
          description:
            "Event-loop utilisation per process: the share of time the loop ran code. Lines far apart under cluster mean bad balance; above 0.8 requests start to wait.",
          width: 8,
          unit: "percentunit",
          max: 1,
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.8, colour: WARNING },
          ],
          sql: aggregateSeries({
            from: "resource_samples",
            name: PROCESS,
            where: `${LOOP} AND busy_n > 0`,
            value: "sum(busy_sum) / sum(busy_n)",
          }),
        }),
        heat({
          id: 214,
          title: "How are the waits for the loop spread?",
          description:
            "Every wait by length: rows are seconds, darker is more. Two clouds: mostly free, sometimes blocked.",
          width: 12,
          scheme: "Greens",
          sql: heatmapColumns({ from: "resource_samples", where: LOOP, buckets: "wait_buckets" }),
        }),
        phasesPanel("node", 215, 12),
        stallsPanel("node", 216, 14),
        rows({
          id: 217,
          title: "Which routes keep the loop busy?",
          description:
            "Loop time while requests of the route were in flight, per request. A route with much of it is a victim or the culprit: the stalls beside say which.",
          width: 10,
          height: 9,
          units: { "loop time per request": "s", "requests/s": "reqps" },
          sql: `${WITH_STEP}
SELECT toString(service) AS service, attributes['http.route'] AS route,
  toFloat64(sum(sum) / sum(count)) AS "loop time per request",
  toFloat64(sum(count) / greatest(1, toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime))) AS "requests/s"
FROM ${histogramSource("tidemark.http.server.loop_active")}
WHERE ${VARIABLE_FILTER} AND count > 0
GROUP BY service, route
ORDER BY "loop time per request" DESC
LIMIT 30`,
        }),
      ],
    },
    {
      id: 220,
      title: "Is libuv's thread pool free?",
      panels: [
        lines({
          id: PANELS.libuvWait,
          colours: COLOURS,
          title: "How long does work wait for a pool thread?",
          description:
            "p95 of the wait for libuv's threads by lane: `fast` is files, hashes and compression, `slow` is DNS look-ups. High here while the loop looks free is the silent pool.",
          width: 12,
          unit: "s",
          thresholds: WAIT_STEPS,
          sql: quantileSeries({
            from: "resource_samples",
            name: "concat(service, ' ', name)",
            where: LIBUV,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        lines({
          id: 222,
          colours: COLOURS,
          title: "How many pool threads are busy?",
          description:
            "Busy threads and, where it can be counted, queued work by lane. Four threads unless UV_THREADPOOL_SIZE says otherwise.",
          width: 12,
          unit: "none",
          sql: gaugeSeries({
            from: `(
  SELECT ts, service, runtime, instance, concat(service, ' ', name, ' ', measure.1) AS label, measure.2 AS total, measure.3 AS n
  FROM ${windowRows("resource_samples", "kind name busy_sum busy_n waiting_sum waiting_n capacity_sum capacity_n")}
  ARRAY JOIN [('busy', busy_sum, busy_n), ('waiting', waiting_sum, waiting_n), ('capacity', capacity_sum, capacity_n)] AS measure
  WHERE $__timeFilter(ts) AND ${TIER} AND ${LIBUV} AND measure.3 > 0
)`,
            name: "label",
            key: "instance",
            value: "sum(total) / sum(n)",
            combine: "sum",
          }),
        }),
      ],
    },
    {
      id: 230,
      title: "Does the database hold it up?",
      panels: [
        lines({
          id: PANELS.nodePoolWait,
          colours: COLOURS,
          title: "How long does a request wait for a connection?",
          description: "p95 of the wait for a connection, by pool. Above 100 ms the alert fires.",
          width: 8,
          unit: "s",
          thresholds: WAIT_STEPS,
          sql: quantileSeries({
            from: "resource_samples",
            name: "concat(service, ' ', name)",
            where: POOL,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        lines({
          id: 232,
          colours: COLOURS,
          title: "How full are the pools?",
          description: "Connections in use as a share of the pool's maximum. At 1 every further query queues.",
          width: 8,
          unit: "percentunit",
          max: 1,
          sql: aggregateSeries({
            from: "resource_samples",
            name: "concat(service, ' ', name)",
            where: `${POOL} AND u_capacity > 0`,
            value: "sum(u_busy) / sum(u_capacity)",
          }),
        }),
        lines({
          id: 233,
          colours: COLOURS,
          title: "How long does a query take?",
          description:
            "p95 of one operation, by pool, without the wait for a connection. Rises with every pool: the database. With one: its statements.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "query_timings",
            name: "concat(service, ' ', db_alias)",
            where: "runtime = 'node'",
            buckets: "buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        statementsPanel("node", 234, 12),
        repeatsPanel("node", 235, 12),
      ],
    },
    processorRow,
    {
      id: 240,
      title: "What does the process pay?",
      panels: [
        lines({
          id: 241,
          colours: COLOURS,
          title: "How much time goes to garbage collection?",
          description:
            "Share of time in collector pauses, per process. Above 10 % the heap is too small or too much is allocated.",
          width: 8,
          unit: "percentunit",
          sql: aggregateSeries({
            from: histogramSource("v8js.gc.duration"),
            name: PROCESS,
            where: "runtime = 'node'",
            value: "sum(sum) / step",
          }),
        }),
        lines({
          id: 242,
          colours: COLOURS,
          title: "How much memory does each process hold?",
          description: "Resident memory per process. A staircase that never comes down is a leak or a fragmented heap.",
          width: 8,
          unit: "bytes",
          sql: processGauge("process.memory.usage", "node"),
        }),
        lines({
          id: 243,
          colours: COLOURS,
          title: "How large is the heap?",
          description:
            "V8 heap in use, all spaces, per process. A floor that rises from collection to collection is a leak.",
          width: 8,
          unit: "bytes",
          sql: processGauge("v8js.memory.heap.used", "node"),
        }),
        connectionsPanel("node", 244, 12),
        lines({
          id: 245,
          colours: COLOURS,
          title: "How much processor does each process use?",
          description: "CPU seconds per second, per process. One loop cannot use much more than one core.",
          width: 12,
          unit: "none",
          sql: aggregateSeries({
            from: metricSource("process.cpu.time"),
            name: PROCESS,
            where: "runtime = 'node'",
            value: "sum(total) / step",
          }),
        }),
      ],
    },
    sharingRow,
    webSocketsRow,
    agentRow,
  ],
};
