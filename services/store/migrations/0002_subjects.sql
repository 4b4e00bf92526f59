-- The subjects of the product. The ingest writes each of these metrics here and nowhere else: one row per resource, route or
-- statement and export, so that a panel is a scan of one table. `points` is the number of OTLP points a row was made of.
-- Every `buckets` map: exponential histogram at scale 4, key i holds (2^(i/16), 2^((i+1)/16)], key -32768 the zero bucket.
CREATE TABLE IF NOT EXISTS resource_samples
(
    ts             DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    service        LowCardinality(String),
    runtime        LowCardinality(String),
    environment    LowCardinality(String),
    host           LowCardinality(String),
    instance       LowCardinality(String),
    worker         LowCardinality(String),
    server         LowCardinality(String),
    group_id       LowCardinality(String),
    pid            UInt32,
    kind           LowCardinality(String),
    name           LowCardinality(String),
    scope          LowCardinality(String),
    listener_id    LowCardinality(String),
    capacity       Nullable(Float64) CODEC(ZSTD(1)),
    busy           Nullable(Float64) CODEC(ZSTD(1)),
    busy_max       Nullable(Float64) CODEC(ZSTD(1)),
    waiting        Nullable(Float64) CODEC(ZSTD(1)),
    waiting_max    Nullable(Float64) CODEC(ZSTD(1)),
    wait_count     Nullable(UInt64) CODEC(ZSTD(1)),
    wait_sum       Nullable(Float64) CODEC(ZSTD(1)),
    wait_max       Nullable(Float64) CODEC(ZSTD(1)),
    wait_buckets   Map(Int16, UInt64) CODEC(ZSTD(1)),
    stall_age      Nullable(Float64) CODEC(ZSTD(1)),
    rejected       Nullable(Float64) CODEC(ZSTD(1)),
    saturated_time Nullable(Float64) CODEC(ZSTD(1)),
    points         UInt16 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, kind, name, instance, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS http_requests
(
    ts          DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    service     LowCardinality(String),
    runtime     LowCardinality(String),
    environment LowCardinality(String),
    host        LowCardinality(String),
    instance    LowCardinality(String),
    worker      LowCardinality(String),
    server      LowCardinality(String),
    route       LowCardinality(String),
    method      LowCardinality(String),
    status      UInt16,
    error_type  LowCardinality(String),
    count       UInt64 CODEC(T64, ZSTD(1)),
    sum         Float64 CODEC(ZSTD(1)),
    max         Nullable(Float64) CODEC(ZSTD(1)),
    buckets     Map(Int16, UInt64) CODEC(ZSTD(1)),
    points      UInt16
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, route, instance, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS request_phases
(
    ts          DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    service     LowCardinality(String),
    runtime     LowCardinality(String),
    environment LowCardinality(String),
    host        LowCardinality(String),
    instance    LowCardinality(String),
    worker      LowCardinality(String),
    server      LowCardinality(String),
    route       LowCardinality(String),
    phase       LowCardinality(String),
    count       UInt64 CODEC(T64, ZSTD(1)),
    sum         Float64 CODEC(ZSTD(1)),
    max         Nullable(Float64) CODEC(ZSTD(1)),
    buckets     Map(Int16, UInt64) CODEC(ZSTD(1)),
    points      UInt16
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, phase, route, instance, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- statement_id = xxHash64 of the normalised text; 0 where the source sends no text.
CREATE TABLE IF NOT EXISTS query_timings
(
    ts           DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    service      LowCardinality(String),
    runtime      LowCardinality(String),
    environment  LowCardinality(String),
    host         LowCardinality(String),
    instance     LowCardinality(String),
    worker       LowCardinality(String),
    server       LowCardinality(String),
    db_system    LowCardinality(String),
    db_namespace LowCardinality(String),
    db_alias     LowCardinality(String),
    operation    LowCardinality(String),
    summary      LowCardinality(String),
    statement_id UInt64,
    route        LowCardinality(String),
    error_type   LowCardinality(String),
    count        UInt64 CODEC(T64, ZSTD(1)),
    sum          Float64 CODEC(ZSTD(1)),
    max          Nullable(Float64) CODEC(ZSTD(1)),
    buckets      Map(Int16, UInt64) CODEC(ZSTD(1)),
    points       UInt16
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, db_alias, statement_id, route, instance, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS query_statements
(
    statement_id UInt64,
    db_system    LowCardinality(String),
    text         String,
    last_seen    DateTime('UTC')
)
ENGINE = ReplacingMergeTree(last_seen)
ORDER BY statement_id
TTL last_seen + INTERVAL {retention_series_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
;
-- One row per process, kind of connection and export: the pair (connections, memory) and the agent's own fit where it has one.
CREATE TABLE IF NOT EXISTS connection_memory
(
    ts                   DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    service              LowCardinality(String),
    runtime              LowCardinality(String),
    environment          LowCardinality(String),
    host                 LowCardinality(String),
    instance             LowCardinality(String),
    worker               LowCardinality(String),
    server               LowCardinality(String),
    kind                 LowCardinality(String),
    memory_type          LowCardinality(String),
    connections          Nullable(Float64) CODEC(ZSTD(1)),
    opened               Nullable(Float64) CODEC(ZSTD(1)),
    memory_bytes         Nullable(Float64) CODEC(ZSTD(1)),
    bytes_per_connection Nullable(Float64) CODEC(ZSTD(1)),
    fit_r2               Nullable(Float64) CODEC(ZSTD(1)),
    fit_span             Nullable(Float64) CODEC(ZSTD(1)),
    points               UInt16
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, kind, instance, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- What the alert evaluator did: one row per change of state.
CREATE TABLE IF NOT EXISTS alert_events
(
    ts          DateTime64(3, 'UTC'),
    rule_id     LowCardinality(String),
    title       LowCardinality(String),
    severity    LowCardinality(String),
    state       Enum8('inactive' = 0, 'pending' = 1, 'firing' = 2, 'recovered' = 3, 'no_data' = 4, 'error' = 5),
    fingerprint String,
    service     LowCardinality(String),
    runtime     LowCardinality(String),
    instance    LowCardinality(String),
    labels      Map(LowCardinality(String), String),
    value       Nullable(Float64),
    summary     String,
    started_at  DateTime64(3, 'UTC')
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (rule_id, fingerprint, ts)
TTL toDateTime(ts) + INTERVAL {retention_1h_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
