import { ownStatements } from "./query-own.ts";

/** The agents' default period. */
export const EXPORT_SECONDS = 10;
const EXPORTS_PER_DAY = 86_400 / EXPORT_SECONDS;
const HOURS = 24;
const EXPORTS_PER_HOUR = 3600 / EXPORT_SECONDS;
export const SERVICES = 20;
const ROUTES = 8;
const STATEMENTS = 10;

/** A quarter of an hour in eight is an incident of one service: one of its resources is full and work waits for it. */
const INCIDENT_SECONDS = 900;
const INCIDENT_ONE_IN = 8;

/**
 * Resources of one process with the points that one export of them has and the buckets its waits fall into; as in a run of the demo
 * (`resource_samples.points`, `length(wait_buckets)`).
 */
interface Resource {
  readonly kind: string;
  readonly name: string;
  readonly points: number;
  readonly keys: number;
  readonly capacity: number;
  /** Carries the wait of requests, so it has a largest number of busy units. */
  readonly pool: boolean;
}
const resource = (
  kind: string,
  name: string,
  points: number,
  keys: number,
  capacity: number,
  pool = false,
): Resource => ({ kind, name, points, keys, capacity, pool });
const NODE = [
  resource("event_loop", "main", 5, 17, 1),
  resource("thread_pool", "fast", 3, 14, 4),
  resource("thread_pool", "slow", 3, 14, 2),
  resource("db_pool", "shop", 9, 16, 10, true),
  resource("db_pool", "events", 8, 3, 10, true),
  resource("cpu", "main", 6, 8, 1),
  resource("listen_queue", "tcp:3000", 4, 0, 511),
];
const DJANGO = [
  resource("thread_pool", "gunicorn-gthread", 8, 16, 8, true),
  resource("executor", "asgiref", 5, 4, 4, true),
  resource("gil", "process", 4, 26, 1),
  resource("db_pool", "default", 9, 7, 10, true),
  resource("db_pool", "events", 8, 3, 10, true),
  resource("cpu", "process", 4, 38, 1),
  resource("listen_queue", "tcp:8000", 4, 0, 2048),
];
const PHASES = { node: ["queue", "db_pool", "db", "view"], django: ["queue", "middleware", "db", "template", "view"] };
const CONNECTIONS = ["http", "websocket"];
const POINTS_PER_CONNECTION_ROW = 2;
/** Histograms with one series per route, then those with one or a few. */
const ROUTE_HISTOGRAMS = { node: ["tidemark.http.server.loop_active"], django: ["tidemark.http.server.cpu.duration"] };
const HISTOGRAMS = [
  "tidemark.db.queries_per_request",
  "tidemark.http.server.queue.duration",
  "tidemark.agent.export.duration",
  "db.client.connection.wait_time",
  "db.client.connection.create_time",
];
const GC = { node: "v8js.gc.duration", django: "tidemark.cpython.gc.pause" };
const GC_KINDS = 3;
const HEAP_SPACES = 9;
/** Generic numbers of one process by metric and number of series, as in the demo. */
const SAMPLES: Record<"node" | "django", readonly (readonly [metric: string, series: number])[]> = {
  node: [
    ["v8js.memory.heap.used", HEAP_SPACES],
    ["v8js.memory.heap.limit", HEAP_SPACES],
    ["process.cpu.time", 2],
    ["process.memory.usage", 1],
    ["process.thread.count", 1],
    ["process.uptime", 1],
    ["process.open_file_descriptor.count", 1],
    ["nodejs.eventloop.utilization", 1],
    ["nodejs.eventloop.time", 2],
    ["nodejs.eventloop.delay.max", 1],
    ["nodejs.eventloop.delay.mean", 1],
    ["nodejs.eventloop.delay.p50", 1],
    ["nodejs.eventloop.delay.p90", 1],
    ["nodejs.eventloop.delay.p99", 1],
    ["db.client.connection.count", 4],
    ["db.client.connection.max", 2],
    ["db.client.connection.pending_requests", 2],
    ["db.client.connection.timeouts", 2],
    ["http.server.active_requests", 2],
    ["tidemark.thread.cpu.time", 2],
    ["tidemark.eventloop.blocks", 5],
    ["tidemark.process.memory.anonymous", 1],
    ["tidemark.agent.cpu.time", 1],
    ["tidemark.agent.errors", 2],
  ],
  django: [
    ["process.cpu.time", 2],
    ["process.memory.usage", 1],
    ["process.thread.count", 1],
    ["process.uptime", 1],
    ["process.open_file_descriptor.count", 1],
    ["process.context_switches", 2],
    ["tidemark.process.memory.pss", 1],
    ["tidemark.process.memory.uss", 1],
    ["tidemark.cpython.gil.switch_interval", 1],
    ["cpython.gc.collections", 3],
    ["cpython.gc.collected_objects", 3],
    ["cpython.gc.uncollectable_objects", 3],
    ["db.client.connection.count", 4],
    ["db.client.connection.max", 2],
    ["db.client.connection.pending_requests", 2],
    ["http.server.active_requests", 2],
    ["tidemark.thread.cpu.time", 4],
    ["tidemark.agent.cpu.time", 3],
    ["tidemark.cache.hits", 1],
    ["tidemark.cache.misses", 1],
  ],
};
/** Per process and day: slow requests that are traced, and log records, one in five of them a stall. Not counted as points. */
const SPANS_PER_EXPORT = 8;
const LOGS_PER_EXPORT = 1;

const count = (runtime: "node" | "django"): number => {
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const resources = runtime === "node" ? NODE : DJANGO;
  return (
    sum(resources.map(({ points }) => points)) +
    (ROUTES + 1) +
    PHASES[runtime].length * ROUTES +
    STATEMENTS +
    CONNECTIONS.length * POINTS_PER_CONNECTION_ROW +
    sum(SAMPLES[runtime].map(([, series]) => series)) +
    histograms(runtime).length
  );
};

/** Points that one process sends in one export, the mean of both runtimes. */
export const POINTS_PER_EXPORT = Math.round((count("node") + count("django")) / 2);

export interface Plan {
  readonly services: number;
  readonly processes: number;
  /** First moment of the day, milliseconds since 1970. */
  readonly start: number;
  readonly someService: string;
}

/** As many processes as it takes for `points` in a day; a small bench has a part of the services. */
export function planOf(points: number, start: number): Plan {
  const processes = Math.max(2, Math.ceil(points / EXPORTS_PER_DAY / POINTS_PER_EXPORT));
  return { services: Math.min(SERVICES, processes), processes, start, someService: "shop-1" };
}

/** Counts what was filled, by the tables' own columns. */
export function pointsSql(): string {
  const subjects = ["resource_samples", "http_requests", "request_phases", "query_timings", "connection_memory"];
  const parts = subjects.map((table) => `(SELECT sum(points) FROM ${table})`);
  const generic = ["samples", "exp_histograms"].map((table) => `(SELECT count() FROM ${table})`);
  return `SELECT ${[...parts, ...generic].join(" + ")} AS points`;
}

/** The statements that fill the day, hour by hour as it would have come. */
export function fillStatements(plan: Plan): { readonly sql: string }[] {
  const statements: { sql: string }[] = [{ sql: seriesSql(plan) }, { sql: statementsSql() }];
  for (let hour = 0; hour < HOURS; hour++) {
    for (const make of [resources, requests, phases, queries, connections, samples, expHistograms, spans, logs])
      statements.push({ sql: make(plan, hour) });
  }
  const sources = Array.from({ length: plan.services }, (_, i) => `shop-${i}`);
  statements.push(...ownStatements(plan.start, sources).map((sql) => ({ sql })));
  return statements;
}

const quoted = (words: readonly string[]): string => `[${words.map((word) => `'${word}'`).join(", ")}]`;
const byRuntime = (node: string, django: string): string => `if(runtime = 'node', ${node}, ${django})`;

/**
 * Rows `item, p, e` of one hour with the identity of process `p`: `items` rows per process and export. `incident` is a random number for
 * services that have one just now, else 0; `h` is a hash of the row.
 */
function exportsOf({ processes, services, start }: Plan, hour: number, items: number): string {
  return `(
  SELECT number % ${items} AS item, intDiv(number, ${items}) % ${processes} AS p, intDiv(number, ${items * processes}) AS e,
    fromUnixTimestamp64Milli(toInt64(${start + hour * 3_600_000} + e * ${EXPORT_SECONDS * 1000} + (p * 370) % 10000 + e % 7), 'UTC') AS ts,
    concat('shop-', toString(p % ${services})) AS service, if(p % ${services} % 2 = 0, 'node', 'django') AS runtime,
    lower(hex(cityHash64('instance', p))) AS instance, toString(intDiv(p, ${services})) AS worker, concat('host-', toString(p % 7)) AS host,
    byRuntimeServer AS server, cityHash64(number, ${hour}) AS h,
    cityHash64('incident', p % ${services}, intDiv(toUnixTimestamp(ts), ${INCIDENT_SECONDS})) AS luck,
    if(luck % ${INCIDENT_ONE_IN} = 0, 1 + intDiv(luck, ${INCIDENT_ONE_IN}) % 7, 0) AS incident,
    0.35 + 0.25 * sin(toUnixTimestamp(ts) / 13751) AS load
  FROM numbers(${items * processes * EXPORTS_PER_HOUR})
)`.replace("byRuntimeServer", byRuntime("'node-http'", "'gunicorn-gthread'"));
}

const WHO = "ts, service, runtime, 'production' AS environment, host, instance, worker, server";
const WHO_COLUMNS = "ts, service, runtime, environment, host, instance, worker, server";

/** A bucket map of `keys` buckets around `centre`; SQL for a Map(Int16, UInt64) with gaps that differ from row to row. */
function bucketMap(centre: string, keys: string): string {
  return `mapFromArrays(arrayMap(i -> toInt16(${centre} + 2 * i + bitAnd(bitShiftRight(h, i), 1)), range(${keys})), arrayMap(i -> toUInt64(1 + bitAnd(bitShiftRight(h, i + 7), 3)), range(${keys})))`;
}
const COUNT_OF = (map: string): string => `arraySum(mapValues(${map}))`;
const SUM_OF = (map: string): string =>
  `arraySum(arrayMap((k, v) -> exp2(k / 16) * v, mapKeys(${map}), mapValues(${map})))`;

function resources(plan: Plan, hour: number): string {
  const column = (of: (r: Resource) => string | number, text: boolean): string => {
    const list = (items: readonly Resource[]): string =>
      text ? quoted(items.map((r) => String(of(r)))) : `[${items.map(of).join(", ")}]`;
    return `${byRuntime(list(NODE), list(DJANGO))}[item + 1]`;
  };
  // A calm wait is some milliseconds at most, one in an incident up to a second.
  return `INSERT INTO resource_samples (${WHO_COLUMNS}, group_id, pid, kind, name, scope, listener_id, capacity, busy, busy_max, waiting, waiting_max,
  wait_count, wait_sum, wait_max, wait_buckets, stall_age, rejected, saturated_time, points)
SELECT ${WHO}, service AS group_id, toUInt32(1000 + p) AS pid, ${column((r) => r.kind, true)} AS kind, ${column((r) => r.name, true)} AS name,
  if(kind = 'listen_queue', 'host', 'process') AS scope, if(kind = 'listen_queue', name, '') AS listener_id,
  toFloat64(${column((r) => r.capacity, false)}) AS capacity, incident = item + 1 AS hit,
  capacity * if(hit, 0.95, load * (0.8 + (h % 100) / 250)) AS busy, if(${column((r) => (r.pool ? 1 : 0), false)} = 1, least(capacity, ceil(busy * if(hit, 1.2, 1.3))), NULL) AS busy_max,
  if(hit, 5. + h % 9, if(h % 5 = 0, 0.1, 0.)) AS waiting, waiting * 2 AS waiting_max,
  if(length(wait_buckets) = 0, NULL, ${COUNT_OF("wait_buckets")}) AS wait_count, if(wait_count IS NULL, NULL, ${SUM_OF("wait_buckets")}) AS wait_sum,
  if(wait_count IS NULL, NULL, arrayMax(arrayMap(k -> exp2((k + 1) / 16), mapKeys(wait_buckets)))) AS wait_max,
  ${bucketMap(
    "if(hit, -90, -210) + intDiv(h, 64) % 17",
    column((r) => r.keys, false),
  )} AS wait_buckets,
  if(kind IN ('event_loop', 'thread_pool', 'gil'), if(hit, 0.2, 0.), NULL) AS stall_age, if(kind = 'listen_queue', 0., NULL) AS rejected,
  if(capacity > 1, if(hit, 4., 0.), NULL) AS saturated_time, toUInt16(${column((r) => r.points, false)}) AS points
FROM ${exportsOf(plan, hour, NODE.length)}`
    .replace(", incident = item + 1 AS hit,\n", ",\n")
    .replaceAll(/\bhit\b/g, "(incident = item + 1)");
}

const ROUTE =
  "concat('/api/', ['books', 'orders', 'report', 'search', 'users', 'cart', 'login', 'health'][%s % 8 + 1])";
const routeOf = (index: string): string => ROUTE.replace("%s", index);

function requests(plan: Plan, hour: number): string {
  return `INSERT INTO http_requests (${WHO_COLUMNS}, route, method, status, error_type, count, sum, max, buckets, points)
SELECT ${WHO}, ${routeOf("item")} AS route, if(item % 3 = 1, 'POST', 'GET') AS method, toUInt16(if(item = ${ROUTES}, 500, 200)) AS status,
  if(status = 500, '500', '') AS error_type, ${COUNT_OF("buckets")} AS count, ${SUM_OF("buckets")} AS sum, arrayMax(arrayMap(k -> exp2((k + 1) / 16), mapKeys(buckets))) AS max,
  ${bucketMap("if(incident > 0, -70, -120) + item * 3 + intDiv(h, 64) % 9", "if(item = 8, 2, 9)")} AS buckets, 1 AS points
FROM ${exportsOf(plan, hour, ROUTES + 1)}`;
}

function phases(plan: Plan, hour: number): string {
  const each = (runtime: "node" | "django"): string => {
    const names = PHASES[runtime];
    return `INSERT INTO request_phases (${WHO_COLUMNS}, route, phase, count, sum, max, buckets, points)
SELECT ${WHO}, ${routeOf("item")} AS route, ${quoted(names)}[intDiv(item, ${ROUTES}) + 1] AS phase, ${COUNT_OF("buckets")} AS count, ${SUM_OF("buckets")} AS sum,
  arrayMax(arrayMap(k -> exp2((k + 1) / 16), mapKeys(buckets))) AS max, ${bucketMap("if(incident > 0, -110, -160) + intDiv(h, 64) % 19", "4 + h % 3")} AS buckets, 1 AS points
FROM ${exportsOf(plan, hour, names.length * ROUTES)} WHERE runtime = '${runtime}'`;
  };
  return unionInsert([each("node"), each("django")]);
}

function unionInsert(inserts: readonly string[]): string {
  const [first = ""] = inserts;
  const head = first.slice(0, first.indexOf("SELECT"));
  return `${head}${inserts.map((insert) => insert.slice(insert.indexOf("SELECT"))).join("\nUNION ALL\n")}`;
}

function queries(plan: Plan, hour: number): string {
  return `INSERT INTO query_timings (${WHO_COLUMNS}, db_system, db_namespace, db_alias, operation, summary, statement_id, route, error_type, count, sum, max, buckets, points)
SELECT ${WHO}, 'postgresql' AS db_system, 'shop' AS db_namespace, if(item % 5 = 4, 'events', 'default') AS db_alias, 'SELECT' AS operation,
  concat('SELECT table_', toString(item)) AS summary, toUInt64(1000 + item + 10 * (p % ${SERVICES})) AS statement_id, ${routeOf("item")} AS route, '' AS error_type,
  ${COUNT_OF("buckets")} AS count, ${SUM_OF("buckets")} AS sum, arrayMax(arrayMap(k -> exp2((k + 1) / 16), mapKeys(buckets))) AS max,
  ${bucketMap("if(incident > 0, -100, -170) + item * 2 + intDiv(h, 64) % 9", "10")} AS buckets, 1 AS points
FROM ${exportsOf(plan, hour, STATEMENTS)}`;
}

function connections(plan: Plan, hour: number): string {
  return `INSERT INTO connection_memory (${WHO_COLUMNS}, kind, memory_type, connections, opened, memory_bytes, bytes_per_connection, fit_r2, fit_span, points)
SELECT ${WHO}, ${quoted(CONNECTIONS)}[item + 1] AS kind, 'anonymous' AS memory_type, round(100 + 80 * sin(e / 60 + p) + h % 7) AS connections, toFloat64(h % 20) AS opened,
  5e7 + 2e4 * connections + h % 100000 AS memory_bytes, if(h % 3 = 0, 2e4 + h % 999, NULL) AS bytes_per_connection, if(h % 3 = 0, 0.9, NULL) AS fit_r2, if(h % 3 = 0, 150., NULL) AS fit_span, ${POINTS_PER_CONNECTION_ROW} AS points
FROM ${exportsOf(plan, hour, CONNECTIONS.length)}`;
}

/** Metric, attributes (SQL map) of every generic series of a runtime. */
function numbers(runtime: "node" | "django"): readonly (readonly [metric: string, index: number])[] {
  return SAMPLES[runtime].flatMap(([metric, series]) => Array.from({ length: series }, (_, i) => [metric, i] as const));
}

function histograms(runtime: "node" | "django"): readonly (readonly [metric: string, index: number])[] {
  const routes = [...ROUTE_HISTOGRAMS[runtime], ...HISTOGRAMS.slice(0, 2)];
  return [
    ...routes.flatMap((metric) => Array.from({ length: ROUTES }, (_, i) => [metric, i] as const)),
    ...HISTOGRAMS.slice(2).map((metric) => [metric, 0] as const),
    ...Array.from({ length: GC_KINDS }, (_, i) => [GC[runtime], i] as const),
  ];
}

type Series = readonly (readonly [metric: string, index: number])[];
const names = (series: Series): string => quoted(series.map(([metric]) => metric));
const SERIES_ID = "cityHash64(metric, instance, toString(item))";

function samples(plan: Plan, hour: number): string {
  return unionInsert(
    (["node", "django"] as const).map((runtime) => {
      const series = numbers(runtime);
      // Counters of whole numbers, gauges with three decimals, constants: a third each.
      return `INSERT INTO samples (metric, service, series_id, ts, m, e)
SELECT ${names(series)}[item + 1] AS metric, service, ${SERIES_ID} AS series_id, ts,
  multiIf(metric LIKE '%cpu.time', toInt64(1000 + h % 4000), item % 3 = 0, toInt64(50000000 + h % 100000), item % 3 = 1, toInt64(1000 * load + h % 500), toInt64(42)) AS m, toInt8(if(metric LIKE '%cpu.time' OR item % 3 = 1, -3, 0)) AS e
FROM ${exportsOf(plan, hour, series.length)} WHERE runtime = '${runtime}'`;
    }),
  );
}

function expHistograms(plan: Plan, hour: number): string {
  return unionInsert(
    (["node", "django"] as const).map((runtime) => {
      const series = histograms(runtime);
      return `INSERT INTO exp_histograms (metric, service, series_id, ts, count, sum, min, max, scale, zero, positive, negative)
SELECT ${names(series)}[item + 1] AS metric, service, ${SERIES_ID} AS series_id, ts, ${COUNT_OF("positive")} AS count, ${SUM_OF("positive")} AS sum,
  exp2(-9) AS min, exp2(-3) AS max, toInt8(4) AS scale, toUInt64(0) AS zero, CAST(${bucketMap("if(incident > 0, -80, -140) + intDiv(h, 64) % 13", "1 + h % 6")}, 'Map(Int32, UInt64)') AS positive, CAST(map(), 'Map(Int32, UInt64)') AS negative
FROM ${exportsOf(plan, hour, series.length)} WHERE runtime = '${runtime}'`;
    }),
  );
}

function seriesSql(plan: Plan): string {
  const one = (
    runtime: "node" | "django",
    series: Series,
    kind: string,
  ): string => `SELECT ${names(series)}[item + 1] AS metric, service, ${SERIES_ID} AS series_id, runtime, instance, worker, 'production' AS environment, host,
  '${kind}' AS kind, 'delta' AS temporality, false AS monotonic, '1' AS unit, '' AS description, map('service.name', service, 'service.instance.id', instance) AS resource, '' AS scope_name, '' AS scope_version,
  map('http.route', ${routeOf(`[${series.map(([, i]) => i).join(", ")}][item + 1]`)}) AS attributes, toDateTime(now()) AS last_seen
FROM ${exportsOf(plan, 0, series.length)} WHERE e = 0 AND runtime = '${runtime}'`;
  const all = (["node", "django"] as const).flatMap((runtime) => [
    one(runtime, numbers(runtime), "sum"),
    one(runtime, histograms(runtime), "exponential_histogram"),
  ]);
  return `INSERT INTO series (metric, service, series_id, runtime, instance, worker, environment, host, kind, temporality, monotonic, unit, description, resource, scope_name, scope_version, attributes, last_seen)
${all.join("\nUNION ALL\n")}`;
}

function statementsSql(): string {
  return `INSERT INTO query_statements SELECT toUInt64(1000 + number) AS statement_id, 'postgresql' AS db_system,
  concat('SELECT * FROM table_', toString(number), ' WHERE id = $1') AS text, now() AS last_seen FROM numbers(${STATEMENTS * SERVICES})`;
}

function spans(plan: Plan, hour: number): string {
  return `INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, SpanAttributes, Duration, StatusCode)
SELECT ts AS Timestamp, hex(cityHash64(intDiv(h, 8), p)) AS TraceId, hex(h) AS SpanId, if(item = 0, '', hex(h + 1)) AS ParentSpanId, ${routeOf("item")} AS SpanName,
  if(item = 0, 'Server', 'Internal') AS SpanKind, service AS ServiceName, map('service.name', service, 'service.instance.id', instance, 'host.name', host) AS ResourceAttributes,
  map('http.route', SpanName) AS SpanAttributes, 1000000 + h % 900000000 AS Duration, 'Unset' AS StatusCode
FROM ${exportsOf(plan, hour, SPANS_PER_EXPORT)}`;
}

function logs(plan: Plan, hour: number): string {
  return `INSERT INTO otel_logs (Timestamp, TimestampTime, ServiceName, Body, SeverityText, SeverityNumber, ResourceAttributes, LogAttributes, EventName)
SELECT ts AS Timestamp, toDateTime(ts) AS TimestampTime, service AS ServiceName, if(h % 5 = 0, 'stall', concat('request ', toString(h), ' done')) AS Body, 'INFO' AS SeverityText, 9 AS SeverityNumber,
  map('service.name', service, 'service.instance.id', instance, 'telemetry.distro.name', concat('tidemark-', runtime)) AS ResourceAttributes,
  if(h % 5 = 0, map('tidemark.resource.kind', 'event_loop', 'tidemark.resource.name', 'main', 'tidemark.stall.duration', toString((h % 900) / 1000), 'http.route', ${routeOf("h")},
    'code.function.name', 'report', 'code.file.path', 'app.js', 'code.line.number', '12'), CAST(map('logger', 'app'), 'Map(String, String)')) AS LogAttributes,
  if(h % 5 = 0, 'tidemark.stall', '') AS EventName
FROM ${exportsOf(plan, hour, LOGS_PER_EXPORT)}`;
}
