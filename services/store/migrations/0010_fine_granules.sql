-- Five minutes of resources in granules of 512 rows: panels ask for one kind of resource or one service, which is a few hundred rows in a row of the
-- sorting key, and with granules of 8192 the histograms of all others were read and thrown away. The size of granules cannot be changed, so the table
-- is made anew from the minutes, which are kept as long. The hours come from the minutes as well from now on (an insert has as many rows of either), so
-- that what is copied does not count in them again. Every statement may run twice. Between them no rows may come in: `tidemark up` migrates before
-- the ingest starts; elsewhere stop the ingest first, its senders keep their data.
DROP VIEW IF EXISTS resource_samples_1h_mv
;
CREATE MATERIALIZED VIEW IF NOT EXISTS resource_samples_1h_mv TO resource_samples_1h AS
SELECT r.service AS service, r.kind AS kind, r.name AS name, r.instance AS instance, toStartOfHour(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.scope AS scope, r.listener_id AS listener_id, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.group_id) AS group_id, sum(r.exports) AS exports, sum(r.points) AS points, sum(r.capacity_sum) AS capacity_sum, sum(r.capacity_n) AS capacity_n,
       sum(r.busy_sum) AS busy_sum, sum(r.busy_n) AS busy_n, sum(r.u_busy) AS u_busy, sum(r.u_capacity) AS u_capacity, max(r.u_max) AS u_max,
       max(r.busy_max) AS busy_max, sum(r.waiting_sum) AS waiting_sum, sum(r.waiting_n) AS waiting_n, max(r.waiting_max) AS waiting_max,
       max(r.fullness) AS fullness, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum, max(r.wait_max) AS wait_max,
       sumMap(r.wait_buckets) AS wait_buckets, sumMap(r.roomy_buckets) AS roomy_buckets, sum(r.full_exports) AS full_exports, sum(r.noticed) AS noticed,
       max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected, sum(r.saturated_time) AS saturated_time
FROM resource_samples_1m AS r
GROUP BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
;
DROP VIEW IF EXISTS resource_samples_5m_mv
;
DROP TABLE IF EXISTS resource_samples_5m
;
CREATE TABLE IF NOT EXISTS resource_samples_5m
(
    service LowCardinality(String),
    kind LowCardinality(String),
    name LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    scope LowCardinality(String),
    listener_id LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    group_id SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    capacity_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    capacity_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    busy_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    busy_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    u_busy SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    u_capacity SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    u_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    busy_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    waiting_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    waiting_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    waiting_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    fullness SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    wait_count SimpleAggregateFunction(sum, Nullable(UInt64)) CODEC(ZSTD(1)),
    wait_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    wait_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    wait_buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)),
    roomy_buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1)),
    full_exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    noticed SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    stall_age SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    rejected SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    saturated_time SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, kind, name, instance, ts)
ORDER BY (service, kind, name, instance, ts, runtime, worker, scope, listener_id)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000, index_granularity = 512
;
-- for each day of resource_samples_1m
INSERT INTO resource_samples_5m (service, kind, name, instance, ts, runtime, worker, scope, listener_id, environment, host, server, group_id, exports, points, capacity_sum,
    capacity_n, busy_sum, busy_n, u_busy, u_capacity, u_max, busy_max, waiting_sum, waiting_n, waiting_max, fullness, wait_count, wait_sum, wait_max,
    wait_buckets, roomy_buckets, full_exports, noticed, stall_age, rejected, saturated_time)
SELECT r.service AS service, r.kind AS kind, r.name AS name, r.instance AS instance, toStartOfFiveMinutes(r.ts) AS ts, r.runtime AS runtime,
       r.worker AS worker, r.scope AS scope, r.listener_id AS listener_id, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.group_id) AS group_id, sum(r.exports) AS exports, sum(r.points) AS points, sum(r.capacity_sum) AS capacity_sum, sum(r.capacity_n) AS capacity_n,
       sum(r.busy_sum) AS busy_sum, sum(r.busy_n) AS busy_n, sum(r.u_busy) AS u_busy, sum(r.u_capacity) AS u_capacity, max(r.u_max) AS u_max,
       max(r.busy_max) AS busy_max, sum(r.waiting_sum) AS waiting_sum, sum(r.waiting_n) AS waiting_n, max(r.waiting_max) AS waiting_max,
       max(r.fullness) AS fullness, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum, max(r.wait_max) AS wait_max,
       sumMap(r.wait_buckets) AS wait_buckets, sumMap(r.roomy_buckets) AS roomy_buckets, sum(r.full_exports) AS full_exports, sum(r.noticed) AS noticed,
       max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected, sum(r.saturated_time) AS saturated_time
FROM resource_samples_1m AS r
WHERE toDate(r.ts) = '{day}'
GROUP BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
ORDER BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
SETTINGS insert_deduplication_token = '{once}', max_threads = 1, max_insert_threads = 1, optimize_aggregation_in_order = 1,
         min_insert_block_size_rows = 100000
;
CREATE MATERIALIZED VIEW IF NOT EXISTS resource_samples_5m_mv TO resource_samples_5m AS
SELECT r.service AS service, r.kind AS kind, r.name AS name, r.instance AS instance, toStartOfFiveMinutes(r.ts) AS ts, r.runtime AS runtime,
       r.worker AS worker, r.scope AS scope, r.listener_id AS listener_id, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.group_id) AS group_id, sum(r.exports) AS exports, sum(r.points) AS points, sum(r.capacity_sum) AS capacity_sum, sum(r.capacity_n) AS capacity_n,
       sum(r.busy_sum) AS busy_sum, sum(r.busy_n) AS busy_n, sum(r.u_busy) AS u_busy, sum(r.u_capacity) AS u_capacity, max(r.u_max) AS u_max,
       max(r.busy_max) AS busy_max, sum(r.waiting_sum) AS waiting_sum, sum(r.waiting_n) AS waiting_n, max(r.waiting_max) AS waiting_max,
       max(r.fullness) AS fullness, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum, max(r.wait_max) AS wait_max,
       sumMap(r.wait_buckets) AS wait_buckets, sumMap(r.roomy_buckets) AS roomy_buckets, sum(r.full_exports) AS full_exports, sum(r.noticed) AS noticed,
       max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected, sum(r.saturated_time) AS saturated_time
FROM resource_samples_1m AS r
GROUP BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
