import type { StoreClient } from "@tidemark/store";

/** What a phase of the story does to the two services. Waits are p95-like, in seconds. */
interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly node: {
    loopU: number;
    loopWait: number;
    poolU: number;
    poolWait: number;
    libuvU: number;
    libuvWait: number;
    duration: number;
  };
  readonly django: { threadsU: number; threadWait: number; gilWait: number; duration: number };
}

const CALM: Phase = {
  name: "calm",
  seconds: 60,
  node: { loopU: 0.1, loopWait: 0.002, poolU: 0.1, poolWait: 0.0005, libuvU: 0.1, libuvWait: 0.0003, duration: 0.01 },
  django: { threadsU: 0.2, threadWait: 0.001, gilWait: 0.002, duration: 0.02 },
};

/** The demo's story in small: what each phase must be recognised by. */
export const STORY: readonly Phase[] = [
  CALM,
  {
    name: "slow database",
    seconds: 60,
    node: { ...CALM.node, poolU: 1, poolWait: 1.5, loopWait: 0.004, duration: 2 },
    django: { threadsU: 1, threadWait: 3, gilWait: 0.001, duration: 0.5 },
  },
  {
    name: "CPU burst",
    seconds: 60,
    // The pool's wait contains the loop's: a connection comes back when the loop turns.
    node: { ...CALM.node, loopU: 0.98, loopWait: 0.6, poolU: 0.8, poolWait: 1.4, duration: 1.5 },
    django: { threadsU: 1, threadWait: 2, gilWait: 0.03, duration: 1 },
  },
  {
    name: "hashing",
    seconds: 60,
    node: { ...CALM.node, loopU: 0.15, loopWait: 0.004, libuvU: 1, libuvWait: 0.4, duration: 0.6 },
    django: { threadsU: 0.95, threadWait: 0.3, gilWait: 0.006, duration: 0.3 },
  },
  { ...CALM, name: "recovery" },
];

const SERVICES = [
  { service: "bookshop-node", runtime: "node", server: "node-http", processes: ["n1", "n2"] },
  { service: "bookshop-django", runtime: "django", server: "gunicorn-gthread", processes: ["d1", "d2"] },
] as const;

export interface StoryTimes {
  readonly from: Date;
  readonly to: Date;
  readonly phases: readonly { readonly name: string; readonly from: Date; readonly to: Date }[];
}

/** Buckets at scale 4 of `count` waits spread up to `p95`, as an agent would send them. */
export function bucketsOf(p95: number, count: number): { buckets: Record<string, number>; sum: number; max: number } {
  const buckets: Record<string, number> = {};
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const value = p95 * Math.min(1.1, (i + 1) / count / 0.95);
    const key = String(Math.ceil(Math.log2(value) * 16) - 1);
    buckets[key] = (buckets[key] ?? 0) + 1;
    sum += value;
  }
  return { buckets, sum, max: p95 * 1.1 };
}

/** Times of a story that ends at `end`. */
export function storyTimes(end: Date): StoryTimes {
  const length = STORY.reduce((total, phase) => total + phase.seconds, 0);
  const from = new Date(end.getTime() - length * 1000);
  let at = from.getTime();
  const phases = STORY.map((phase) => {
    const start = new Date(at);
    at += phase.seconds * 1000;
    return { name: phase.name, from: start, to: new Date(at) };
  });
  return { from, to: end, phases };
}

/** Writes what the ingest would have written for the story, one export each `periodSeconds`; every process exports the same deltas. */
export async function writeStory(writer: StoreClient, times: StoryTimes, periodSeconds: number): Promise<void> {
  const resources: object[] = [];
  const requests: object[] = [];
  const requestPhases: object[] = [];
  const queries: object[] = [];
  const connections: object[] = [];
  const samples: object[] = [];
  const histograms: object[] = [];
  const series = new Map<string, object>();
  STORY.forEach((phase, index) => {
    const bounds = times.phases[index];
    if (bounds === undefined) return;
    for (let at = bounds.from.getTime() + periodSeconds * 1000; at <= bounds.to.getTime(); at += periodSeconds * 1000) {
      for (const { service, runtime, server, processes } of SERVICES) {
        processes.forEach((instance, worker) => {
          const ts = stamp(at);
          const who = {
            ts,
            service,
            runtime,
            instance,
            worker: String(worker),
            host: "h",
            server,
            environment: "test",
            points: 1,
          };
          const resource = (kind: string, name: string, fields: object, p95 = 0, count = 0) => {
            const { buckets, sum, max } = bucketsOf(p95, count);
            const waits = count > 0 ? { wait_count: count, wait_sum: sum, wait_max: max, wait_buckets: buckets } : {};
            resources.push({
              ...who,
              group_id: "g",
              pid: 1,
              kind,
              name,
              scope: "process",
              listener_id: "",
              ...fields,
              ...waits,
            });
          };
          const load = runtime === "node" ? phase.node : phase.django;
          const count = 10 * periodSeconds;
          if (runtime === "node") {
            const n = phase.node;
            const probes = 20 * periodSeconds;
            resource(
              "event_loop",
              "main",
              { capacity: 1, busy: n.loopU, stall_age: n.loopWait / 2 },
              n.loopWait,
              probes,
            );
            resource(
              "thread_pool",
              "fast",
              { capacity: 4, busy: 4 * n.libuvU, waiting: 1, waiting_max: 2 },
              n.libuvWait,
              probes,
            );
            // The lanes share the threads: what fills the pool with hashes delays look-ups as much.
            resource("thread_pool", "slow", { capacity: 2, busy: 0 }, n.libuvWait * 1.05, probes);
            // A worker thread that computes, as it should.
            resource("event_loop", "worker-1", { capacity: 1, busy: 1, stall_age: 5 }, 5, probes);
            resource(
              "db_pool",
              "main",
              { capacity: 10, busy: 10 * n.poolU, waiting: 3, waiting_max: 9 },
              n.poolWait,
              count,
            );
            resource("cpu", "main", { capacity: 1, busy: n.loopU * 0.9 }, 0.001, probes);
            resource("worker", "cluster", { capacity: 2 });
          } else {
            const d = phase.django;
            const waiting = d.threadsU >= 1 ? 30 : 0;
            resource(
              "thread_pool",
              "gunicorn-gthread",
              { capacity: 4, busy: 4 * d.threadsU, waiting, waiting_max: waiting },
              d.threadWait,
              count,
            );
            resource("gil", "process", { capacity: 1, busy: 0.3 }, d.gilWait, 50 * periodSeconds);
            resource("cpu", "process", { capacity: 1, busy: 0.4 }, 0.001, 10);
            resource("event_loop", "asyncio", { capacity: 1, busy: 0.05, stall_age: 0 }, 0.001, 10);
            resource("executor", "asgiref.global", { capacity: 1, busy: 0.1, waiting: 0, waiting_max: 0 }, 0.001, 10);
            // Both workers see the same listener.
            resource("listen_queue", "tcp:127.0.0.1:8000", {
              capacity: 2048,
              waiting: 2,
              waiting_max: 5,
              rejected: 0,
              scope: "host",
              listener_id: "tcp:127.0.0.1:8000",
            });
          }
          const duration = bucketsOf(load.duration, count);
          requests.push({
            ...who,
            route: "/books/<id>",
            method: "GET",
            status: 200,
            error_type: "",
            count,
            ...duration,
          });
          requests.push({
            ...who,
            route: "/books/<id>",
            method: "GET",
            status: 500,
            error_type: "500",
            count: 1,
            ...bucketsOf(0.01, 1),
          });
          for (const [name, share] of [
            ["queue", 0.2],
            ["middleware", 0.05],
            ["view", 0.25],
            ["db_pool", 0.2],
            ["db", 0.3],
          ] as const) {
            requestPhases.push({
              ...who,
              route: "/books/<id>",
              phase: name,
              count: count + 1,
              ...bucketsOf(load.duration * share, count + 1),
            });
          }
          queries.push({
            ...who,
            db_system: "postgresql",
            db_namespace: "shop",
            db_alias: "default",
            operation: "SELECT",
            summary: "SELECT bookshop_book",
            statement_id: "17",
            route: "/books/<id>",
            error_type: "",
            count: 7 * count,
            ...bucketsOf(load.duration / 10, 7 * count),
          });
          const open = 100 + ((at - times.from.getTime()) / 1000) * 2;
          connections.push({
            ...who,
            kind: "http",
            memory_type: "anonymous",
            connections: open,
            opened: 2,
            memory_bytes: 5e7 + open * (runtime === "node" ? 9_000 : 34_000),
            // Django's fit holds over all that was seen; Node's only over the beginning.
            bytes_per_connection: runtime === "node" ? 9_000 : 34_000,
            fit_r2: 0.97,
            fit_span: runtime === "node" ? Math.min(70, open - 100) : open - 100,
          });
          const metric = (name: string, value: number, attributes: Record<string, string> = {}, histogram = false) => {
            const id = String(hash(`${name} ${instance} ${JSON.stringify(attributes)}`));
            const kind = histogram ? "exponential_histogram" : "gauge";
            series.set(id, {
              metric: name,
              service,
              series_id: id,
              runtime,
              instance,
              worker: String(worker),
              environment: "test",
              host: "h",
              kind,
              temporality: "delta",
              monotonic: false,
              unit: "1",
              description: "",
              resource: {},
              scope_name: "",
              scope_version: "",
              attributes,
              last_seen: ts.slice(0, 19),
            });
            if (histogram)
              histograms.push({
                metric: name,
                service,
                series_id: id,
                ts,
                count: 3,
                sum: value,
                min: 0,
                max: value,
                scale: 4,
                zero: 0,
                positive: {},
                negative: {},
              });
            else samples.push({ metric: name, service, series_id: id, ts, m: Math.round(value * 1000), e: -3 });
          };
          metric("process.memory.usage", 9e7);
          metric("process.cpu.time", 0.4 * periodSeconds, { "cpu.mode": "user" });
          metric("process.thread.count", 12);
          if (runtime === "node") {
            metric("v8js.memory.heap.used", 4e7, { "v8js.heap.space.name": "old_space" });
            metric("v8js.gc.duration", 0.02, { "v8js.gc.type": "minor" }, true);
            metric("tidemark.http.server.loop_active", 0.2, { "http.route": "/books/<id>" }, true);
            nodeExtras(metric, load, periodSeconds);
          } else {
            metric("tidemark.process.memory.pss", 4e7);
            metric("tidemark.finding", 1, {
              "tidemark.finding.id": "tidemark.W007",
              "tidemark.finding.where": "gunicorn-gthread serves with DEBUG = True",
              "tidemark.finding.why": "With `DEBUG` every query is kept in memory and formatted",
              "tidemark.finding.fix": "`DEBUG = False` in what serves users",
            });
            resource("channel_layer", "default", { waiting: 1, waiting_max: 3, rejected: 1 }, 0.001, 10);
            djangoExtras(metric, load);
          }
        });
      }
    }
  });
  const own = ownMetrics(times);
  samples.push(...own.samples);
  for (const each of own.series) series.set(each.series_id, each);
  const insert = (table: string, values: object[]) => writer.insert({ table, values, format: "JSONEachRow" });
  await insert("resource_samples", resources);
  await insert("http_requests", requests);
  await insert("request_phases", requestPhases);
  await insert("query_timings", queries);
  await insert("query_statements", [
    {
      statement_id: "17",
      db_system: "postgresql",
      text: "SELECT * FROM bookshop_book WHERE id = $1",
      last_seen: stamp(times.to.getTime()).slice(0, 19),
    },
  ]);
  await insert("connection_memory", connections);
  await insert("samples", samples);
  await insert("exp_histograms", histograms);
  await insert("histograms", own.histograms);
  await insert("series", [...series.values()]);
  await insert("otel_logs", [
    ...times.phases.map((phase) => annotation(phase)),
    ...SERVICES.map(({ service, runtime }) => stall(service, runtime, times.to)),
  ]);
  await insert("alert_events", [
    alert(times, "firing", 100),
    alert(times, "recovered", 130),
    { ...alert(times, "firing", 150), fingerprint: "b" },
  ]);
}

/** What a Node process tells of its WebSockets, its quota of processor time, its cluster and its agent. */
function nodeExtras(
  metric: (name: string, value: number, attributes?: Record<string, string>, histogram?: boolean) => void,
  load: { readonly duration: number },
  periodSeconds: number,
): void {
  for (const direction of ["inbound", "outbound"]) {
    metric("tidemark.websocket.messages", 50 * periodSeconds, { "tidemark.connection.direction": direction });
    metric("tidemark.websocket.bytes", 9_000 * periodSeconds, { "tidemark.connection.direction": direction });
  }
  metric("tidemark.websocket.compressed", 40);
  metric("tidemark.websocket.buffered", 1e5 * load.duration);
  for (const [state, share] of [
    ["running", 0.5],
    ["runqueue", 0.125],
  ] as const) {
    const attributes = { "tidemark.thread.role": "main", "tidemark.cpu.state": state };
    metric("tidemark.thread.cpu.time", share * periodSeconds, attributes);
  }
  metric("tidemark.cgroup.cpu.periods", 10 * periodSeconds);
  metric("tidemark.cgroup.cpu.throttled_periods", 2.5 * periodSeconds);
  metric("tidemark.worker.exits", 1, { "error.type": "SIGKILL" });
  metric("tidemark.worker.restarts", 1);
  metric("tidemark.agent.cpu.time", 0.02 * periodSeconds, { "tidemark.agent.part": "worker" });
  metric("tidemark.agent.throttled", 0.5);
  metric("tidemark.agent.hold.duration", 0.0002, {}, true);
  metric("tidemark.agent.dropped", 3, { "tidemark.dropped.reason": "queue_full" });
  metric("tidemark.agent.errors", 1, { "tidemark.agent.part": "worker" });
}

/** What a Django process tells of its pages, its database, its memory, its channel layer and who waited before it. */
function djangoExtras(
  metric: (name: string, value: number, attributes?: Record<string, string>, histogram?: boolean) => void,
  load: { readonly duration: number },
): void {
  const alias = { "db.client.connection.pool.name": "default" };
  const fragment = { "tidemark.template.fragment": "sidebar" };
  const layer = { "tidemark.resource.name": "default" };
  const cache = { "tidemark.cache.alias": "default" };
  metric("tidemark.http.server.queue.duration", load.duration / 5, { "tidemark.queue.source": "tcp_info" }, true);
  metric("tidemark.worker.timeouts", 0);
  metric("tidemark.cpython.gc.pause", 0.02, { "cpython.gc.generation": "2" }, true);
  metric("tidemark.asgiref.hops", 12, {}, true);
  metric("tidemark.http.server.cpu.duration", 0.01, {}, true);
  metric("tidemark.db.transaction.duration", load.duration, alias, true);
  metric("tidemark.db.transaction.idle_time", load.duration / 2, alias, true);
  for (const state of ["idle", "used"]) {
    metric("db.client.connection.count", 3, { ...alias, "db.client.connection.state": state });
  }
  metric("db.client.connection.create_time", 0.03, { ...alias, "tidemark.db.connect.kind": "connect" }, true);
  metric("tidemark.db.queries_per_request", 60, { "http.route": "/books/<id>" }, true);
  metric("tidemark.process.memory.uss", 3e7);
  metric("tidemark.process.memory.shared", 2e7);
  metric("tidemark.process.memory.growth", 1e5);
  metric("process.open_file_descriptor.count", 20);
  metric("tidemark.cache.hits", 30, cache);
  metric("tidemark.cache.misses", 10, cache);
  metric("tidemark.cache.operation.duration", 0.001, { ...cache, "tidemark.cache.operation": "get" }, true);
  metric("tidemark.template.render.duration", 0.02, { "tidemark.template.name": "book.html" }, true);
  metric("tidemark.template.fragment.hits", 9, fragment);
  metric("tidemark.template.fragment.misses", 1, fragment);
  metric("tidemark.template.fragment.render.duration", 0.05, fragment, true);
  metric("tidemark.http.server.middleware.duration", 0.03, { "tidemark.middleware.name": "shop.Outer" }, true);
  metric("tidemark.channels.layer.hop.duration", 0.003, layer, true);
  metric("tidemark.channels.layer.duration", 0.003, { ...layer, "tidemark.cache.operation": "send" }, true);
  metric("tidemark.websocket.connections", 40, { "tidemark.websocket.consumer": "shop.Chat" });
}

/** What a healthy ingest says about itself every 10 s of the story: one point in 500 is rejected, one in 250 over a budget. */
function ownMetrics({ from, to }: StoryTimes) {
  const samples: object[] = [];
  const histograms: object[] = [];
  const series = new Map<string, { readonly series_id: string }>();
  const seriesOf = (metric: string, attributes: Record<string, string>, kind: string): object => {
    const series_id = String(hash(`${metric} ${JSON.stringify(attributes)}`));
    const who = { metric, service: "tidemark-ingest", series_id };
    const instance = "5f0c1b7e-0000-4000-8000-000000000000";
    series.set(series_id, { ...who, instance, kind, attributes, last_seen: stamp(to.getTime()).slice(0, 19) } as {
      series_id: string;
    });
    return who;
  };
  for (let at = from.getTime() + 10_000; at <= to.getTime(); at += 10_000) {
    const ts = stamp(at);
    const number = (name: string, value: number, attributes: Record<string, string> = {}) => {
      samples.push({ ...seriesOf(name, attributes, "gauge"), ts, m: Math.round(value * 1000), e: -3 });
    };
    const ingest = (name: string, value: number, attributes: Record<string, string> = {}) =>
      number(`tidemark.ingest.${name}`, value, attributes);
    const spread = (name: string, bounds: number[], buckets: number[], sum: number, attributes = {}) => {
      const count = buckets.reduce((total, each) => total + each, 0);
      const who = seriesOf(`tidemark.ingest.${name}`, attributes, "histogram");
      histograms.push({ ...who, ts, count, sum, min: null, max: null, bounds, buckets });
    };
    for (const { service } of SERVICES) {
      ingest("points", 500, { "tidemark.signal": "metrics", "tidemark.source": service });
      ingest("io", 40_000, { "tidemark.signal": "metrics", "tidemark.source": service });
    }
    ingest("requests", 20, {
      "tidemark.signal": "metrics",
      "network.protocol.name": "http",
      "tidemark.status": "200",
    });
    ingest("rejected", 2, { "tidemark.signal": "metrics", "tidemark.rejected.reason": "too_old" });
    ingest("overflow", 2, {
      "tidemark.source": "bookshop-node",
      "tidemark.overflow.metric": "carts",
      "tidemark.overflow.outcome": "folded",
    });
    ingest("series", 400);
    ingest("insert.failures", 0, { "db.collection.name": "samples" });
    ingest("queue.size", 20_000);
    ingest("queue.limit", 2 ** 31);
    ingest("queue.age", 0.7);
    ingest("clickhouse.up", 1);
    number("process.cpu.time", 0.5, { "cpu.mode": "user" });
    number("process.memory.usage", 1e8);
    number("nodejs.eventloop.delay.max", 0.03);
    spread("acknowledge.duration", [0.001, 0.01, 0.1], [0, 18, 2, 0], 0.2);
    spread("sync.duration", [0.001, 0.01, 0.1], [10, 10, 0, 0], 0.1);
    spread("insert.duration", [0.01, 0.1, 1], [5, 5, 0, 0], 0.4, { "db.collection.name": "samples" });
    spread("insert.rows", [10, 100, 1000], [0, 5, 5, 0], 1_000, { "db.collection.name": "samples" });
  }
  return { samples, histograms, series: [...series.values()] };
}

function annotation(phase: StoryTimes["phases"][number]): object {
  const seconds = (phase.to.getTime() - phase.from.getTime()) / 1000;
  return {
    Timestamp: stamp(phase.from.getTime()),
    ServiceName: "load",
    Body: phase.name,
    EventName: "tidemark.annotation",
    LogAttributes: { "tidemark.annotation.title": phase.name, "tidemark.annotation.duration": String(seconds) },
  };
}

function stall(service: string, runtime: string, at: Date): object {
  return {
    Timestamp: stamp(at.getTime() - 60_000),
    ServiceName: service,
    Body: "stall",
    EventName: "tidemark.stall",
    ResourceAttributes: { "telemetry.distro.name": `tidemark-${runtime}`, "service.instance.id": "x" },
    LogAttributes: {
      "tidemark.resource.kind": "event_loop",
      "tidemark.resource.name": "main",
      "tidemark.stall.duration": "0.4",
      "tidemark.stall.victims": "2",
      "tidemark.stall.victims.lost_time": "0.7",
      "http.route": "/report",
      "code.function.name": "report",
      "code.file.path": "app.js",
      "code.line.number": "12",
    },
  };
}

function alert(times: StoryTimes, state: string, afterSeconds: number): object {
  const ts = stamp(times.from.getTime() + afterSeconds * 1000);
  return {
    ts,
    rule_id: "tidemark-busy-threads",
    title: "All workers or threads are busy",
    severity: "warning",
    state,
    fingerprint: "a",
    service: "bookshop-django",
    runtime: "django",
    instance: "",
    labels: {},
    value: 1,
    summary: "busy",
    started_at: ts,
  };
}

function stamp(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "");
}

/** FNV-1a, 32 bits: an id that JSON can carry. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (const char of text) h = Math.imul(h ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return h;
}
