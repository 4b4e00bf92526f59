import type { StoreClient } from "@tidemark/store";

const EXPORT_SECONDS = 10;
const PROCESSES = 3;
const METRICS = [
  "process.memory.usage",
  "process.cpu.time",
  "process.thread.count",
  "v8js.memory.heap.used",
  "tidemark.process.memory.pss",
  "tidemark.finding",
  "tidemark.thread.cpu.time",
  "tidemark.cgroup.cpu.periods",
  "tidemark.cgroup.cpu.throttled_periods",
  "tidemark.worker.exits",
  "tidemark.worker.restarts",
  "tidemark.websocket.messages",
  "tidemark.websocket.bytes",
  "tidemark.websocket.buffered",
  "tidemark.websocket.compressed",
  "tidemark.agent.cpu.time",
  "tidemark.agent.throttled",
  "tidemark.agent.dropped",
  "tidemark.agent.errors",
  "process.open_file_descriptor.count",
  "tidemark.process.memory.uss",
  "tidemark.process.memory.shared",
  "tidemark.worker.timeouts",
  "db.client.connection.count",
  "tidemark.template.fragment.hits",
  "tidemark.template.fragment.misses",
  "tidemark.websocket.connections",
];
const HISTOGRAMS = [
  "v8js.gc.duration",
  "tidemark.http.server.loop_active",
  "tidemark.agent.hold.duration",
  "tidemark.cpython.gc.pause",
  "tidemark.http.server.queue.duration",
  "tidemark.http.server.cpu.duration",
  "tidemark.http.server.middleware.duration",
  "tidemark.db.transaction.duration",
  "tidemark.db.transaction.idle_time",
  "tidemark.db.queries_per_request",
  "tidemark.channels.layer.hop.duration",
  "tidemark.channels.layer.duration",
];

/**
 * Rows of two services, three processes each, every 10 s, as the ingest would write them: all kinds of resource, some without a capacity or a wait,
 * pools now full and now not, load and waits that change. Values are sums of powers of two, so that the order of adding does not matter.
 */
export async function writeDay(writer: StoreClient, from: Date, seconds: number): Promise<void> {
  const run = (query: string) => writer.command({ query });
  const exports = (items: number): string => `(
    SELECT number % ${items} AS item, intDiv(number, ${items}) % ${2 * PROCESSES} AS p, intDiv(number, ${items * 2 * PROCESSES}) AS e, cityHash64(number) AS h,
      fromUnixTimestamp64Milli(toInt64(${from.getTime()} + e * ${EXPORT_SECONDS * 1000} + p * 1370 + e % 7), 'UTC') AS ts,
      if(p % 2 = 0, 'shop-node', 'shop-django') AS service, if(p % 2 = 0, 'node', 'django') AS runtime, concat('i', toString(p)) AS instance, toString(intDiv(p, 2)) AS worker,
      intDiv(e, 90) % 4 = 1 AS busy_hour
    FROM numbers(${items * 2 * PROCESSES * Math.floor(seconds / EXPORT_SECONDS)})
  )`;
  const map = (centre: string, keys: string): string =>
    `CAST((arrayMap(i -> toInt16(${centre} + 3 * i + h % 3), range(${keys})), arrayMap(i -> toUInt64(1 + bitAnd(bitShiftRight(h, i), 3)), range(${keys}))), 'Map(Int16, UInt64)')`;
  const total = (column: string): string => `arraySum(mapValues(${column}))`;
  await run(`INSERT INTO resource_samples (ts, service, runtime, instance, worker, kind, name, scope, listener_id, capacity, busy, busy_max, waiting, waiting_max, wait_count, wait_sum, wait_max, wait_buckets, stall_age, rejected, points)
    SELECT ts, service, runtime, instance, worker,
      if(runtime = 'node', ['event_loop', 'thread_pool', 'thread_pool', 'db_pool', 'cpu', 'listen_queue', 'worker', 'event_loop'], ['thread_pool', 'executor', 'gil', 'db_pool', 'cpu', 'listen_queue', 'channel_layer'])[item + 1] AS kind,
      if(runtime = 'node', ['main', 'fast', 'slow', 'shop', 'main', 'tcp:3000', 'cluster', 'worker-resize'], ['gunicorn-gthread', 'asgiref', 'process', 'default', 'process', 'tcp:8000', 'default'])[item + 1] AS name,
      if(kind = 'listen_queue', 'host', 'process') AS scope, if(kind = 'listen_queue', name, '') AS listener_id,
      if(kind = 'cpu' AND h % 5 = 0, NULL, 4.) AS capacity, if(h % 11 = 0, NULL, (h % 16) / 4) AS busy, if(kind IN ('db_pool', 'executor') OR name = 'gunicorn-gthread', if(busy_hour OR h % 4 = 0, 4., 2.), NULL) AS busy_max,
      if(h % 7 = 0, NULL, toFloat64(h % 4)) AS waiting, toFloat64(h % 64) AS waiting_max,
      if(length(wait_buckets) = 0, NULL, ${total("wait_buckets")}) AS wait_count, toFloat64(wait_count) / 8 AS wait_sum, if(wait_count IS NULL, NULL, 8.) AS wait_max,
      ${map("if(busy_hour AND intDiv(e, 360) % 6 = item, -60, -200)", "if(kind = 'listen_queue', 0, 5 + item)")} AS wait_buckets, if(kind = 'event_loop', (h % 64) / 64, NULL) AS stall_age, if(kind = 'db_pool', h % 4, NULL) AS rejected, 3
    FROM ${exports(8)} WHERE runtime = 'node' OR item < 7`);
  await run(`INSERT INTO http_requests (ts, service, runtime, instance, worker, route, method, status, count, sum, max, buckets, points)
    SELECT ts, service, runtime, instance, worker, concat('/', toString(item)), 'GET', if(item = 3, 500, 200), ${total("buckets")}, h % 128 / 16, 8, ${map("-100", "6")} AS buckets, 1 FROM ${exports(4)}`);
  await run(`INSERT INTO request_phases (ts, service, runtime, instance, worker, route, phase, count, sum, max, buckets, points)
    SELECT ts, service, runtime, instance, worker, concat('/', toString(item % 2)), if(item < 2, 'view', 'db'), ${total("buckets")}, h % 128 / 16, 8, ${map("-100", "3")} AS buckets, 1 FROM ${exports(4)}`);
  await run(`INSERT INTO query_timings (ts, service, runtime, instance, worker, db_system, db_alias, operation, summary, statement_id, route, count, sum, max, buckets, points)
    SELECT ts, service, runtime, instance, worker, 'postgresql', 'default', 'SELECT', concat('SELECT t', toString(item)), 100 + item, concat('/', toString(item % 3)), ${total("buckets")}, h % 128 / 16, 8, ${map("-150", "4")} AS buckets, 1 FROM ${exports(5)}`);
  await run(`INSERT INTO connection_memory (ts, service, runtime, instance, worker, kind, memory_type, connections, opened, memory_bytes, points)
    SELECT ts, service, runtime, instance, worker, if(item = 0, 'http', 'websocket'), 'anonymous', if(h % 9 = 0, NULL, toFloat64(64 + h % 64)), 1, 5e7 + h % 4096, 2 FROM ${exports(2)}`);
  const nameOf = (metrics: readonly string[]): string =>
    `[${metrics.map((metric) => `'${metric}'`).join(", ")}][item + 1]`;
  await run(
    `INSERT INTO samples (metric, service, series_id, ts, m, e) SELECT ${nameOf(METRICS)} AS metric, service, cityHash64(metric, instance), ts, toInt64(h % 4096), 0 FROM ${exports(METRICS.length)}`,
  );
  await run(`INSERT INTO exp_histograms (metric, service, series_id, ts, count, sum, max, scale, positive)
    SELECT ${nameOf(HISTOGRAMS)} AS metric, service, cityHash64(metric, instance), ts, ${total("b")}, h % 128 / 64, h % 64 / 64, 4, CAST(b, 'Map(Int32, UInt64)') FROM (SELECT *, ${map("-90", "3")} AS b FROM ${exports(HISTOGRAMS.length)})`);
  for (const metrics of [METRICS, HISTOGRAMS]) {
    await run(`INSERT INTO series (metric, service, series_id, runtime, instance, worker, kind, attributes, last_seen)
      SELECT ${nameOf(metrics)} AS metric, service, cityHash64(metric, instance), runtime, instance, worker, 'gauge', map('http.route', '/x', 'tidemark.thread.role', 'main'), now() FROM ${exports(metrics.length)} WHERE e = 0`);
  }
}
