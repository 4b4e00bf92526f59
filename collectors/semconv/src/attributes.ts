import type { Attribute } from "./metric.ts";

/** Kinds of resource that work can queue for. Source: the saturation model, docs/saturation.md. */
export const RESOURCE_KINDS = [
  "event_loop",
  "thread_pool",
  "worker",
  "executor",
  "db_pool",
  "listen_queue",
  "gil",
  "cpu",
  "channel_layer",
] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** Where one request's time goes; the phases of a request sum to what the client waited, less the network. */
export const REQUEST_PHASES = ["queue", "middleware", "view", "db_pool", "db", "cache", "template", "send"] as const;
export type RequestPhase = (typeof REQUEST_PHASES)[number];

/** Identity, on the OTLP resource of every export. */
export const RESOURCE_ATTRIBUTES = [
  { name: "service.name", type: "string", brief: "Name of the service." },
  { name: "service.version", type: "string", brief: "Version of the service, when known." },
  { name: "service.instance.id", type: "string", brief: "UUID of one serving process, made after fork." },
  { name: "process.pid", type: "int", brief: "Process id of the serving process." },
  { name: "process.runtime.name", type: "string", brief: "`nodejs` or `cpython`." },
  { name: "process.runtime.version", type: "string", brief: "Version of the runtime." },
  { name: "host.name", type: "string", brief: "Name of the host." },
  { name: "deployment.environment.name", type: "string", brief: "For example `production`." },
  { name: "telemetry.distro.name", type: "string", brief: "`tidemark-node` or `tidemark-django`: which agent speaks." },
  { name: "telemetry.distro.version", type: "string", brief: "Version of the agent." },
  {
    name: "tidemark.server",
    type: "string",
    brief: "What serves requests: `gunicorn-gthread`, `uvicorn`, `node-http`.",
  },
  { name: "tidemark.server.version", type: "string", brief: "Version of the server." },
  { name: "tidemark.worker.index", type: "int", brief: "Number of the worker within its deployment unit." },
  {
    name: "tidemark.group.id",
    type: "string",
    brief: "Joins the workers of one deployment unit: host and master's pid.",
  },
  { name: "tidemark.workers.configured", type: "int", brief: "Worker processes the deployment unit should have." },
  { name: "tidemark.threads.configured", type: "int", brief: "Request threads per worker, where that has a meaning." },
  {
    name: "tidemark.gil",
    type: "string",
    brief: "Whether the interpreter has its global lock on.",
    values: ["on", "off"],
  },
] as const satisfies readonly Attribute[];

/** Attributes of metric points, spans and events. */
export const POINT_ATTRIBUTES = [
  { name: "tidemark.resource.kind", type: "string", brief: "Kind of resource.", values: RESOURCE_KINDS },
  {
    name: "tidemark.resource.name",
    type: "string",
    brief:
      "Which one: `main`, `worker-resize` (a worker thread), `fast` and `slow` (libuv lanes), `gunicorn-gthread`, a database alias, a listener.",
  },
  {
    name: "tidemark.resource.scope",
    type: "string",
    brief: "`host` when several processes share it: merge by maximum per listener, never by sum.",
    values: ["process", "host"],
  },
  {
    name: "tidemark.listener.id",
    type: "string",
    brief: "The listening socket that workers share: `tcp:127.0.0.1:8000`.",
  },
  { name: "tidemark.rejected.reason", type: "string", brief: "Why work was turned away." },
  { name: "tidemark.signal", type: "string", brief: "OTLP signal.", values: ["metrics", "traces", "logs"] },
  { name: "tidemark.status", type: "string", brief: "HTTP status of a reply, or the name of its gRPC code." },
  { name: "tidemark.source", type: "string", brief: "Name of the service that sent it; `(other)` past 200 of them." },
  { name: "tidemark.overflow.metric", type: "string", brief: "Metric whose series are over a budget." },
  {
    name: "tidemark.overflow.outcome",
    type: "string",
    brief: "What became of the point.",
    values: ["folded", "rejected"],
  },
  {
    name: "otel.metric.overflow",
    type: "boolean",
    brief: "OpenTelemetry: the series that others over a budget were folded into.",
  },
  { name: "network.protocol.name", type: "string", brief: "OpenTelemetry.", values: ["http", "grpc"] },
  { name: "db.collection.name", type: "string", brief: "OpenTelemetry: table." },
  { name: "tidemark.connection.kind", type: "string", brief: "Protocol.", values: ["http", "websocket", "tcp"] },
  { name: "tidemark.connection.direction", type: "string", brief: "Who opened it.", values: ["inbound", "outbound"] },
  {
    name: "tidemark.memory.type",
    type: "string",
    brief: "Which memory: private anonymous pages (Node), unique set size (Django).",
    values: ["rss_anon", "uss"],
  },
  { name: "tidemark.phase", type: "string", brief: "Phase of a request.", values: REQUEST_PHASES },
  {
    name: "tidemark.queue.source",
    type: "string",
    brief:
      "How the wait before the application was measured. A request that a proxy stamped may have both: `header` counts from the proxy on, `tcp_info` from this host's socket. `unix_diag`: by looks at the accept queue of a Unix socket, right in the mean and within 0.1 s for one request; `executor`: that, and the server's own queue.",
    values: ["tcp_info", "unix_diag", "header", "executor", "event_loop"],
  },
  { name: "tidemark.db.alias", type: "string", brief: "Django database alias, or the Node pool's name." },
  {
    name: "tidemark.db.site",
    type: "string",
    brief: "First application frame that ran the statement: `file.py:12 function`.",
  },
  { name: "tidemark.db.queries", type: "int", brief: "On a request's span: statements it ran." },
  { name: "tidemark.db.duration_ms", type: "double", brief: "On a request's span: time with a statement in flight." },
  {
    name: "tidemark.db.pool_wait_ms",
    type: "double",
    brief: "On a request's span: time it waited for a connection of a pool, and for nothing else.",
  },
  {
    name: "tidemark.loop.active_ms",
    type: "double",
    brief: "On a request's span: time the event loop was busy while the request was in flight, whoever kept it busy.",
  },
  { name: "tidemark.db.relation", type: "string", brief: "ORM relation whose access ran the statement." },
  { name: "tidemark.db.repeats", type: "int", brief: "How often one request ran the statement." },
  { name: "tidemark.db.repeats.time", type: "double", brief: "What these runs took together, in seconds." },
  { name: "tidemark.db.fix", type: "string", brief: "The call that fetches the relation beforehand." },
  {
    name: "tidemark.db.connect.kind",
    type: "string",
    brief: "How a connection came.",
    values: ["connect", "pool_open", "pool_get"],
  },
  {
    name: "tidemark.cpu.state",
    type: "string",
    brief: "Running, or ready and waiting for a core.",
    values: ["running", "runqueue"],
  },
  {
    name: "tidemark.thread.role",
    type: "string",
    brief: "`main`, `agent`, or a worker thread by the name of its resource: `worker-resize`.",
  },
  { name: "tidemark.dropped.reason", type: "string", brief: "Why the agent lost data." },
  {
    name: "tidemark.stall.reason",
    type: "string",
    brief: "Why it did not move on. `starved`: no free core; `throttled`: the container's quota of CPU was used up.",
    values: ["io", "lock", "sleep", "cpu", "starved", "throttled", "unknown"],
  },
  { name: "tidemark.stall.late", type: "boolean", brief: "The stack was taken after the block had ended." },
  {
    name: "tidemark.stall.duration",
    type: "double",
    brief: "How long it had lasted when captured or, when it is told at its end, in all; in seconds.",
  },
  {
    name: "tidemark.stall.ended",
    type: "boolean",
    brief:
      "Whether it was over when told: duration and victims are final. A long one is told twice, with the same time: while it lasts and at its end.",
  },
  {
    name: "tidemark.stall.victims",
    type: "int",
    brief: "Other requests it held up: in flight on the same loop, or queued for the thread it held.",
  },
  {
    name: "tidemark.stall.victims.lost_time",
    type: "double",
    brief: "What they lost together while it lasted, in seconds.",
  },
  {
    name: "tidemark.stall.victims.routes",
    type: "string",
    brief:
      'The routes that lost most, at most five, as JSON: `[{"route": "/cart", "requests": 3, "lost": 0.9}]`; without route: not known yet.',
  },
  {
    name: "tidemark.stall.victims.requests",
    type: "string",
    brief:
      'The requests that were in flight longest, at most ten, as JSON: `[{"method": "GET", "route": "/cart", "trace_id": "...", "lost": 0.3}]`.',
  },
  { name: "tidemark.annotation.title", type: "string", brief: "Title of an annotation, for example a load phase." },
  { name: "tidemark.annotation.duration", type: "double", brief: "Length of what is annotated, in seconds." },
  { name: "tidemark.finding.id", type: "string", brief: "Which configuration finding, for example `tidemark.W001`." },
  { name: "tidemark.finding.fix", type: "string", brief: "What to change about a finding." },
  { name: "tidemark.finding.where", type: "string", brief: "The setting a finding is about, with its value." },
  { name: "tidemark.finding.why", type: "string", brief: "Why a finding's setting hurts." },
  { name: "tidemark.cache.alias", type: "string", brief: "Django cache alias." },
  { name: "tidemark.cache.backend", type: "string", brief: "Class of a cache's back end: `RedisCache`." },
  { name: "tidemark.cache.operation", type: "string", brief: "`get`, `set`, ..." },
  { name: "tidemark.template.name", type: "string", brief: "Template that was rendered." },
  {
    name: "tidemark.template.fragment",
    type: "string",
    brief: "Name of a cached fragment, from its `{% cache %}` tag.",
  },
  { name: "tidemark.middleware.name", type: "string", brief: "Class of a middleware, with its module." },
  {
    name: "tidemark.websocket.consumer",
    type: "string",
    brief: "Channels consumer class, or route of the WebSocket server.",
  },
  {
    name: "tidemark.agent.part",
    type: "string",
    brief: "Part of the agent; `source_maps`: maps that could not be read.",
  },
  { name: "http.request.method", type: "string", brief: "OpenTelemetry." },
  {
    name: "http.route",
    type: "string",
    brief: "OpenTelemetry: the route's template, never the path. `_other` past the cap.",
  },
  { name: "http.response.status_code", type: "int", brief: "OpenTelemetry." },
  { name: "url.scheme", type: "string", brief: "OpenTelemetry." },
  { name: "error.type", type: "string", brief: "OpenTelemetry: class of the failure; absent on success." },
  { name: "db.system.name", type: "string", brief: "OpenTelemetry: `postgresql`, `sqlite`." },
  { name: "db.namespace", type: "string", brief: "OpenTelemetry: name of the database." },
  { name: "db.operation.name", type: "string", brief: "OpenTelemetry: first keyword of the statement, upper case." },
  { name: "db.query.summary", type: "string", brief: "OpenTelemetry: `SELECT bookshop_book`." },
  {
    name: "db.query.text",
    type: "string",
    brief: "OpenTelemetry: statement without literals, at most 1,024 characters.",
  },
  { name: "db.client.connection.pool.name", type: "string", brief: "OpenTelemetry." },
  { name: "db.client.connection.state", type: "string", brief: "OpenTelemetry.", values: ["idle", "used"] },
  {
    name: "process.context_switch.type",
    type: "string",
    brief: "OpenTelemetry.",
    values: ["voluntary", "involuntary"],
  },
  { name: "cpu.mode", type: "string", brief: "OpenTelemetry.", values: ["user", "system"] },
  {
    name: "v8js.gc.type",
    type: "string",
    brief: "OpenTelemetry.",
    values: ["major", "minor", "incremental", "weakcb"],
  },
  { name: "v8js.heap.space.name", type: "string", brief: "OpenTelemetry." },
  { name: "cpython.gc.generation", type: "int", brief: "OpenTelemetry." },
  { name: "nodejs.eventloop.state", type: "string", brief: "OpenTelemetry.", values: ["active", "idle"] },
  { name: "code.function.name", type: "string", brief: "OpenTelemetry." },
  { name: "code.file.path", type: "string", brief: "OpenTelemetry." },
  { name: "code.line.number", type: "int", brief: "OpenTelemetry." },
  { name: "code.stacktrace", type: "string", brief: "OpenTelemetry: folded, innermost last, at most 4 KiB." },
] as const satisfies readonly Attribute[];
