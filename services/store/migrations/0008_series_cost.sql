-- When each series came and was last announced: the ingest writes a row of `series` with a series' first point and once a day while it lives.
CREATE TABLE IF NOT EXISTS series_lives
(
    service   LowCardinality(String),
    metric    LowCardinality(String),
    series_id UInt64,
    first     SimpleAggregateFunction(min, DateTime('UTC')),
    last      SimpleAggregateFunction(max, DateTime('UTC')),
    marked    SimpleAggregateFunction(max, UInt8)
)
ENGINE = AggregatingMergeTree
ORDER BY (service, metric, series_id)
TTL last + INTERVAL {retention_raw_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
;
CREATE MATERIALIZED VIEW IF NOT EXISTS series_lives_mv TO series_lives AS
SELECT service, metric, series_id, last_seen AS first, last_seen AS last, toUInt8(attributes['otel.metric.overflow'] = 'true') AS marked
FROM series
;
-- Twice is as good as once: the table keeps minimum and maximum.
INSERT INTO series_lives
SELECT service, metric, series_id, last_seen, last_seen, toUInt8(attributes['otel.metric.overflow'] = 'true') FROM series
;
-- Which series cost what: the last 24 hours by service and metric. A subject table is one line per service under the name of its metric.
-- `series` were alive at some time of it, `new_series` of them never before in the raw retention. `rows` and `samples` are what was stored in
-- these hours, from the hourly rollups. `row_bytes` is an estimate: those rows times the mean size on disk of a row of their table on this
-- node, indexes included, rollups not; `series_bytes` the same for the rows of `series` that say what each of them is; `bytes` both. `folded` and `rejected` are points over the budgets of series, as the ingest counted them.
CREATE OR REPLACE VIEW series_cost AS
SELECT traffic.service AS service, traffic.metric AS metric, traffic.stored_in AS stored_in,
       if(traffic.stored_in IN ('samples', 'histograms', 'exp_histograms', 'summaries'), lives.series, traffic.series) AS series,
       if(traffic.stored_in IN ('samples', 'histograms', 'exp_histograms', 'summaries'), lives.new_series, NULL) AS new_series,
       lives.marked_series AS marked_series,
       traffic.samples AS samples, traffic.rows AS rows,
       traffic.rows * sizes.bytes_per_row AS row_bytes,
       lives.series * (SELECT ifNull(sum(bytes_on_disk) / sum(rows), 0) FROM system.parts WHERE active AND database = currentDatabase() AND table IN ('series', 'series_local')) AS series_bytes,
       row_bytes + series_bytes AS bytes,
       bytes / nullIf(sum(bytes) OVER (), 0) AS share,
       overflow.folded AS folded, overflow.rejected AS rejected
FROM
(
    SELECT CAST(service, 'String') AS service, CAST(metric, 'String') AS metric, 'samples' AS stored_in, toUInt64(0) AS series, sum(n) AS rows, sum(n) AS samples
    FROM samples_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service, metric
    UNION ALL
    SELECT CAST(service, 'String') AS service, CAST(metric, 'String') AS metric, 'exp_histograms', toUInt64(0), sum(n), sum(n)
    FROM exp_histograms_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service, metric
    UNION ALL
    SELECT CAST(service, 'String') AS service, CAST(metric, 'String') AS metric, 'histograms', toUInt64(0), count(), count()
    FROM histograms WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service, metric
    UNION ALL
    SELECT CAST(service, 'String') AS service, CAST(metric, 'String') AS metric, 'summaries', toUInt64(0), count(), count()
    FROM summaries WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service, metric
    UNION ALL
    SELECT CAST(service, 'String') AS service, 'tidemark.resource.*', 'resource_samples', uniqExact(instance, kind, name, listener_id), sum(exports), sum(points)
    FROM resource_samples_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
    UNION ALL
    SELECT CAST(service, 'String') AS service, 'http.server.request.duration', 'http_requests', uniqExact(instance, route, method, status), sum(exports), sum(points)
    FROM http_requests_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
    UNION ALL
    SELECT CAST(service, 'String') AS service, 'tidemark.http.server.phase.duration', 'request_phases', uniqExact(instance, route, phase), sum(exports), sum(points)
    FROM request_phases_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
    UNION ALL
    SELECT CAST(service, 'String') AS service, 'db.client.operation.duration', 'query_timings', uniqExact(instance, db_alias, statement_id, route), sum(exports), sum(points)
    FROM query_timings_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
    UNION ALL
    SELECT CAST(service, 'String') AS service, 'tidemark.connections.*', 'connection_memory', uniqExact(instance, kind, memory_type), sum(exports), sum(points)
    FROM connection_memory_1h WHERE ts >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
    UNION ALL
    SELECT CAST(ServiceName, 'String') AS service, '(spans)', 'otel_traces', toUInt64(0), count(), count()
    FROM otel_traces WHERE Timestamp >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
    UNION ALL
    SELECT CAST(ServiceName, 'String') AS service, '(log records)', 'otel_logs', toUInt64(0), count(), count()
    FROM otel_logs WHERE Timestamp >= toStartOfHour(now() - INTERVAL 23 HOUR) GROUP BY service
) AS traffic
LEFT JOIN
(
    SELECT service, metric, count() AS series, countIf(came >= now() - INTERVAL 1 DAY) AS new_series, countIf(is_marked) AS marked_series
    FROM
    (
        SELECT CAST(service, 'String') AS service, CAST(metric, 'String') AS metric, min(first) AS came, max(last) AS seen, max(marked) AS is_marked
        FROM series_lives GROUP BY service, metric, series_id
        -- A living series is announced once a day.
        HAVING seen >= now() - INTERVAL 25 HOUR
    )
    GROUP BY service, metric
) AS lives ON traffic.service = lives.service AND traffic.metric = lives.metric
LEFT JOIN
(
    -- On a cluster the rows of a node are in `<table>_local`.
    SELECT replaceRegexpOne(table, '_local$', '') AS of_table, sum(bytes_on_disk) / sum(rows) AS bytes_per_row
    FROM system.parts WHERE active AND database = currentDatabase() GROUP BY of_table
) AS sizes ON traffic.stored_in = sizes.of_table
LEFT JOIN
(
    SELECT x.attributes['tidemark.source'] AS source,
           multiIf(x.attributes['tidemark.overflow.metric'] LIKE 'tidemark.resource.%', 'tidemark.resource.*',
                   x.attributes['tidemark.overflow.metric'] LIKE 'tidemark.connections%', 'tidemark.connections.*',
                   x.attributes['tidemark.overflow.metric']) AS of_metric,
           sumIf(s.total, x.attributes['tidemark.overflow.outcome'] = 'folded') AS folded,
           sumIf(s.total, x.attributes['tidemark.overflow.outcome'] = 'rejected') AS rejected
    FROM samples_1h AS s
    ANY LEFT JOIN (SELECT series_id, attributes FROM series WHERE metric = 'tidemark.ingest.overflow') AS x ON s.series_id = x.series_id
    WHERE s.metric = 'tidemark.ingest.overflow' AND s.ts >= toStartOfHour(now() - INTERVAL 23 HOUR)
    GROUP BY source, of_metric
) AS overflow ON traffic.service = overflow.source AND traffic.metric = overflow.of_metric
