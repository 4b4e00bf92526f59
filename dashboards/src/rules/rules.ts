import { bucketQuantile } from "@tidemark/store";
import { DASHBOARDS, PANELS } from "../panel-ids.ts";
import { ingestRules } from "./ingest.ts";
import type { Profile, Rule, Timing } from "./rule.ts";

const RESOURCES = "tidemark.resource_samples";
const RUNBOOK = "dashboards/runbooks.md";
/** Waits a quantile needs before it is judged: below that one slow request is "5 %". */
const MIN_WAITS = 10;
/** Exports a window needs before a gauge is judged. */
const MIN_EXPORTS = 2;
/** libuv's two lanes are thread pools too, with a rule of their own. */
const LIBUV = "kind = 'thread_pool' AND name IN ('fast', 'slow')";
/** A worker thread's loop is meant to be blocked by its work. */
const LOOP = "kind = 'event_loop' AND name NOT LIKE 'worker-%'";
const REQUEST_THREADS = "kind IN ('thread_pool', 'worker') AND name NOT IN ('fast', 'slow')";
const P95 = bucketQuantile("sumMap(wait_buckets)", 0.95);

/**
 * Production windows cover at least six exports of 10 s; the demo exports each second and has phases of about 15 s. `own` is for what the
 * ingest says about itself: every 10 s in both.
 */
const TIMING: Record<Profile, Record<"wait" | "instant" | "absent" | "own", Timing>> = {
  production: {
    wait: { windowSeconds: 120, forSeconds: 120, keepFiringSeconds: 120 },
    instant: { windowSeconds: 60, forSeconds: 0, keepFiringSeconds: 60 },
    absent: { windowSeconds: 3600, forSeconds: 60, keepFiringSeconds: 0 },
    own: { windowSeconds: 60, forSeconds: 60, keepFiringSeconds: 60 },
  },
  demo: {
    wait: { windowSeconds: 8, forSeconds: 2, keepFiringSeconds: 4 },
    instant: { windowSeconds: 10, forSeconds: 0, keepFiringSeconds: 4 },
    absent: { windowSeconds: 600, forSeconds: 30, keepFiringSeconds: 0 },
    own: { windowSeconds: 30, forSeconds: 0, keepFiringSeconds: 10 },
  },
};

/**
 * Only processes that reported during the window before this one too. A process that is starting holds its own loop for a second
 * or more (it loads modules) while it serves nobody.
 */
function settled(windowSeconds: number): string {
  return `instance IN (SELECT instance FROM ${RESOURCES} WHERE $__timeFilter(ts + INTERVAL ${windowSeconds} SECOND))`;
}

/**
 * The alert rules of one profile. Sources of the thresholds: 100 ms is the limit of "instantaneous" to a person (Nielsen,
 * response times) and the delay that Clinic.js Doctor calls bad; 1 s is where a person loses the thread; 0.9 of capacity is where
 * queueing time has grown tenfold in an M/M/1 queue (W = S / (1 - U)).
 */
export function rulesFor(profile: Profile): readonly Rule[] {
  const { wait, instant, absent, own } = TIMING[profile];
  return [
    {
      id: "tidemark-event-loop-wait",
      title: "Requests wait for the event loop",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(instance, 'String') AS instance, CAST(name, 'String') AS resource,
  ifNull(toFloat64(${P95}), 0) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND ${LOOP} AND ${settled(wait.windowSeconds)}
GROUP BY service, runtime, instance, resource
HAVING sum(wait_count) >= ${MIN_WAITS}`,
      ...wait,
      op: "gt",
      threshold: 0.1,
      recover: 0.05,
      unit: "s",
      severity: "warning",
      noData: "ok",
      labels: { kind: "event_loop" },
      annotations: {
        summary: "{{ $labels.service }}: one request in twenty waits {{ $values.A.Value }} s for the event loop",
        cause:
          "JavaScript or Python code holds the loop: heavy computation, a large JSON or template, a synchronous call.",
        effect:
          "Every request of this process is late by that wait, whatever its route; nothing else in the process can run.",
        action:
          "Open the stalls of this service: they name route and line. Move that work to a worker thread or a job, or cut it in pieces.",
      },
      runbook: `${RUNBOOK}#requests-wait-for-the-event-loop`,
      dashboard: DASHBOARDS.node,
      panelId: PANELS.eventLoopWait,
    },
    {
      id: "tidemark-event-loop-blocked",
      title: "An event loop stands still",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(instance, 'String') AS instance, CAST(name, 'String') AS resource,
  toFloat64(greatest(ifNull(max(stall_age), 0), ifNull(max(wait_max), 0))) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND ${LOOP} AND ${settled(instant.windowSeconds)}
GROUP BY service, runtime, instance, resource
HAVING count() >= ${MIN_EXPORTS}`,
      ...instant,
      op: "gt",
      threshold: 1,
      recover: 0.5,
      unit: "s",
      severity: "critical",
      noData: "ok",
      labels: { kind: "event_loop" },
      annotations: {
        summary: "{{ $labels.service }}: the event loop stood still for {{ $values.A.Value }} s",
        cause: "One piece of synchronous work, or a process that gets no CPU.",
        effect: "No request of this process was answered in that time; health checks may fail and restart it.",
        action:
          "Read the newest stall of this instance for the line; compare with its CPU wait to rule out a starved machine.",
      },
      runbook: `${RUNBOOK}#an-event-loop-stands-still`,
      dashboard: DASHBOARDS.node,
      panelId: PANELS.eventLoopStall,
    },
    {
      id: "tidemark-busy-threads",
      title: "All workers or threads are busy",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(kind, 'String') AS kind, CAST(name, 'String') AS resource,
  ifNull(toFloat64(sum(busy) / sum(capacity)), 0) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND ${REQUEST_THREADS} AND capacity > 0 AND busy IS NOT NULL
GROUP BY service, runtime, kind, resource
HAVING count() >= ${MIN_EXPORTS}`,
      ...wait,
      op: "gt",
      threshold: 0.9,
      recover: 0.7,
      unit: "ratio",
      severity: "warning",
      noData: "ok",
      labels: {},
      annotations: {
        summary: "{{ $labels.service }}: {{ $labels.resource }} is busy to {{ $values.A.Value }} of its capacity",
        cause:
          "Each request holds its worker or thread to the end, and they are held longer than they come back: a slow database, a slow service, CPU work.",
        effect: "New requests queue before the application sees them; in-application durations do not show it.",
        action:
          "See which phase the time goes to (database, CPU). Make that faster first; then add threads or workers within memory and database connections.",
      },
      runbook: `${RUNBOOK}#all-workers-or-threads-are-busy`,
      dashboard: DASHBOARDS.django,
      panelId: PANELS.busyThreads,
    },
    {
      id: "tidemark-hidden-queue",
      title: "Requests queue before the application sees them",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(kind, 'String') AS kind, CAST(name, 'String') AS resource,
  ifNull(toFloat64(${P95}), 0) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND kind IN ('thread_pool', 'worker', 'executor') AND NOT (${LIBUV})
GROUP BY service, runtime, kind, resource
HAVING sum(wait_count) >= ${MIN_WAITS} AND ifNull(max(waiting_max), 1) >= 1`,
      ...wait,
      op: "gt",
      threshold: 0.1,
      recover: 0.05,
      unit: "s",
      severity: "warning",
      noData: "ok",
      labels: {},
      annotations: {
        summary:
          "{{ $labels.service }}: one request in twenty waits {{ $values.A.Value }} s for {{ $labels.resource }}",
        cause: "More requests arrive than the workers or threads finish.",
        effect: "Clients wait this long on top of every duration the application reports, then time out.",
        action: "Look at what the busy threads do; shed or slow the load if the queue still grows.",
      },
      runbook: `${RUNBOOK}#requests-queue-before-the-application-sees-them`,
      dashboard: DASHBOARDS.django,
      panelId: PANELS.threadWait,
    },
    {
      id: "tidemark-libuv-pool",
      title: "Node's thread pool is full",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(instance, 'String') AS instance, CAST(name, 'String') AS resource,
  toFloat64(greatest(ifNull(${P95}, 0), ifNull(argMax(stall_age, ts), 0))) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND ${LIBUV} AND ${settled(wait.windowSeconds)}
GROUP BY service, runtime, instance, resource
HAVING count() >= ${MIN_EXPORTS}`,
      ...wait,
      op: "gt",
      threshold: 0.1,
      recover: 0.05,
      unit: "s",
      severity: "warning",
      noData: "ok",
      labels: { kind: "thread_pool" },
      annotations: {
        summary: "{{ $labels.service }}: work waits {{ $values.A.Value }} s for libuv's {{ $labels.resource }} lane",
        cause:
          "Hashing, compression, file or DNS work fills the four threads (UV_THREADPOOL_SIZE); the event loop looks healthy.",
        effect:
          "Every file read, DNS look-up and hash of the process waits, for routes that have nothing to do with the cause.",
        action:
          "Limit how many hashes run at once, cache them, or raise UV_THREADPOOL_SIZE up to the number of cores for CPU work.",
      },
      runbook: `${RUNBOOK}#nodes-thread-pool-is-full`,
      dashboard: DASHBOARDS.node,
      panelId: PANELS.libuvWait,
    },
    {
      id: "tidemark-listen-queue",
      title: "A listen queue fills up",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(listener_id, 'String') AS resource,
  ifNull(toFloat64(greatest(if(sum(rejected) > 0 AND max(waiting_max) > 0, 1, 0), max(waiting_max / capacity))), 0) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND kind = 'listen_queue' AND capacity > 0 AND waiting_max IS NOT NULL
GROUP BY service, runtime, resource
HAVING count() >= ${MIN_EXPORTS}`,
      ...instant,
      op: "gt",
      threshold: 0.5,
      recover: 0.1,
      unit: "ratio",
      severity: "critical",
      noData: "ok",
      labels: { kind: "listen_queue" },
      annotations: {
        summary: "{{ $labels.service }}: the listen queue of {{ $labels.resource }} is full to {{ $values.A.Value }}",
        cause: "The workers do not accept connections as fast as they come.",
        effect: "When it is full the kernel drops connections: clients retry after 1 s, 3 s, 7 s, or are refused.",
        action: "Find out why the workers are busy. A longer backlog only makes the wait longer.",
      },
      runbook: `${RUNBOOK}#a-listen-queue-fills-up`,
      dashboard: DASHBOARDS.django,
      panelId: PANELS.listenQueue,
    },
    {
      id: "tidemark-database-pool",
      title: "Requests wait for a database connection",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime, CAST(name, 'String') AS resource,
  ifNull(toFloat64(${P95}), 0) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts) AND kind = 'db_pool'
GROUP BY service, runtime, resource
HAVING sum(wait_count) >= ${MIN_WAITS}`,
      ...wait,
      op: "gt",
      threshold: 0.1,
      recover: 0.05,
      unit: "s",
      severity: "warning",
      noData: "ok",
      labels: { kind: "db_pool" },
      annotations: {
        summary:
          "{{ $labels.service }}: one query in twenty waits {{ $values.A.Value }} s for a connection of pool {{ $labels.resource }}",
        cause:
          "All connections are in use: slow statements, long transactions, or a connection that is not given back.",
        effect: "Requests wait before their query even starts; the database itself may look idle.",
        action: "Look at the slowest statements first; a larger pool helps only while the database has spare capacity.",
      },
      runbook: `${RUNBOOK}#requests-wait-for-a-database-connection`,
      dashboard: DASHBOARDS.node,
      panelId: PANELS.nodePoolWait,
    },
    {
      id: "tidemark-telemetry-absent",
      title: "A service went silent",
      sql: `SELECT CAST(service, 'String') AS service, CAST(runtime, 'String') AS runtime,
  toFloat64(greatest(0, toFloat64(now64(3)) - toFloat64(max(ts)))) AS value
FROM ${RESOURCES}
WHERE $__timeFilter(ts)
GROUP BY service, runtime
HAVING count() >= ${MIN_EXPORTS}`,
      ...absent,
      op: "gt",
      threshold: 60,
      recover: 30,
      unit: "s",
      severity: "critical",
      noData: "ok",
      labels: {},
      annotations: {
        summary: "{{ $labels.service }}: no telemetry for {{ $values.A.Value }} s",
        cause: "All processes of the service are gone, or the agent cannot reach the ingest.",
        effect: "Nobody watches this service: no other rule can fire for it.",
        action:
          "Check that the service runs; then `tidemark doctor`, then the agent's own messages in the service's log.",
      },
      runbook: `${RUNBOOK}#a-service-went-silent`,
      dashboard: DASHBOARDS.overview,
      panelId: PANELS.freshness,
    },
    ...ingestRules(own, absent),
  ];
}

/** The rules as they are provisioned: windows of two minutes, thresholds as in {@link rulesFor}. */
export const RULES: readonly Rule[] = rulesFor("production");
