-- Rollups of the subject tables at 1 minute, 5 minutes and 1 hour, each made from the one before it as rows come in. A row may still be in
-- several parts: sum, max and sumMap when reading, as every panel does. `exports` counts the raw rows.
-- Resources. `u_busy` and `u_capacity` are of exports that have both, so U is u_busy / u_capacity. `roomy_buckets` are the waits of exports in
-- which a unit stayed free (busy_max < capacity) where requests carry the wait, `full_exports` counts the others. `noticed` counts waits in buckets from 9.7 ms up.
CREATE TABLE IF NOT EXISTS resource_samples_1m
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
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
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
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS resource_samples_1h
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
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (service, kind, name, instance, ts)
ORDER BY (service, kind, name, instance, ts, runtime, worker, scope, listener_id)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- Requests by route, method and status.
CREATE TABLE IF NOT EXISTS http_requests_1m
(
    service LowCardinality(String),
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    method LowCardinality(String),
    status UInt16,
    error_type LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, route, instance, ts)
ORDER BY (service, route, instance, ts, runtime, worker, method, status, error_type)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS http_requests_5m
(
    service LowCardinality(String),
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    method LowCardinality(String),
    status UInt16,
    error_type LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, route, instance, ts)
ORDER BY (service, route, instance, ts, runtime, worker, method, status, error_type)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS http_requests_1h
(
    service LowCardinality(String),
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    method LowCardinality(String),
    status UInt16,
    error_type LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (service, route, instance, ts)
ORDER BY (service, route, instance, ts, runtime, worker, method, status, error_type)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- Where requests spent their time.
CREATE TABLE IF NOT EXISTS request_phases_1m
(
    service LowCardinality(String),
    phase LowCardinality(String),
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, phase, route, instance, ts)
ORDER BY (service, phase, route, instance, ts, runtime, worker)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS request_phases_5m
(
    service LowCardinality(String),
    phase LowCardinality(String),
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, phase, route, instance, ts)
ORDER BY (service, phase, route, instance, ts, runtime, worker)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS request_phases_1h
(
    service LowCardinality(String),
    phase LowCardinality(String),
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (service, phase, route, instance, ts)
ORDER BY (service, phase, route, instance, ts, runtime, worker)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- Statements.
CREATE TABLE IF NOT EXISTS query_timings_1m
(
    service LowCardinality(String),
    db_alias LowCardinality(String),
    statement_id UInt64,
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    error_type LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    db_system SimpleAggregateFunction(any, LowCardinality(String)),
    db_namespace SimpleAggregateFunction(any, LowCardinality(String)),
    operation SimpleAggregateFunction(any, LowCardinality(String)),
    summary SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, db_alias, statement_id, route, instance, ts)
ORDER BY (service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS query_timings_5m
(
    service LowCardinality(String),
    db_alias LowCardinality(String),
    statement_id UInt64,
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    error_type LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    db_system SimpleAggregateFunction(any, LowCardinality(String)),
    db_namespace SimpleAggregateFunction(any, LowCardinality(String)),
    operation SimpleAggregateFunction(any, LowCardinality(String)),
    summary SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, db_alias, statement_id, route, instance, ts)
ORDER BY (service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS query_timings_1h
(
    service LowCardinality(String),
    db_alias LowCardinality(String),
    statement_id UInt64,
    route LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    error_type LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    db_system SimpleAggregateFunction(any, LowCardinality(String)),
    db_namespace SimpleAggregateFunction(any, LowCardinality(String)),
    operation SimpleAggregateFunction(any, LowCardinality(String)),
    summary SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    buckets SimpleAggregateFunction(sumMap, Map(Int16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (service, db_alias, statement_id, route, instance, ts)
ORDER BY (service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- Connections and memory. A fit is the last of the window.
CREATE TABLE IF NOT EXISTS connection_memory_1m
(
    service LowCardinality(String),
    kind LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    memory_type LowCardinality(String),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    connections_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    connections_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    connections_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    opened SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    memory_bytes_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    memory_bytes_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    memory_bytes_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (service, kind, instance, ts)
ORDER BY (service, kind, instance, ts, memory_type, runtime, worker)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS connection_memory_1h
(
    service LowCardinality(String),
    kind LowCardinality(String),
    instance LowCardinality(String),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    memory_type LowCardinality(String),
    runtime LowCardinality(String),
    worker LowCardinality(String),
    environment SimpleAggregateFunction(any, LowCardinality(String)),
    host SimpleAggregateFunction(any, LowCardinality(String)),
    server SimpleAggregateFunction(any, LowCardinality(String)),
    exports SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    points SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    connections_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    connections_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    connections_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    opened SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    memory_bytes_sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    memory_bytes_n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    memory_bytes_max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (service, kind, instance, ts)
ORDER BY (service, kind, instance, ts, memory_type, runtime, worker)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
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
FROM resource_samples_5m AS r
GROUP BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
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
;
CREATE MATERIALIZED VIEW IF NOT EXISTS resource_samples_1m_mv TO resource_samples_1m AS
SELECT r.service AS service, r.kind AS kind, r.name AS name, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.scope AS scope, r.listener_id AS listener_id, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.group_id) AS group_id, count() AS exports, sum(r.points) AS points, sum(r.capacity) AS capacity_sum, count(r.capacity) AS capacity_n,
       sum(r.busy) AS busy_sum, count(r.busy) AS busy_n, sum(if(r.capacity > 0, r.busy, NULL)) AS u_busy,
       sum(if(r.capacity > 0 AND r.busy IS NOT NULL, r.capacity, NULL)) AS u_capacity, max(r.busy / nullIf(r.capacity, 0)) AS u_max,
       max(r.busy_max) AS busy_max, sum(r.waiting) AS waiting_sum, count(r.waiting) AS waiting_n, max(r.waiting_max) AS waiting_max,
       max(r.waiting_max / nullIf(r.capacity, 0)) AS fullness, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum, max(r.wait_max) AS wait_max,
       sumMap(r.wait_buckets) AS wait_buckets,
       sumMapIf(r.wait_buckets, ifNull(r.busy_max < r.capacity, 0) AND (r.kind IN ('db_pool', 'executor', 'channel_layer', 'worker') OR r.kind = 'thread_pool' AND r.name NOT IN ('fast', 'slow'))) AS roomy_buckets,
       countIf(NOT ifNull(r.busy_max < r.capacity, 0)) AS full_exports, sum(arraySum(mapValues(mapFilter((k, v) -> k >= -107, r.wait_buckets)))) AS noticed,
       max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected, sum(r.saturated_time) AS saturated_time
FROM resource_samples AS r
GROUP BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
;
CREATE MATERIALIZED VIEW IF NOT EXISTS http_requests_1h_mv TO http_requests_1h AS
SELECT r.service AS service, r.route AS route, r.instance AS instance, toStartOfHour(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.method AS method, r.status AS status, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       sum(r.exports) AS exports, sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM http_requests_5m AS r
GROUP BY service, route, instance, ts, runtime, worker, method, status, error_type
;
CREATE MATERIALIZED VIEW IF NOT EXISTS http_requests_5m_mv TO http_requests_5m AS
SELECT r.service AS service, r.route AS route, r.instance AS instance, toStartOfFiveMinutes(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.method AS method, r.status AS status, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       sum(r.exports) AS exports, sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM http_requests_1m AS r
GROUP BY service, route, instance, ts, runtime, worker, method, status, error_type
;
CREATE MATERIALIZED VIEW IF NOT EXISTS http_requests_1m_mv TO http_requests_1m AS
SELECT r.service AS service, r.route AS route, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.method AS method, r.status AS status, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       count() AS exports, sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM http_requests AS r
GROUP BY service, route, instance, ts, runtime, worker, method, status, error_type
;
CREATE MATERIALIZED VIEW IF NOT EXISTS request_phases_1h_mv TO request_phases_1h AS
SELECT r.service AS service, r.phase AS phase, r.route AS route, r.instance AS instance, toStartOfHour(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, sum(r.exports) AS exports, sum(r.points) AS points,
       sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM request_phases_5m AS r
GROUP BY service, phase, route, instance, ts, runtime, worker
;
CREATE MATERIALIZED VIEW IF NOT EXISTS request_phases_5m_mv TO request_phases_5m AS
SELECT r.service AS service, r.phase AS phase, r.route AS route, r.instance AS instance, toStartOfFiveMinutes(r.ts) AS ts, r.runtime AS runtime,
       r.worker AS worker, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, sum(r.exports) AS exports,
       sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM request_phases_1m AS r
GROUP BY service, phase, route, instance, ts, runtime, worker
;
CREATE MATERIALIZED VIEW IF NOT EXISTS request_phases_1m_mv TO request_phases_1m AS
SELECT r.service AS service, r.phase AS phase, r.route AS route, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.runtime AS runtime,
       r.worker AS worker, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, count() AS exports, sum(r.points) AS points,
       sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM request_phases AS r
GROUP BY service, phase, route, instance, ts, runtime, worker
;
CREATE MATERIALIZED VIEW IF NOT EXISTS query_timings_1h_mv TO query_timings_1h AS
SELECT r.service AS service, r.db_alias AS db_alias, r.statement_id AS statement_id, r.route AS route, r.instance AS instance, toStartOfHour(r.ts) AS ts,
       r.runtime AS runtime, r.worker AS worker, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.db_system) AS db_system, any(r.db_namespace) AS db_namespace, any(r.operation) AS operation, any(r.summary) AS summary,
       sum(r.exports) AS exports, sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM query_timings_5m AS r
GROUP BY service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type
;
CREATE MATERIALIZED VIEW IF NOT EXISTS query_timings_5m_mv TO query_timings_5m AS
SELECT r.service AS service, r.db_alias AS db_alias, r.statement_id AS statement_id, r.route AS route, r.instance AS instance,
       toStartOfFiveMinutes(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker, r.error_type AS error_type, any(r.environment) AS environment,
       any(r.host) AS host, any(r.server) AS server, any(r.db_system) AS db_system, any(r.db_namespace) AS db_namespace, any(r.operation) AS operation,
       any(r.summary) AS summary, sum(r.exports) AS exports, sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max,
       sumMap(r.buckets) AS buckets
FROM query_timings_1m AS r
GROUP BY service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type
;
CREATE MATERIALIZED VIEW IF NOT EXISTS query_timings_1m_mv TO query_timings_1m AS
SELECT r.service AS service, r.db_alias AS db_alias, r.statement_id AS statement_id, r.route AS route, r.instance AS instance, toStartOfMinute(r.ts) AS ts,
       r.runtime AS runtime, r.worker AS worker, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.db_system) AS db_system, any(r.db_namespace) AS db_namespace, any(r.operation) AS operation, any(r.summary) AS summary, count() AS exports,
       sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM query_timings AS r
GROUP BY service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type
;
CREATE MATERIALIZED VIEW IF NOT EXISTS connection_memory_1h_mv TO connection_memory_1h AS
SELECT r.service AS service, r.kind AS kind, r.instance AS instance, toStartOfHour(r.ts) AS ts, r.memory_type AS memory_type, r.runtime AS runtime,
       r.worker AS worker, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, sum(r.exports) AS exports,
       sum(r.points) AS points, sum(r.connections_sum) AS connections_sum, sum(r.connections_n) AS connections_n, max(r.connections_max) AS connections_max,
       sum(r.opened) AS opened, sum(r.memory_bytes_sum) AS memory_bytes_sum, sum(r.memory_bytes_n) AS memory_bytes_n,
       max(r.memory_bytes_max) AS memory_bytes_max
FROM connection_memory_1m AS r
GROUP BY service, kind, instance, ts, memory_type, runtime, worker
;
CREATE MATERIALIZED VIEW IF NOT EXISTS connection_memory_1m_mv TO connection_memory_1m AS
SELECT r.service AS service, r.kind AS kind, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.memory_type AS memory_type, r.runtime AS runtime,
       r.worker AS worker, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, count() AS exports, sum(r.points) AS points,
       sum(r.connections) AS connections_sum, count(r.connections) AS connections_n, max(r.connections) AS connections_max, sum(r.opened) AS opened,
       sum(r.memory_bytes) AS memory_bytes_sum, count(r.memory_bytes) AS memory_bytes_n, max(r.memory_bytes) AS memory_bytes_max
FROM connection_memory AS r
GROUP BY service, kind, instance, ts, memory_type, runtime, worker
;
-- Generic exponential histograms. Buckets finer than scale 4 are merged down to it (index >> difference); coarser ones keep their scale.
CREATE TABLE IF NOT EXISTS exp_histograms_1m
(
    metric LowCardinality(String),
    service LowCardinality(String),
    series_id UInt64 CODEC(Delta, ZSTD(1)),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    scale Int8,
    n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Nullable(Float64)) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    zero SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    positive SimpleAggregateFunction(sumMap, Map(Int32, UInt64)) CODEC(ZSTD(1)),
    negative SimpleAggregateFunction(sumMap, Map(Int32, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(ts)
PRIMARY KEY (metric, service, series_id, ts)
ORDER BY (metric, service, series_id, ts, scale)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS exp_histograms_1h
(
    metric LowCardinality(String),
    service LowCardinality(String),
    series_id UInt64 CODEC(Delta, ZSTD(1)),
    ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    scale Int8,
    n SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Nullable(Float64)) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Nullable(Float64)) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    zero SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    positive SimpleAggregateFunction(sumMap, Map(Int32, UInt64)) CODEC(ZSTD(1)),
    negative SimpleAggregateFunction(sumMap, Map(Int32, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (metric, service, series_id, ts)
ORDER BY (metric, service, series_id, ts, scale)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE MATERIALIZED VIEW IF NOT EXISTS exp_histograms_1h_mv TO exp_histograms_1h AS
SELECT r.metric AS metric, r.service AS service, r.series_id AS series_id, toStartOfHour(r.ts) AS ts, r.scale AS scale,
       sum(r.n) AS n, sum(r.count) AS count, sum(r.sum) AS sum, min(r.min) AS min, max(r.max) AS max, sum(r.zero) AS zero,
       sumMap(r.positive) AS positive, sumMap(r.negative) AS negative
FROM exp_histograms_1m AS r
GROUP BY metric, service, series_id, ts, scale
;
CREATE MATERIALIZED VIEW IF NOT EXISTS exp_histograms_1m_mv TO exp_histograms_1m AS
SELECT r.metric AS metric, r.service AS service, r.series_id AS series_id, toStartOfMinute(r.ts) AS ts, least(r.scale, 4) AS scale,
       count() AS n, sum(r.count) AS count, sum(r.sum) AS sum, min(r.min) AS min, max(r.max) AS max, sum(r.zero) AS zero,
       sumMap(mapApply((k, v) -> (bitShiftRight(k, greatest(r.scale - 4, 0)), v), r.positive)) AS positive,
       sumMap(mapApply((k, v) -> (bitShiftRight(k, greatest(r.scale - 4, 0)), v), r.negative)) AS negative
FROM exp_histograms AS r
GROUP BY metric, service, series_id, ts, scale
;
-- for each day of resource_samples
-- What is stored already, once: the views above take only what comes from now on, so rows from before a view was made are counted here. A
-- day is one insert under one token, and a runner that died is repeated without counting twice. Exact while nobody inserts meanwhile.
INSERT INTO resource_samples_1m (service, kind, name, instance, ts, runtime, worker, scope, listener_id, environment, host, server, group_id, exports, points, capacity_sum, capacity_n,
    busy_sum, busy_n, u_busy, u_capacity, u_max, busy_max, waiting_sum, waiting_n, waiting_max, fullness, wait_count, wait_sum, wait_max, wait_buckets,
    roomy_buckets, full_exports, noticed, stall_age, rejected, saturated_time)
SELECT r.service AS service, r.kind AS kind, r.name AS name, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.scope AS scope, r.listener_id AS listener_id, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.group_id) AS group_id, count() AS exports, sum(r.points) AS points, sum(r.capacity) AS capacity_sum, count(r.capacity) AS capacity_n,
       sum(r.busy) AS busy_sum, count(r.busy) AS busy_n, sum(if(r.capacity > 0, r.busy, NULL)) AS u_busy,
       sum(if(r.capacity > 0 AND r.busy IS NOT NULL, r.capacity, NULL)) AS u_capacity, max(r.busy / nullIf(r.capacity, 0)) AS u_max,
       max(r.busy_max) AS busy_max, sum(r.waiting) AS waiting_sum, count(r.waiting) AS waiting_n, max(r.waiting_max) AS waiting_max,
       max(r.waiting_max / nullIf(r.capacity, 0)) AS fullness, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum, max(r.wait_max) AS wait_max,
       sumMap(r.wait_buckets) AS wait_buckets,
       sumMapIf(r.wait_buckets, ifNull(r.busy_max < r.capacity, 0) AND (r.kind IN ('db_pool', 'executor', 'channel_layer', 'worker') OR r.kind = 'thread_pool' AND r.name NOT IN ('fast', 'slow'))) AS roomy_buckets,
       countIf(NOT ifNull(r.busy_max < r.capacity, 0)) AS full_exports, sum(arraySum(mapValues(mapFilter((k, v) -> k >= -107, r.wait_buckets)))) AS noticed,
       max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected, sum(r.saturated_time) AS saturated_time
FROM resource_samples AS r
WHERE toDate(r.ts) = '{day}' AND r.ts < (SELECT metadata_modification_time FROM system.tables WHERE database = currentDatabase() AND name = 'resource_samples_1m_mv')
GROUP BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
ORDER BY service, kind, name, instance, ts, runtime, worker, scope, listener_id
SETTINGS insert_deduplication_token = '{once}', deduplicate_blocks_in_dependent_materialized_views = 1, max_threads = 1, max_insert_threads = 1,
         optimize_aggregation_in_order = 1, min_insert_block_size_rows = 100000
;
-- for each day of http_requests
INSERT INTO http_requests_1m (service, route, instance, ts, runtime, worker, method, status, error_type, environment, host, server, exports, points, count, sum, max, buckets)
SELECT r.service AS service, r.route AS route, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.runtime AS runtime, r.worker AS worker,
       r.method AS method, r.status AS status, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       count() AS exports, sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM http_requests AS r
WHERE toDate(r.ts) = '{day}' AND r.ts < (SELECT metadata_modification_time FROM system.tables WHERE database = currentDatabase() AND name = 'http_requests_1m_mv')
GROUP BY service, route, instance, ts, runtime, worker, method, status, error_type
ORDER BY service, route, instance, ts, runtime, worker, method, status, error_type
SETTINGS insert_deduplication_token = '{once}', deduplicate_blocks_in_dependent_materialized_views = 1, max_threads = 1, max_insert_threads = 1,
         optimize_aggregation_in_order = 1, min_insert_block_size_rows = 100000
;
-- for each day of request_phases
INSERT INTO request_phases_1m (service, phase, route, instance, ts, runtime, worker, environment, host, server, exports, points, count, sum, max, buckets)
SELECT r.service AS service, r.phase AS phase, r.route AS route, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.runtime AS runtime,
       r.worker AS worker, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, count() AS exports, sum(r.points) AS points,
       sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM request_phases AS r
WHERE toDate(r.ts) = '{day}' AND r.ts < (SELECT metadata_modification_time FROM system.tables WHERE database = currentDatabase() AND name = 'request_phases_1m_mv')
GROUP BY service, phase, route, instance, ts, runtime, worker
ORDER BY service, phase, route, instance, ts, runtime, worker
SETTINGS insert_deduplication_token = '{once}', deduplicate_blocks_in_dependent_materialized_views = 1, max_threads = 1, max_insert_threads = 1,
         optimize_aggregation_in_order = 1, min_insert_block_size_rows = 100000
;
-- for each day of query_timings
INSERT INTO query_timings_1m (service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type, environment, host, server, db_system, db_namespace, operation,
    summary, exports, points, count, sum, max, buckets)
SELECT r.service AS service, r.db_alias AS db_alias, r.statement_id AS statement_id, r.route AS route, r.instance AS instance, toStartOfMinute(r.ts) AS ts,
       r.runtime AS runtime, r.worker AS worker, r.error_type AS error_type, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server,
       any(r.db_system) AS db_system, any(r.db_namespace) AS db_namespace, any(r.operation) AS operation, any(r.summary) AS summary, count() AS exports,
       sum(r.points) AS points, sum(r.count) AS count, sum(r.sum) AS sum, max(r.max) AS max, sumMap(r.buckets) AS buckets
FROM query_timings AS r
WHERE toDate(r.ts) = '{day}' AND r.ts < (SELECT metadata_modification_time FROM system.tables WHERE database = currentDatabase() AND name = 'query_timings_1m_mv')
GROUP BY service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type
ORDER BY service, db_alias, statement_id, route, instance, ts, runtime, worker, error_type
SETTINGS insert_deduplication_token = '{once}', deduplicate_blocks_in_dependent_materialized_views = 1, max_threads = 1, max_insert_threads = 1,
         optimize_aggregation_in_order = 1, min_insert_block_size_rows = 100000
;
-- for each day of connection_memory
INSERT INTO connection_memory_1m (service, kind, instance, ts, memory_type, runtime, worker, environment, host, server, exports, points, connections_sum, connections_n, connections_max,
    opened, memory_bytes_sum, memory_bytes_n, memory_bytes_max)
SELECT r.service AS service, r.kind AS kind, r.instance AS instance, toStartOfMinute(r.ts) AS ts, r.memory_type AS memory_type, r.runtime AS runtime,
       r.worker AS worker, any(r.environment) AS environment, any(r.host) AS host, any(r.server) AS server, count() AS exports, sum(r.points) AS points,
       sum(r.connections) AS connections_sum, count(r.connections) AS connections_n, max(r.connections) AS connections_max, sum(r.opened) AS opened,
       sum(r.memory_bytes) AS memory_bytes_sum, count(r.memory_bytes) AS memory_bytes_n, max(r.memory_bytes) AS memory_bytes_max
FROM connection_memory AS r
WHERE toDate(r.ts) = '{day}' AND r.ts < (SELECT metadata_modification_time FROM system.tables WHERE database = currentDatabase() AND name = 'connection_memory_1m_mv')
GROUP BY service, kind, instance, ts, memory_type, runtime, worker
ORDER BY service, kind, instance, ts, memory_type, runtime, worker
SETTINGS insert_deduplication_token = '{once}', deduplicate_blocks_in_dependent_materialized_views = 1, max_threads = 1, max_insert_threads = 1,
         optimize_aggregation_in_order = 1, min_insert_block_size_rows = 100000
;
-- for each day of exp_histograms
INSERT INTO exp_histograms_1m (metric, service, series_id, ts, scale, n, count, sum, min, max, zero, positive, negative)
SELECT r.metric AS metric, r.service AS service, r.series_id AS series_id, toStartOfMinute(r.ts) AS ts, least(r.scale, 4) AS scale,
       count() AS n, sum(r.count) AS count, sum(r.sum) AS sum, min(r.min) AS min, max(r.max) AS max, sum(r.zero) AS zero,
       sumMap(mapApply((k, v) -> (bitShiftRight(k, greatest(r.scale - 4, 0)), v), r.positive)) AS positive,
       sumMap(mapApply((k, v) -> (bitShiftRight(k, greatest(r.scale - 4, 0)), v), r.negative)) AS negative
FROM exp_histograms AS r
WHERE toDate(r.ts) = '{day}' AND r.ts < (SELECT metadata_modification_time FROM system.tables WHERE database = currentDatabase() AND name = 'exp_histograms_1m_mv')
GROUP BY metric, service, series_id, ts, scale
ORDER BY metric, service, series_id, ts, scale
SETTINGS insert_deduplication_token = '{once}', deduplicate_blocks_in_dependent_materialized_views = 1, max_threads = 1, max_insert_threads = 1,
         optimize_aggregation_in_order = 1, min_insert_block_size_rows = 100000
;
-- What panels read: rows as they came (window_seconds = 0) and rollups in one vocabulary. A filter `window_seconds = 300` reads one table only.
CREATE OR REPLACE VIEW resource_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(r.ts) AS ts, r.service AS service, r.kind AS kind, r.name AS name, r.instance AS instance,
       r.runtime AS runtime, r.worker AS worker, r.scope AS scope, r.listener_id AS listener_id, r.environment AS environment, r.host AS host,
       r.server AS server, r.group_id AS group_id, toUInt64(1) AS exports, toUInt64(r.points) AS points, r.capacity AS capacity_sum,
       toUInt64(r.capacity IS NOT NULL) AS capacity_n, r.busy AS busy_sum, toUInt64(r.busy IS NOT NULL) AS busy_n, if(r.capacity > 0, r.busy, NULL) AS u_busy,
       if(r.capacity > 0 AND r.busy IS NOT NULL, r.capacity, NULL) AS u_capacity, r.busy / nullIf(r.capacity, 0) AS u_max, r.busy_max AS busy_max,
       r.waiting AS waiting_sum, toUInt64(r.waiting IS NOT NULL) AS waiting_n, r.waiting_max AS waiting_max,
       r.waiting_max / nullIf(r.capacity, 0) AS fullness, r.wait_count AS wait_count, r.wait_sum AS wait_sum, r.wait_max AS wait_max,
       r.wait_buckets AS wait_buckets,
       if(ifNull(r.busy_max < r.capacity, 0) AND (r.kind IN ('db_pool', 'executor', 'channel_layer', 'worker') OR r.kind = 'thread_pool' AND r.name NOT IN ('fast', 'slow')), r.wait_buckets, CAST(map(), 'Map(Int16, UInt64)')) AS roomy_buckets,
       toUInt64(NOT ifNull(r.busy_max < r.capacity, 0)) AS full_exports, arraySum(mapValues(mapFilter((k, v) -> k >= -107, r.wait_buckets))) AS noticed,
       r.stall_age AS stall_age, r.rejected AS rejected, r.saturated_time AS saturated_time
FROM resource_samples AS r
UNION ALL
SELECT toUInt16(60), ts, service, kind, name, instance, runtime, worker, scope, listener_id, environment, host, server, group_id, exports, points,
       capacity_sum, capacity_n, busy_sum, busy_n, u_busy, u_capacity, u_max, busy_max, waiting_sum, waiting_n, waiting_max, fullness, wait_count, wait_sum,
       wait_max, wait_buckets, roomy_buckets, full_exports, noticed, stall_age, rejected, saturated_time
FROM resource_samples_1m
UNION ALL
SELECT toUInt16(300), ts, service, kind, name, instance, runtime, worker, scope, listener_id, environment, host, server, group_id, exports, points,
       capacity_sum, capacity_n, busy_sum, busy_n, u_busy, u_capacity, u_max, busy_max, waiting_sum, waiting_n, waiting_max, fullness, wait_count, wait_sum,
       wait_max, wait_buckets, roomy_buckets, full_exports, noticed, stall_age, rejected, saturated_time
FROM resource_samples_5m
UNION ALL
SELECT toUInt16(3600), ts, service, kind, name, instance, runtime, worker, scope, listener_id, environment, host, server, group_id, exports, points,
       capacity_sum, capacity_n, busy_sum, busy_n, u_busy, u_capacity, u_max, busy_max, waiting_sum, waiting_n, waiting_max, fullness, wait_count, wait_sum,
       wait_max, wait_buckets, roomy_buckets, full_exports, noticed, stall_age, rejected, saturated_time
FROM resource_samples_1h
;
CREATE OR REPLACE VIEW request_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(r.ts) AS ts, r.service AS service, r.route AS route, r.instance AS instance, r.runtime AS runtime,
       r.worker AS worker, r.method AS method, r.status AS status, r.error_type AS error_type, r.environment AS environment, r.host AS host,
       r.server AS server, toUInt64(1) AS exports, toUInt64(r.points) AS points, r.count AS count, r.sum AS sum, r.max AS max, r.buckets AS buckets
FROM http_requests AS r
UNION ALL
SELECT toUInt16(60), ts, service, route, instance, runtime, worker, method, status, error_type, environment, host, server, exports, points, count, sum, max,
       buckets
FROM http_requests_1m
UNION ALL
SELECT toUInt16(300), ts, service, route, instance, runtime, worker, method, status, error_type, environment, host, server, exports, points, count, sum, max,
       buckets
FROM http_requests_5m
UNION ALL
SELECT toUInt16(3600), ts, service, route, instance, runtime, worker, method, status, error_type, environment, host, server, exports, points, count, sum, max,
       buckets
FROM http_requests_1h
;
CREATE OR REPLACE VIEW phase_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(r.ts) AS ts, r.service AS service, r.phase AS phase, r.route AS route, r.instance AS instance,
       r.runtime AS runtime, r.worker AS worker, r.environment AS environment, r.host AS host, r.server AS server, toUInt64(1) AS exports,
       toUInt64(r.points) AS points, r.count AS count, r.sum AS sum, r.max AS max, r.buckets AS buckets
FROM request_phases AS r
UNION ALL
SELECT toUInt16(60), ts, service, phase, route, instance, runtime, worker, environment, host, server, exports, points, count, sum, max, buckets
FROM request_phases_1m
UNION ALL
SELECT toUInt16(300), ts, service, phase, route, instance, runtime, worker, environment, host, server, exports, points, count, sum, max, buckets
FROM request_phases_5m
UNION ALL
SELECT toUInt16(3600), ts, service, phase, route, instance, runtime, worker, environment, host, server, exports, points, count, sum, max, buckets
FROM request_phases_1h
;
CREATE OR REPLACE VIEW query_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(r.ts) AS ts, r.service AS service, r.db_alias AS db_alias, r.statement_id AS statement_id, r.route AS route,
       r.instance AS instance, r.runtime AS runtime, r.worker AS worker, r.error_type AS error_type, r.environment AS environment, r.host AS host,
       r.server AS server, r.db_system AS db_system, r.db_namespace AS db_namespace, r.operation AS operation, r.summary AS summary, toUInt64(1) AS exports,
       toUInt64(r.points) AS points, r.count AS count, r.sum AS sum, r.max AS max, r.buckets AS buckets
FROM query_timings AS r
UNION ALL
SELECT toUInt16(60), ts, service, db_alias, statement_id, route, instance, runtime, worker, error_type, environment, host, server, db_system, db_namespace,
       operation, summary, exports, points, count, sum, max, buckets
FROM query_timings_1m
UNION ALL
SELECT toUInt16(300), ts, service, db_alias, statement_id, route, instance, runtime, worker, error_type, environment, host, server, db_system, db_namespace,
       operation, summary, exports, points, count, sum, max, buckets
FROM query_timings_5m
UNION ALL
SELECT toUInt16(3600), ts, service, db_alias, statement_id, route, instance, runtime, worker, error_type, environment, host, server, db_system, db_namespace,
       operation, summary, exports, points, count, sum, max, buckets
FROM query_timings_1h
;
CREATE OR REPLACE VIEW connection_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(r.ts) AS ts, r.service AS service, r.kind AS kind, r.instance AS instance, r.memory_type AS memory_type,
       r.runtime AS runtime, r.worker AS worker, r.environment AS environment, r.host AS host, r.server AS server, toUInt64(1) AS exports,
       toUInt64(r.points) AS points, r.connections AS connections_sum, toUInt64(r.connections IS NOT NULL) AS connections_n, r.connections AS connections_max,
       r.opened AS opened, r.memory_bytes AS memory_bytes_sum, toUInt64(r.memory_bytes IS NOT NULL) AS memory_bytes_n, r.memory_bytes AS memory_bytes_max
FROM connection_memory AS r
UNION ALL
SELECT toUInt16(60), ts, service, kind, instance, memory_type, runtime, worker, environment, host, server, exports, points, connections_sum, connections_n,
       connections_max, opened, memory_bytes_sum, memory_bytes_n, memory_bytes_max
FROM connection_memory_1m
UNION ALL
SELECT toUInt16(3600), ts, service, kind, instance, memory_type, runtime, worker, environment, host, server, exports, points, connections_sum, connections_n,
       connections_max, opened, memory_bytes_sum, memory_bytes_n, memory_bytes_max
FROM connection_memory_1h
;
CREATE OR REPLACE VIEW sample_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(ts) AS ts, metric, service, series_id, toUInt64(1) AS n, value AS total, value AS lowest, value AS highest
FROM samples
UNION ALL
SELECT toUInt16(60), ts, metric, service, series_id, n, total, lowest, highest
FROM samples_1m
UNION ALL
SELECT toUInt16(3600), ts, metric, service, series_id, n, total, lowest, highest
FROM samples_1h
;
CREATE OR REPLACE VIEW exp_histogram_windows AS
SELECT toUInt16(0) AS window_seconds, toDateTime(ts) AS ts, metric, service, series_id, scale, toUInt64(1) AS n, count, sum, min, max, zero, positive, negative
FROM exp_histograms
UNION ALL
SELECT toUInt16(60), ts, metric, service, series_id, scale, n, count, sum, min, max, zero, positive, negative
FROM exp_histograms_1m
UNION ALL
SELECT toUInt16(3600), ts, metric, service, series_id, scale, n, count, sum, min, max, zero, positive, negative
FROM exp_histograms_1h
;
-- `saturation` over windows: the same columns; means of the exports, the largest of what has a maximum, sums of what is counted.
CREATE OR REPLACE VIEW saturation_1m AS
SELECT ts, service, runtime, instance, worker, kind, name, scope, capacity, busy, busy_max, waiting, waiting_max, utilization, wait_count, wait_sum,
       if(isNull(wait_max), {quantile(buckets, 0.5)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.5)})) AS wait_p50,
       if(isNull(wait_max), {quantile(buckets, 0.95)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.95)})) AS wait_p95,
       if(isNull(wait_max), {quantile(buckets, 0.99)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.99)})) AS wait_p99,
       wait_max, stall_age, rejected, saturated_time
FROM
(
    SELECT r.ts AS ts, r.service AS service, r.runtime AS runtime, r.instance AS instance, r.worker AS worker, r.kind AS kind, r.name AS name, r.scope AS scope,
           sum(r.capacity_sum) / nullIf(sum(r.capacity_n), 0) AS capacity, sum(r.busy_sum) / nullIf(sum(r.busy_n), 0) AS busy,
           max(r.busy_max) AS busy_max, sum(r.waiting_sum) / nullIf(sum(r.waiting_n), 0) AS waiting, max(r.waiting_max) AS waiting_max,
           sum(r.u_busy) / nullIf(sum(r.u_capacity), 0) AS utilization, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum,
           max(r.wait_max) AS wait_max, sumMap(r.wait_buckets) AS buckets, max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected,
           sum(r.saturated_time) AS saturated_time
    FROM resource_samples_1m AS r
    GROUP BY ts, service, runtime, instance, worker, kind, name, scope
)
;
CREATE OR REPLACE VIEW saturation_5m AS
SELECT ts, service, runtime, instance, worker, kind, name, scope, capacity, busy, busy_max, waiting, waiting_max, utilization, wait_count, wait_sum,
       if(isNull(wait_max), {quantile(buckets, 0.5)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.5)})) AS wait_p50,
       if(isNull(wait_max), {quantile(buckets, 0.95)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.95)})) AS wait_p95,
       if(isNull(wait_max), {quantile(buckets, 0.99)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.99)})) AS wait_p99,
       wait_max, stall_age, rejected, saturated_time
FROM
(
    SELECT r.ts AS ts, r.service AS service, r.runtime AS runtime, r.instance AS instance, r.worker AS worker, r.kind AS kind, r.name AS name, r.scope AS scope,
           sum(r.capacity_sum) / nullIf(sum(r.capacity_n), 0) AS capacity, sum(r.busy_sum) / nullIf(sum(r.busy_n), 0) AS busy,
           max(r.busy_max) AS busy_max, sum(r.waiting_sum) / nullIf(sum(r.waiting_n), 0) AS waiting, max(r.waiting_max) AS waiting_max,
           sum(r.u_busy) / nullIf(sum(r.u_capacity), 0) AS utilization, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum,
           max(r.wait_max) AS wait_max, sumMap(r.wait_buckets) AS buckets, max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected,
           sum(r.saturated_time) AS saturated_time
    FROM resource_samples_5m AS r
    GROUP BY ts, service, runtime, instance, worker, kind, name, scope
)
;
CREATE OR REPLACE VIEW saturation_1h AS
SELECT ts, service, runtime, instance, worker, kind, name, scope, capacity, busy, busy_max, waiting, waiting_max, utilization, wait_count, wait_sum,
       if(isNull(wait_max), {quantile(buckets, 0.5)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.5)})) AS wait_p50,
       if(isNull(wait_max), {quantile(buckets, 0.95)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.95)})) AS wait_p95,
       if(isNull(wait_max), {quantile(buckets, 0.99)}, least(assumeNotNull(wait_max), {quantile(buckets, 0.99)})) AS wait_p99,
       wait_max, stall_age, rejected, saturated_time
FROM
(
    SELECT r.ts AS ts, r.service AS service, r.runtime AS runtime, r.instance AS instance, r.worker AS worker, r.kind AS kind, r.name AS name, r.scope AS scope,
           sum(r.capacity_sum) / nullIf(sum(r.capacity_n), 0) AS capacity, sum(r.busy_sum) / nullIf(sum(r.busy_n), 0) AS busy,
           max(r.busy_max) AS busy_max, sum(r.waiting_sum) / nullIf(sum(r.waiting_n), 0) AS waiting, max(r.waiting_max) AS waiting_max,
           sum(r.u_busy) / nullIf(sum(r.u_capacity), 0) AS utilization, sum(r.wait_count) AS wait_count, sum(r.wait_sum) AS wait_sum,
           max(r.wait_max) AS wait_max, sumMap(r.wait_buckets) AS buckets, max(r.stall_age) AS stall_age, sum(r.rejected) AS rejected,
           sum(r.saturated_time) AS saturated_time
    FROM resource_samples_1h AS r
    GROUP BY ts, service, runtime, instance, worker, kind, name, scope
)
