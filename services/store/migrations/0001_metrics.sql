-- Generic metrics: one row per series, narrow samples. Statements are separated by a line holding only `;`.
CREATE TABLE IF NOT EXISTS series
(
    metric       LowCardinality(String),
    service      LowCardinality(String),
    series_id    UInt64,
    runtime      LowCardinality(String),
    instance     LowCardinality(String),
    worker       LowCardinality(String),
    environment  LowCardinality(String),
    host         LowCardinality(String),
    kind         Enum8('gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5),
    temporality  Enum8('unspecified' = 0, 'delta' = 1, 'cumulative' = 2),
    monotonic    Bool,
    unit         LowCardinality(String),
    description  String,
    resource     Map(LowCardinality(String), String),
    scope_name   LowCardinality(String),
    scope_version LowCardinality(String),
    attributes   Map(LowCardinality(String), String),
    last_seen    DateTime('UTC')
)
ENGINE = ReplacingMergeTree(last_seen)
ORDER BY (metric, service, series_id)
TTL last_seen + INTERVAL {retention_series_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
;
-- value = m * 10^e exactly; e = 127 says that m holds the bits of a Float64 (decimal mantissas compress twice as well).
CREATE TABLE IF NOT EXISTS samples
(
    metric    LowCardinality(String),
    service   LowCardinality(String),
    series_id UInt64 CODEC(Delta, ZSTD(1)),
    ts        DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    m         Int64 CODEC(Delta, T64, ZSTD(1)),
    e         Int8 CODEC(ZSTD(1)),
    value     Float64 ALIAS if(e = 127, reinterpretAsFloat64(m), if(e < 0, m / exp10(-e), m * exp10(e)))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, service, series_id, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS histograms
(
    metric    LowCardinality(String),
    service   LowCardinality(String),
    series_id UInt64 CODEC(Delta, ZSTD(1)),
    ts        DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    count     UInt64 CODEC(T64, ZSTD(1)),
    sum       Nullable(Float64) CODEC(ZSTD(1)),
    min       Nullable(Float64) CODEC(ZSTD(1)),
    max       Nullable(Float64) CODEC(ZSTD(1)),
    bounds    Array(Float64) CODEC(ZSTD(1)),
    buckets   Array(UInt64) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, service, series_id, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
-- Buckets are kept at the sender's scale; index i holds (2^(i/2^scale), 2^((i+1)/2^scale)].
CREATE TABLE IF NOT EXISTS exp_histograms
(
    metric    LowCardinality(String),
    service   LowCardinality(String),
    series_id UInt64 CODEC(Delta, ZSTD(1)),
    ts        DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    count     UInt64 CODEC(T64, ZSTD(1)),
    sum       Nullable(Float64) CODEC(ZSTD(1)),
    min       Nullable(Float64) CODEC(ZSTD(1)),
    max       Nullable(Float64) CODEC(ZSTD(1)),
    scale     Int8,
    zero      UInt64 CODEC(T64, ZSTD(1)),
    positive  Map(Int32, UInt64) CODEC(ZSTD(1)),
    negative  Map(Int32, UInt64) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, service, series_id, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS summaries
(
    metric    LowCardinality(String),
    service   LowCardinality(String),
    series_id UInt64 CODEC(Delta, ZSTD(1)),
    ts        DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    count     UInt64,
    sum       Float64,
    quantiles Array(Float64),
    values    Array(Float64)
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, service, series_id, ts)
TTL toDateTime(ts) + INTERVAL {retention_raw_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE TABLE IF NOT EXISTS samples_1m
(
    metric    LowCardinality(String),
    service   LowCardinality(String),
    series_id UInt64,
    ts        DateTime('UTC'),
    n         SimpleAggregateFunction(sum, UInt64),
    total     SimpleAggregateFunction(sum, Float64),
    lowest    SimpleAggregateFunction(min, Float64),
    highest   SimpleAggregateFunction(max, Float64),
    last      AggregateFunction(argMax, Float64, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, service, series_id, ts)
TTL ts + INTERVAL {retention_1m_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1m_mv TO samples_1m AS
SELECT metric, service, series_id, toStartOfMinute(ts) AS ts, count() AS n, sum(v) AS total, min(v) AS lowest, max(v) AS highest,
       argMaxState(v, t) AS last
FROM (SELECT metric, service, series_id, samples.ts AS t, samples.ts AS ts, if(e = 127, reinterpretAsFloat64(m), if(e < 0, m / exp10(-e), m * exp10(e))) AS v FROM samples)
GROUP BY metric, service, series_id, ts
;
CREATE TABLE IF NOT EXISTS samples_1h
(
    metric    LowCardinality(String),
    service   LowCardinality(String),
    series_id UInt64,
    ts        DateTime('UTC'),
    n         SimpleAggregateFunction(sum, UInt64),
    total     SimpleAggregateFunction(sum, Float64),
    lowest    SimpleAggregateFunction(min, Float64),
    highest   SimpleAggregateFunction(max, Float64),
    last      AggregateFunction(argMax, Float64, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(ts)
ORDER BY (metric, service, series_id, ts)
TTL ts + INTERVAL {retention_1h_days} DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1h_mv TO samples_1h AS
SELECT metric, service, series_id, toStartOfHour(ts) AS ts, sum(n) AS n, sum(total) AS total, min(lowest) AS lowest, max(highest) AS highest,
       argMaxMergeState(last) AS last
FROM samples_1m
GROUP BY metric, service, series_id, ts
