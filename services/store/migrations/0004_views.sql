-- What people, dashboards and alerts query. A view keeps `ts` and the key columns as they are stored, so that a filter on
-- them reaches the table below. {quantile(map, q)} stands for the expression of src/bucket-quantile.ts.
CREATE OR REPLACE VIEW saturation AS
SELECT ts, service, runtime, instance, worker, kind, name, scope, capacity, busy, busy_max, waiting, waiting_max,
       busy / nullIf(capacity, 0) AS utilization,
       wait_count, wait_sum,
       if(isNull(wait_max), {quantile(wait_buckets, 0.5)}, least(assumeNotNull(wait_max), {quantile(wait_buckets, 0.5)})) AS wait_p50,
       if(isNull(wait_max), {quantile(wait_buckets, 0.95)}, least(assumeNotNull(wait_max), {quantile(wait_buckets, 0.95)})) AS wait_p95,
       if(isNull(wait_max), {quantile(wait_buckets, 0.99)}, least(assumeNotNull(wait_max), {quantile(wait_buckets, 0.99)})) AS wait_p99,
       wait_max, stall_age, rejected, saturated_time
FROM resource_samples
;
-- How long work waits for an event loop, seconds, and how busy the loop is.
CREATE OR REPLACE VIEW event_loop_lag AS
SELECT ts, service, runtime, instance, worker, name, utilization,
       wait_count AS lag_count, wait_sum / nullIf(wait_count, 0) AS lag_mean, wait_p50 AS lag_p50, wait_p95 AS lag_p95,
       wait_p99 AS lag_p99, wait_max AS lag_max, stall_age, saturated_time
FROM saturation
WHERE kind = 'event_loop'
;
-- Everything that runs one piece of work on one thread or process at a time, in both runtimes.
CREATE OR REPLACE VIEW thread_saturation AS
SELECT ts, service, runtime, instance, worker, kind, name, capacity, busy, busy_max, waiting, waiting_max, utilization,
       wait_count, wait_sum, wait_p50, wait_p95, wait_p99, wait_max, stall_age, rejected, saturated_time
FROM saturation
WHERE kind IN ('thread_pool', 'worker', 'executor', 'gil')
;
-- Moments at which something stood still: what, for how long (seconds), and which line of code did it.
CREATE OR REPLACE VIEW stalls AS
SELECT Timestamp AS ts, ServiceName AS service,
       multiIf(ResourceAttributes['telemetry.distro.name'] = 'tidemark-node' OR ResourceAttributes['process.runtime.name'] = 'nodejs', 'node',
               ResourceAttributes['telemetry.distro.name'] = 'tidemark-django', 'django',
               ResourceAttributes['process.runtime.name'] != '', ResourceAttributes['process.runtime.name'],
               ResourceAttributes['telemetry.sdk.language']) AS runtime,
       ResourceAttributes['service.instance.id'] AS instance,
       ResourceAttributes['tidemark.worker.index'] AS worker,
       LogAttributes['tidemark.resource.kind'] AS kind,
       LogAttributes['tidemark.resource.name'] AS name,
       LogAttributes['tidemark.stall.reason'] AS reason,
       CAST(LogAttributes['tidemark.stall.late'] IN ('true', '1'), 'Bool') AS late,
       toFloat64OrNull(LogAttributes['tidemark.stall.duration']) AS duration,
       LogAttributes['http.route'] AS route,
       LogAttributes['code.function.name'] AS code_function,
       LogAttributes['code.file.path'] AS code_file,
       toUInt32OrNull(LogAttributes['code.line.number']) AS code_line,
       LogAttributes['code.stacktrace'] AS code_stack,
       TraceId AS trace_id, SpanId AS span_id
FROM otel_logs
WHERE EventName = 'tidemark.stall'
;
-- Marks on every chart: phases of a load, deployments. `ts_end` equals `ts` for a moment.
CREATE OR REPLACE VIEW annotations AS
SELECT Timestamp AS ts,
       Timestamp + toIntervalMillisecond(toInt64(1000 * toFloat64OrZero(LogAttributes['tidemark.annotation.duration']))) AS ts_end,
       LogAttributes['tidemark.annotation.title'] AS title,
       Body AS text,
       ServiceName AS tags
FROM otel_logs
WHERE EventName = 'tidemark.annotation'
;
-- Alerts that are pending, firing, without data or in error: the last change of each label set.
CREATE OR REPLACE VIEW alerts_current AS
SELECT rule_id, fingerprint, last.1 AS ts, last.2 AS title, last.3 AS severity, last.4 AS state, last.5 AS service, last.6 AS runtime,
       last.7 AS instance, last.8 AS labels, last.9 AS value, last.10 AS summary, last.11 AS started_at
FROM
(
    SELECT rule_id, fingerprint,
           argMax(tuple(ts, title, severity, state, service, runtime, instance, labels, value, summary, started_at), ts) AS last
    FROM alert_events
    GROUP BY rule_id, fingerprint
)
WHERE last.4 NOT IN ('inactive', 'recovered')
;
-- Every generic number with the attributes of its series.
CREATE OR REPLACE VIEW metrics AS
SELECT s.ts AS ts, s.metric AS metric, s.service AS service, x.runtime AS runtime, x.instance AS instance, x.worker AS worker,
       x.environment AS environment, x.host AS host, x.kind AS kind, x.temporality AS temporality, x.monotonic AS monotonic,
       x.unit AS unit, s.value AS value, x.attributes AS attributes, x.resource AS resource, s.series_id AS series_id
FROM samples AS s
ANY LEFT JOIN series AS x ON s.metric = x.metric AND s.service = x.service AND s.series_id = x.series_id
;
-- The OpenTelemetry exporter's metric tables, for tools that expect them. What is stored in the subject tables is not repeated here.
CREATE OR REPLACE VIEW otel_metrics_gauge AS
SELECT x.resource AS ResourceAttributes, '' AS ResourceSchemaUrl, x.scope_name AS ScopeName, x.scope_version AS ScopeVersion,
       CAST(map(), 'Map(LowCardinality(String), String)') AS ScopeAttributes, toUInt32(0) AS ScopeDroppedAttrCount, '' AS ScopeSchemaUrl,
       s.service AS ServiceName, s.metric AS MetricName, x.description AS MetricDescription, x.unit AS MetricUnit,
       x.attributes AS Attributes, toDateTime64(0, 3, 'UTC') AS StartTimeUnix, s.ts AS TimeUnix, s.value AS Value, toUInt32(0) AS Flags
FROM samples AS s
ANY LEFT JOIN series AS x ON s.metric = x.metric AND s.service = x.service AND s.series_id = x.series_id
WHERE x.kind = 'gauge'
;
CREATE OR REPLACE VIEW otel_metrics_sum AS
SELECT x.resource AS ResourceAttributes, '' AS ResourceSchemaUrl, x.scope_name AS ScopeName, x.scope_version AS ScopeVersion,
       CAST(map(), 'Map(LowCardinality(String), String)') AS ScopeAttributes, toUInt32(0) AS ScopeDroppedAttrCount, '' AS ScopeSchemaUrl,
       s.service AS ServiceName, s.metric AS MetricName, x.description AS MetricDescription, x.unit AS MetricUnit,
       x.attributes AS Attributes, toDateTime64(0, 3, 'UTC') AS StartTimeUnix, s.ts AS TimeUnix, s.value AS Value, toUInt32(0) AS Flags,
       toInt32(x.temporality) AS AggregationTemporality, x.monotonic AS IsMonotonic
FROM samples AS s
ANY LEFT JOIN series AS x ON s.metric = x.metric AND s.service = x.service AND s.series_id = x.series_id
WHERE x.kind = 'sum'
;
CREATE OR REPLACE VIEW otel_metrics_histogram AS
SELECT x.resource AS ResourceAttributes, '' AS ResourceSchemaUrl, x.scope_name AS ScopeName, x.scope_version AS ScopeVersion,
       CAST(map(), 'Map(LowCardinality(String), String)') AS ScopeAttributes, toUInt32(0) AS ScopeDroppedAttrCount, '' AS ScopeSchemaUrl,
       s.service AS ServiceName, s.metric AS MetricName, x.description AS MetricDescription, x.unit AS MetricUnit,
       x.attributes AS Attributes, toDateTime64(0, 3, 'UTC') AS StartTimeUnix, s.ts AS TimeUnix,
       s.count AS Count, ifNull(s.sum, 0) AS Sum, s.buckets AS BucketCounts, s.bounds AS ExplicitBounds, toUInt32(0) AS Flags,
       ifNull(s.min, 0) AS Min, ifNull(s.max, 0) AS Max, toInt32(x.temporality) AS AggregationTemporality
FROM histograms AS s
ANY LEFT JOIN series AS x ON s.metric = x.metric AND s.service = x.service AND s.series_id = x.series_id
;
CREATE OR REPLACE VIEW otel_metrics_exponential_histogram AS
SELECT x.resource AS ResourceAttributes, '' AS ResourceSchemaUrl, x.scope_name AS ScopeName, x.scope_version AS ScopeVersion,
       CAST(map(), 'Map(LowCardinality(String), String)') AS ScopeAttributes, toUInt32(0) AS ScopeDroppedAttrCount, '' AS ScopeSchemaUrl,
       s.service AS ServiceName, s.metric AS MetricName, x.description AS MetricDescription, x.unit AS MetricUnit,
       x.attributes AS Attributes, toDateTime64(0, 3, 'UTC') AS StartTimeUnix, s.ts AS TimeUnix,
       s.count AS Count, ifNull(s.sum, 0) AS Sum, toInt32(s.scale) AS Scale, s.zero AS ZeroCount,
       if(empty(s.positive), 0, arrayMin(mapKeys(s.positive))) AS PositiveOffset,
       if(empty(s.positive), CAST([], 'Array(UInt64)'),
          arrayMap(i -> s.positive[toInt32(i)], range(arrayMin(mapKeys(s.positive)), arrayMax(mapKeys(s.positive)) + 1))) AS PositiveBucketCounts,
       if(empty(s.negative), 0, arrayMin(mapKeys(s.negative))) AS NegativeOffset,
       if(empty(s.negative), CAST([], 'Array(UInt64)'),
          arrayMap(i -> s.negative[toInt32(i)], range(arrayMin(mapKeys(s.negative)), arrayMax(mapKeys(s.negative)) + 1))) AS NegativeBucketCounts,
       toUInt32(0) AS Flags, ifNull(s.min, 0) AS Min, ifNull(s.max, 0) AS Max, toInt32(x.temporality) AS AggregationTemporality
FROM exp_histograms AS s
ANY LEFT JOIN series AS x ON s.metric = x.metric AND s.service = x.service AND s.series_id = x.series_id
;
CREATE OR REPLACE VIEW otel_metrics_summary AS
SELECT x.resource AS ResourceAttributes, '' AS ResourceSchemaUrl, x.scope_name AS ScopeName, x.scope_version AS ScopeVersion,
       CAST(map(), 'Map(LowCardinality(String), String)') AS ScopeAttributes, toUInt32(0) AS ScopeDroppedAttrCount, '' AS ScopeSchemaUrl,
       s.service AS ServiceName, s.metric AS MetricName, x.description AS MetricDescription, x.unit AS MetricUnit,
       x.attributes AS Attributes, toDateTime64(0, 3, 'UTC') AS StartTimeUnix, s.ts AS TimeUnix, s.count AS Count, s.sum AS Sum,
       s.quantiles AS `ValueAtQuantiles.Quantile`, s.values AS `ValueAtQuantiles.Value`, toUInt32(0) AS Flags
FROM summaries AS s
ANY LEFT JOIN series AS x ON s.metric = x.metric AND s.service = x.service AND s.series_id = x.series_id
