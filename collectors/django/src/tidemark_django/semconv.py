"""Names, units and kinds of everything the agent emits.

Generated from collectors/semconv; do not edit. `npm run generate -w @tidemark/semconv`.
"""

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """One metric of the registry."""

    name: str
    instrument: str
    unit: str
    attributes: tuple[str, ...]


EXPONENTIAL_HISTOGRAM_SCALE: Final = 4
ZERO_THRESHOLD: Final = 0.000001

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
PROCESS_PID: Final = "process.pid"
PROCESS_RUNTIME_NAME: Final = "process.runtime.name"
PROCESS_RUNTIME_VERSION: Final = "process.runtime.version"
HOST_NAME: Final = "host.name"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
TELEMETRY_DISTRO_NAME: Final = "telemetry.distro.name"
TELEMETRY_DISTRO_VERSION: Final = "telemetry.distro.version"
TIDEMARK_SERVER: Final = "tidemark.server"
TIDEMARK_SERVER_VERSION: Final = "tidemark.server.version"
TIDEMARK_WORKER_INDEX: Final = "tidemark.worker.index"
TIDEMARK_GROUP_ID: Final = "tidemark.group.id"
TIDEMARK_WORKERS_CONFIGURED: Final = "tidemark.workers.configured"
TIDEMARK_THREADS_CONFIGURED: Final = "tidemark.threads.configured"
TIDEMARK_GIL: Final = "tidemark.gil"
TIDEMARK_RESOURCE_KIND: Final = "tidemark.resource.kind"
TIDEMARK_RESOURCE_NAME: Final = "tidemark.resource.name"
TIDEMARK_RESOURCE_SCOPE: Final = "tidemark.resource.scope"
TIDEMARK_LISTENER_ID: Final = "tidemark.listener.id"
TIDEMARK_REJECTED_REASON: Final = "tidemark.rejected.reason"
TIDEMARK_SIGNAL: Final = "tidemark.signal"
TIDEMARK_STATUS: Final = "tidemark.status"
TIDEMARK_SOURCE: Final = "tidemark.source"
TIDEMARK_OVERFLOW_METRIC: Final = "tidemark.overflow.metric"
TIDEMARK_OVERFLOW_OUTCOME: Final = "tidemark.overflow.outcome"
OTEL_METRIC_OVERFLOW: Final = "otel.metric.overflow"
NETWORK_PROTOCOL_NAME: Final = "network.protocol.name"
DB_COLLECTION_NAME: Final = "db.collection.name"
TIDEMARK_CONNECTION_KIND: Final = "tidemark.connection.kind"
TIDEMARK_CONNECTION_DIRECTION: Final = "tidemark.connection.direction"
TIDEMARK_MEMORY_TYPE: Final = "tidemark.memory.type"
TIDEMARK_PHASE: Final = "tidemark.phase"
TIDEMARK_QUEUE_SOURCE: Final = "tidemark.queue.source"
TIDEMARK_DB_ALIAS: Final = "tidemark.db.alias"
TIDEMARK_DB_SITE: Final = "tidemark.db.site"
TIDEMARK_DB_QUERIES: Final = "tidemark.db.queries"
TIDEMARK_DB_DURATION_MS: Final = "tidemark.db.duration_ms"
TIDEMARK_DB_POOL_WAIT_MS: Final = "tidemark.db.pool_wait_ms"
TIDEMARK_LOOP_ACTIVE_MS: Final = "tidemark.loop.active_ms"
TIDEMARK_DB_RELATION: Final = "tidemark.db.relation"
TIDEMARK_DB_REPEATS: Final = "tidemark.db.repeats"
TIDEMARK_DB_REPEATS_TIME: Final = "tidemark.db.repeats.time"
TIDEMARK_DB_FIX: Final = "tidemark.db.fix"
TIDEMARK_DB_CONNECT_KIND: Final = "tidemark.db.connect.kind"
TIDEMARK_CPU_STATE: Final = "tidemark.cpu.state"
TIDEMARK_THREAD_ROLE: Final = "tidemark.thread.role"
TIDEMARK_DROPPED_REASON: Final = "tidemark.dropped.reason"
TIDEMARK_STALL_REASON: Final = "tidemark.stall.reason"
TIDEMARK_STALL_LATE: Final = "tidemark.stall.late"
TIDEMARK_STALL_DURATION: Final = "tidemark.stall.duration"
TIDEMARK_STALL_ENDED: Final = "tidemark.stall.ended"
TIDEMARK_STALL_VICTIMS: Final = "tidemark.stall.victims"
TIDEMARK_STALL_VICTIMS_LOST_TIME: Final = "tidemark.stall.victims.lost_time"
TIDEMARK_STALL_VICTIMS_ROUTES: Final = "tidemark.stall.victims.routes"
TIDEMARK_STALL_VICTIMS_REQUESTS: Final = "tidemark.stall.victims.requests"
TIDEMARK_ANNOTATION_TITLE: Final = "tidemark.annotation.title"
TIDEMARK_ANNOTATION_DURATION: Final = "tidemark.annotation.duration"
TIDEMARK_FINDING_ID: Final = "tidemark.finding.id"
TIDEMARK_FINDING_FIX: Final = "tidemark.finding.fix"
TIDEMARK_FINDING_WHERE: Final = "tidemark.finding.where"
TIDEMARK_FINDING_WHY: Final = "tidemark.finding.why"
TIDEMARK_CACHE_ALIAS: Final = "tidemark.cache.alias"
TIDEMARK_CACHE_BACKEND: Final = "tidemark.cache.backend"
TIDEMARK_CACHE_OPERATION: Final = "tidemark.cache.operation"
TIDEMARK_TEMPLATE_NAME: Final = "tidemark.template.name"
TIDEMARK_TEMPLATE_FRAGMENT: Final = "tidemark.template.fragment"
TIDEMARK_MIDDLEWARE_NAME: Final = "tidemark.middleware.name"
TIDEMARK_WEBSOCKET_CONSUMER: Final = "tidemark.websocket.consumer"
TIDEMARK_AGENT_PART: Final = "tidemark.agent.part"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
URL_SCHEME: Final = "url.scheme"
ERROR_TYPE: Final = "error.type"
DB_SYSTEM_NAME: Final = "db.system.name"
DB_NAMESPACE: Final = "db.namespace"
DB_OPERATION_NAME: Final = "db.operation.name"
DB_QUERY_SUMMARY: Final = "db.query.summary"
DB_QUERY_TEXT: Final = "db.query.text"
DB_CLIENT_CONNECTION_POOL_NAME: Final = "db.client.connection.pool.name"
DB_CLIENT_CONNECTION_STATE: Final = "db.client.connection.state"
PROCESS_CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
CPU_MODE: Final = "cpu.mode"
V8JS_GC_TYPE: Final = "v8js.gc.type"
V8JS_HEAP_SPACE_NAME: Final = "v8js.heap.space.name"
CPYTHON_GC_GENERATION: Final = "cpython.gc.generation"
NODEJS_EVENTLOOP_STATE: Final = "nodejs.eventloop.state"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
CODE_STACKTRACE: Final = "code.stacktrace"

EVENT_TIDEMARK_STALL: Final = "tidemark.stall"
EVENT_TIDEMARK_DB_N_PLUS_ONE: Final = "tidemark.db.n_plus_one"
EVENT_TIDEMARK_FINDING: Final = "tidemark.finding"
EVENT_TIDEMARK_ANNOTATION: Final = "tidemark.annotation"

METRICS: Final[dict[str, Metric]] = {
    "tidemark.resource.capacity": Metric(
        "tidemark.resource.capacity",
        "gauge",
        "{unit}",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.busy": Metric(
        "tidemark.resource.busy",
        "gauge",
        "{unit}",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.busy.max": Metric(
        "tidemark.resource.busy.max",
        "gauge",
        "{unit}",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.waiting": Metric(
        "tidemark.resource.waiting",
        "gauge",
        "{unit}",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.waiting.max": Metric(
        "tidemark.resource.waiting.max",
        "gauge",
        "{unit}",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.wait": Metric(
        "tidemark.resource.wait",
        "exponential_histogram",
        "s",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.stall_age": Metric(
        "tidemark.resource.stall_age",
        "gauge",
        "s",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "tidemark.resource.rejected": Metric(
        "tidemark.resource.rejected",
        "counter",
        "{unit}",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
            "tidemark.rejected.reason",
        ),
    ),
    "tidemark.resource.saturated_time": Metric(
        "tidemark.resource.saturated_time",
        "counter",
        "s",
        (
            "tidemark.resource.kind",
            "tidemark.resource.name",
            "tidemark.resource.scope",
            "tidemark.listener.id",
        ),
    ),
    "http.server.request.duration": Metric(
        "http.server.request.duration",
        "exponential_histogram",
        "s",
        (
            "http.request.method",
            "http.route",
            "http.response.status_code",
            "url.scheme",
            "error.type",
        ),
    ),
    "http.server.active_requests": Metric(
        "http.server.active_requests",
        "updowncounter",
        "{request}",
        (
            "http.request.method",
            "url.scheme",
        ),
    ),
    "tidemark.http.server.queue.duration": Metric(
        "tidemark.http.server.queue.duration",
        "exponential_histogram",
        "s",
        (
            "http.route",
            "tidemark.queue.source",
        ),
    ),
    "tidemark.http.server.phase.duration": Metric(
        "tidemark.http.server.phase.duration",
        "exponential_histogram",
        "s",
        (
            "http.route",
            "tidemark.phase",
        ),
    ),
    "tidemark.http.server.middleware.duration": Metric(
        "tidemark.http.server.middleware.duration",
        "exponential_histogram",
        "s",
        ("tidemark.middleware.name",),
    ),
    "tidemark.http.server.cpu.duration": Metric(
        "tidemark.http.server.cpu.duration",
        "exponential_histogram",
        "s",
        ("http.route",),
    ),
    "db.client.operation.duration": Metric(
        "db.client.operation.duration",
        "exponential_histogram",
        "s",
        (
            "db.system.name",
            "db.namespace",
            "db.operation.name",
            "db.query.summary",
            "db.query.text",
            "tidemark.db.alias",
            "http.route",
            "error.type",
        ),
    ),
    "db.client.response.returned_rows": Metric(
        "db.client.response.returned_rows",
        "exponential_histogram",
        "{row}",
        (
            "db.system.name",
            "tidemark.db.alias",
            "db.operation.name",
        ),
    ),
    "db.client.connection.count": Metric(
        "db.client.connection.count",
        "updowncounter",
        "{connection}",
        (
            "db.client.connection.pool.name",
            "db.system.name",
            "db.client.connection.state",
        ),
    ),
    "db.client.connection.max": Metric(
        "db.client.connection.max",
        "updowncounter",
        "{connection}",
        (
            "db.client.connection.pool.name",
            "db.system.name",
        ),
    ),
    "db.client.connection.pending_requests": Metric(
        "db.client.connection.pending_requests",
        "updowncounter",
        "{request}",
        (
            "db.client.connection.pool.name",
            "db.system.name",
        ),
    ),
    "db.client.connection.timeouts": Metric(
        "db.client.connection.timeouts",
        "counter",
        "{timeout}",
        (
            "db.client.connection.pool.name",
            "db.system.name",
        ),
    ),
    "db.client.connection.wait_time": Metric(
        "db.client.connection.wait_time",
        "exponential_histogram",
        "s",
        (
            "db.client.connection.pool.name",
            "db.system.name",
        ),
    ),
    "db.client.connection.create_time": Metric(
        "db.client.connection.create_time",
        "exponential_histogram",
        "s",
        (
            "db.client.connection.pool.name",
            "db.system.name",
            "tidemark.db.connect.kind",
        ),
    ),
    "db.client.connection.use_time": Metric(
        "db.client.connection.use_time",
        "exponential_histogram",
        "s",
        (
            "db.client.connection.pool.name",
            "db.system.name",
        ),
    ),
    "tidemark.db.transaction.duration": Metric(
        "tidemark.db.transaction.duration",
        "exponential_histogram",
        "s",
        (
            "db.system.name",
            "tidemark.db.alias",
            "http.route",
        ),
    ),
    "tidemark.db.transaction.idle_time": Metric(
        "tidemark.db.transaction.idle_time",
        "exponential_histogram",
        "s",
        (
            "db.system.name",
            "tidemark.db.alias",
            "http.route",
        ),
    ),
    "tidemark.db.queries_per_request": Metric(
        "tidemark.db.queries_per_request",
        "exponential_histogram",
        "{query}",
        ("http.route",),
    ),
    "tidemark.db.n_plus_one": Metric(
        "tidemark.db.n_plus_one",
        "counter",
        "{occurrence}",
        (
            "http.route",
            "db.query.summary",
            "tidemark.db.site",
            "tidemark.db.relation",
        ),
    ),
    "tidemark.connections": Metric(
        "tidemark.connections",
        "updowncounter",
        "{connection}",
        (
            "tidemark.connection.kind",
            "tidemark.connection.direction",
        ),
    ),
    "tidemark.connections.opened": Metric(
        "tidemark.connections.opened",
        "counter",
        "{connection}",
        (
            "tidemark.connection.kind",
            "tidemark.connection.direction",
        ),
    ),
    "tidemark.connections.memory": Metric(
        "tidemark.connections.memory",
        "gauge",
        "By",
        (
            "tidemark.connection.kind",
            "tidemark.memory.type",
        ),
    ),
    "tidemark.memory.per_connection": Metric(
        "tidemark.memory.per_connection",
        "gauge",
        "By",
        (
            "tidemark.connection.kind",
            "tidemark.memory.type",
        ),
    ),
    "tidemark.memory.per_connection.fit": Metric(
        "tidemark.memory.per_connection.fit",
        "gauge",
        "1",
        (
            "tidemark.connection.kind",
            "tidemark.memory.type",
        ),
    ),
    "tidemark.memory.per_connection.span": Metric(
        "tidemark.memory.per_connection.span",
        "gauge",
        "{connection}",
        (
            "tidemark.connection.kind",
            "tidemark.memory.type",
        ),
    ),
    "tidemark.websocket.connections": Metric(
        "tidemark.websocket.connections",
        "updowncounter",
        "{connection}",
        ("tidemark.websocket.consumer",),
    ),
    "tidemark.websocket.messages": Metric(
        "tidemark.websocket.messages",
        "counter",
        "{message}",
        ("tidemark.connection.direction",),
    ),
    "process.memory.usage": Metric(
        "process.memory.usage",
        "updowncounter",
        "By",
        (),
    ),
    "tidemark.process.memory.pss": Metric(
        "tidemark.process.memory.pss",
        "updowncounter",
        "By",
        (),
    ),
    "tidemark.process.memory.uss": Metric(
        "tidemark.process.memory.uss",
        "updowncounter",
        "By",
        (),
    ),
    "tidemark.process.memory.shared": Metric(
        "tidemark.process.memory.shared",
        "updowncounter",
        "By",
        (),
    ),
    "tidemark.process.memory.growth": Metric(
        "tidemark.process.memory.growth",
        "gauge",
        "By",
        (),
    ),
    "process.cpu.time": Metric(
        "process.cpu.time",
        "counter",
        "s",
        ("cpu.mode",),
    ),
    "process.thread.count": Metric(
        "process.thread.count",
        "updowncounter",
        "{thread}",
        (),
    ),
    "process.open_file_descriptor.count": Metric(
        "process.open_file_descriptor.count",
        "updowncounter",
        "{file_descriptor}",
        (),
    ),
    "process.context_switches": Metric(
        "process.context_switches",
        "counter",
        "{context_switch}",
        ("process.context_switch.type",),
    ),
    "process.uptime": Metric(
        "process.uptime",
        "gauge",
        "s",
        (),
    ),
    "tidemark.thread.cpu.time": Metric(
        "tidemark.thread.cpu.time",
        "counter",
        "s",
        (
            "tidemark.thread.role",
            "tidemark.cpu.state",
        ),
    ),
    "tidemark.cgroup.cpu.limit": Metric(
        "tidemark.cgroup.cpu.limit",
        "gauge",
        "{cpu}",
        (),
    ),
    "tidemark.cgroup.cpu.throttled_time": Metric(
        "tidemark.cgroup.cpu.throttled_time",
        "counter",
        "s",
        (),
    ),
    "tidemark.cgroup.cpu.throttled_periods": Metric(
        "tidemark.cgroup.cpu.throttled_periods",
        "counter",
        "{period}",
        (),
    ),
    "tidemark.cgroup.cpu.periods": Metric(
        "tidemark.cgroup.cpu.periods",
        "counter",
        "{period}",
        (),
    ),
    "tidemark.asyncio.eventloop.utilization": Metric(
        "tidemark.asyncio.eventloop.utilization",
        "gauge",
        "1",
        ("tidemark.resource.name",),
    ),
    "tidemark.cpython.gil.switch_interval": Metric(
        "tidemark.cpython.gil.switch_interval",
        "gauge",
        "s",
        (),
    ),
    "cpython.gc.collections": Metric(
        "cpython.gc.collections",
        "counter",
        "{collection}",
        ("cpython.gc.generation",),
    ),
    "cpython.gc.collected_objects": Metric(
        "cpython.gc.collected_objects",
        "counter",
        "{object}",
        ("cpython.gc.generation",),
    ),
    "cpython.gc.uncollectable_objects": Metric(
        "cpython.gc.uncollectable_objects",
        "counter",
        "{object}",
        ("cpython.gc.generation",),
    ),
    "tidemark.cpython.gc.pause": Metric(
        "tidemark.cpython.gc.pause",
        "exponential_histogram",
        "s",
        ("cpython.gc.generation",),
    ),
    "tidemark.asgiref.hops": Metric(
        "tidemark.asgiref.hops",
        "exponential_histogram",
        "{hop}",
        ("http.route",),
    ),
    "tidemark.cache.operation.duration": Metric(
        "tidemark.cache.operation.duration",
        "exponential_histogram",
        "s",
        (
            "tidemark.cache.alias",
            "tidemark.cache.backend",
            "tidemark.cache.operation",
            "error.type",
        ),
    ),
    "tidemark.cache.hits": Metric(
        "tidemark.cache.hits",
        "counter",
        "{hit}",
        (
            "tidemark.cache.alias",
            "tidemark.cache.backend",
        ),
    ),
    "tidemark.cache.misses": Metric(
        "tidemark.cache.misses",
        "counter",
        "{miss}",
        (
            "tidemark.cache.alias",
            "tidemark.cache.backend",
        ),
    ),
    "tidemark.template.render.duration": Metric(
        "tidemark.template.render.duration",
        "exponential_histogram",
        "s",
        ("tidemark.template.name",),
    ),
    "tidemark.template.fragment.hits": Metric(
        "tidemark.template.fragment.hits",
        "counter",
        "{hit}",
        ("tidemark.template.fragment",),
    ),
    "tidemark.template.fragment.misses": Metric(
        "tidemark.template.fragment.misses",
        "counter",
        "{miss}",
        ("tidemark.template.fragment",),
    ),
    "tidemark.template.fragment.render.duration": Metric(
        "tidemark.template.fragment.render.duration",
        "exponential_histogram",
        "s",
        ("tidemark.template.fragment",),
    ),
    "tidemark.channels.layer.hop.duration": Metric(
        "tidemark.channels.layer.hop.duration",
        "exponential_histogram",
        "s",
        ("tidemark.resource.name",),
    ),
    "tidemark.channels.layer.duration": Metric(
        "tidemark.channels.layer.duration",
        "exponential_histogram",
        "s",
        (
            "tidemark.resource.name",
            "tidemark.cache.operation",
        ),
    ),
    "tidemark.finding": Metric(
        "tidemark.finding",
        "gauge",
        "1",
        (
            "tidemark.finding.id",
            "tidemark.finding.where",
            "tidemark.finding.why",
            "tidemark.finding.fix",
        ),
    ),
    "tidemark.worker.timeouts": Metric(
        "tidemark.worker.timeouts",
        "counter",
        "{timeout}",
        (),
    ),
    "tidemark.agent.cpu.time": Metric(
        "tidemark.agent.cpu.time",
        "counter",
        "s",
        ("tidemark.agent.part",),
    ),
    "tidemark.agent.dropped": Metric(
        "tidemark.agent.dropped",
        "counter",
        "{record}",
        ("tidemark.dropped.reason",),
    ),
    "tidemark.agent.errors": Metric(
        "tidemark.agent.errors",
        "counter",
        "{error}",
        ("tidemark.agent.part",),
    ),
    "tidemark.agent.export.duration": Metric(
        "tidemark.agent.export.duration",
        "exponential_histogram",
        "s",
        (),
    ),
    "tidemark.agent.adapter_errors": Metric(
        "tidemark.agent.adapter_errors",
        "counter",
        "{error}",
        ("tidemark.agent.part",),
    ),
}
