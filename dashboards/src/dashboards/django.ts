import { DASHBOARDS, PANELS } from "../panel-ids.ts";
import { heat, lines, rows } from "../panels/panels.ts";
import { CRITICAL, DJANGO as DJANGO_HUE, OK, shades, WARNING } from "../panels/theme.ts";
import { VARIABLE_FILTER, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, gaugeSeries, heatmapColumns, metricSource, PROCESS, quantileSeries } from "../sql/series.ts";
import {
  beforeDjangoPanels,
  channelsRow,
  databasePanels,
  interpreterPanels,
  memoryPanels,
  pagesRow,
} from "./django-panels.ts";
import type { DashboardSpec } from "./layout.ts";
import { connectionsPanel, phasesPanel, processGauge, repeatsPanel, stallsPanel, statementsPanel } from "./shared.ts";

const DJANGO = "runtime = 'django'";
const SLOTS = `${DJANGO} AND kind IN ('thread_pool', 'worker')`;
const RESOURCE = "concat(service, ' ', name)";
const COLOURS = shades(DJANGO_HUE);
const WAIT_STEPS = [
  { from: 0, colour: OK },
  { from: 0.1, colour: WARNING },
];

/** What limits a Django service: workers and threads, the loop and its executors, the interpreter lock, the database. */
export const django: DashboardSpec = {
  uid: DASHBOARDS.django,
  title: "Tidemark: what limits Django?",
  description:
    "Workers and threads, the queue in front of them, executors, the interpreter lock, the database and memory.",
  rows: [
    {
      id: 310,
      title: "Are workers and threads free?",
      panels: [
        lines({
          id: PANELS.busyThreads,
          colours: COLOURS,
          title: "How many of the workers and threads are busy?",
          description:
            "Busy share of gunicorn's threads or workers. A request holds its thread to the end; at 1 the next one queues. Above 0.9 the alert fires: see where the time goes below.",
          width: 8,
          unit: "percentunit",
          max: 1,
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.9, colour: WARNING },
          ],
          sql: aggregateSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: `${SLOTS} AND u_capacity > 0`,
            value: "sum(u_busy) / sum(u_capacity)",
          }),
        }),
        lines({
          id: PANELS.threadWait,
          colours: COLOURS,
          title: "How long does a request wait for a thread?",
          description:
            "p50, p95 and p99 of the wait for a thread or worker, before Django sees the request: the hidden queue. Clients wait this on top of every duration the application reports.",
          width: 8,
          unit: "s",
          thresholds: WAIT_STEPS,
          sql: quantileSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: SLOTS,
            buckets: "wait_buckets",
            quantiles: [0.5, 0.95, 0.99],
          }),
        }),
        lines({
          id: 313,
          colours: COLOURS,
          title: "How many requests stand in the queue?",
          description: "Requests accepted but not running, mean of each bucket, all processes together.",
          width: 8,
          unit: "none",
          sql: gaugeSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: `${SLOTS} AND waiting_n > 0`,
            key: "instance",
            value: "sum(waiting_sum) / sum(waiting_n)",
            combine: "sum",
          }),
        }),
        heat({
          id: 314,
          title: "How are the waits for a thread spread?",
          description:
            "Every wait by length: rows are seconds, darker is more. A cloud that climbs is a queue that grows.",
          width: 12,
          scheme: "Blues",
          sql: heatmapColumns({ from: "resource_samples", where: SLOTS, buckets: "wait_buckets" }),
        }),
        phasesPanel("django", 315, 12),
        lines({
          id: PANELS.listenQueue,
          colours: COLOURS,
          title: "How full is the listen queue?",
          description:
            "Connections the kernel holds for the workers, as a share of the backlog's limit; shared listeners count once. Only sync workers leave requests there. Above 0.5 the alert fires.",
          width: 12,
          unit: "percentunit",
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.5, colour: CRITICAL },
          ],
          sql: aggregateSeries({
            from: "resource_samples",
            name: "concat(service, ' ', listener_id)",
            where: `${DJANGO} AND kind = 'listen_queue' AND fullness IS NOT NULL`,
            value: "max(fullness)",
          }),
        }),
        lines({
          id: 322,
          colours: COLOURS,
          title: "How many connections wait in the kernel?",
          description:
            "Connections in the listen queue, the most of each bucket. For sync workers this is the request queue.",
          width: 12,
          unit: "none",
          sql: aggregateSeries({
            from: "resource_samples",
            name: "concat(service, ' ', listener_id)",
            where: `${DJANGO} AND kind = 'listen_queue' AND waiting_max IS NOT NULL`,
            value: "max(waiting_max)",
          }),
        }),
        ...beforeDjangoPanels,
        stallsPanel("django", 316, 24),
      ],
    },
    {
      id: 330,
      title: "Is the interpreter free?",
      panels: [
        lines({
          id: 331,
          colours: COLOURS,
          title: "How long does a thread wait for the interpreter lock?",
          description:
            "p50, p95 and p99 of the wait for the GIL. One busy thread makes the others wait 5 ms each time they come back from a query; many make it tens of milliseconds. More processes help, more threads do not.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "resource_samples",
            name: "toString(service)",
            where: `${DJANGO} AND kind = 'gil'`,
            buckets: "wait_buckets",
            quantiles: [0.5, 0.95, 0.99],
          }),
        }),
        lines({
          id: 332,
          colours: COLOURS,
          title: "How long does the asyncio loop keep work waiting?",
          description:
            "p50, p95 and p99 of the wait for the loop of an ASGI server. High: an async view or consumer blocks.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "resource_samples",
            name: "toString(service)",
            where: `${DJANGO} AND kind = 'event_loop'`,
            buckets: "wait_buckets",
            quantiles: [0.5, 0.95, 0.99],
          }),
        }),
        lines({
          id: 333,
          colours: COLOURS,
          title: "How long does sync code wait for an executor thread?",
          description:
            "p95 of the wait for asgiref's and the loop's executors. Channels' sync consumers share one thread: this rises while the loop looks idle.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: `${DJANGO} AND kind = 'executor'`,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        lines({
          id: 334,
          colours: COLOURS,
          title: "How much processor does each process use?",
          description:
            "CPU seconds per second, per process. One process under the GIL cannot use much more than one core.",
          width: 8,
          unit: "none",
          sql: aggregateSeries({
            from: metricSource("process.cpu.time"),
            name: PROCESS,
            where: DJANGO,
            value: "sum(total) / step",
          }),
        }),
        lines({
          id: 335,
          colours: COLOURS,
          title: "Does the process get a core when it wants one?",
          description:
            "p95 of the time a thread was ready to run and had no core. High: the machine is starved, not the code slow.",
          width: 8,
          unit: "s",
          sql: quantileSeries({
            from: "resource_samples",
            name: PROCESS,
            where: `${DJANGO} AND kind = 'cpu'`,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        lines({
          id: 336,
          colours: COLOURS,
          title: "How many threads does each process have?",
          description:
            "Threads per process. Under ASGI every sync view gets a thread of its own: this grows where a thread pool would queue.",
          width: 8,
          unit: "none",
          sql: processGauge("process.thread.count", "django"),
        }),
        ...interpreterPanels,
      ],
    },
    {
      id: 340,
      title: "Does the database hold it up?",
      panels: [
        lines({
          id: 341,
          colours: COLOURS,
          title: "How long does a query take?",
          description:
            "p95 of one operation, by database alias. One alias only: its statements; all of them: the database server.",
          width: 12,
          unit: "s",
          sql: quantileSeries({
            from: "query_timings",
            name: "concat(service, ' ', db_alias)",
            where: DJANGO,
            buckets: "buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        lines({
          id: 342,
          colours: COLOURS,
          title: "How long does a request wait for a connection?",
          description:
            "p95 of the wait for a connection of the psycopg pool, by alias. Empty without a pool: then a connection belongs to its thread.",
          width: 12,
          unit: "s",
          thresholds: WAIT_STEPS,
          sql: quantileSeries({
            from: "resource_samples",
            name: RESOURCE,
            where: `${DJANGO} AND kind = 'db_pool'`,
            buckets: "wait_buckets",
            quantiles: [0.95],
            suffix: false,
          }),
        }),
        statementsPanel("django", 343, 12),
        repeatsPanel("django", 344, 12),
        ...databasePanels,
      ],
    },
    {
      id: 350,
      title: "What does the process pay?",
      panels: [
        lines({
          id: 351,
          colours: COLOURS,
          title: "How much memory does each worker hold?",
          description:
            "Proportional set size: pages that n workers share count one n-th each, so the lines add up to what the service holds. Resident memory would count them n times.",
          width: 12,
          unit: "bytes",
          sql: processGauge("tidemark.process.memory.pss", "django"),
        }),
        connectionsPanel("django", 352, 12),
        ...memoryPanels,
      ],
    },
    pagesRow,
    channelsRow,
    {
      id: 360,
      title: "Which settings are known to hurt?",
      panels: [
        rows({
          id: PANELS.findings,
          title: "What would you change in the settings?",
          description:
            "Findings of the agent in the settings and the server of each process: what hurts, why, and the fix. Silence one with SILENCED_SYSTEM_CHECKS.",
          width: 24,
          units: { processes: "none" },
          widths: { service: 110, finding: 120, setting: 300, fix: 330, processes: 90 },
          noValue: "nothing found",
          sql: `${WITH_STEP}
SELECT toString(service) AS service, attributes['tidemark.finding.id'] AS finding, attributes['tidemark.finding.where'] AS setting,
  attributes['tidemark.finding.fix'] AS fix, toFloat64(uniqExact(instance)) AS processes, attributes['tidemark.finding.why'] AS why
FROM ${metricSource("tidemark.finding")}
WHERE ${DJANGO} AND ${VARIABLE_FILTER}
GROUP BY service, finding, setting, why, fix
ORDER BY finding, service, setting
LIMIT 50`,
        }),
      ],
    },
  ],
};
