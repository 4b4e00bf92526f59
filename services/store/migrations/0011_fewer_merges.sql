-- What a point costs after its insert: merges, and rollups that carry what nobody reads. Merges of samples and of their rollups wait for about twelve
-- parts of a size in place of five, so that a row is written again half as often; parts that are old are merged sooner, so a table at rest ends with as
-- few as before. The last value of a minute or hour is no longer kept: no view, panel or rule reads it, and its state (a value and a time for every row,
-- made, sorted and merged one by one) was a quarter of the rollups' cost. The column stays as EPHEMERAL, which can be neither stored nor read: dropping it
-- would be a mutation, and another migration under way could still be at the views of 0006 that fill it. The views are made anew, as after MODIFY QUERY a
-- repeated insert is no longer recognised. Between the statements no rows may come in: `tidemark up` migrates before the ingest starts; elsewhere stop
-- the ingest first, its senders keep their data.
DROP VIEW IF EXISTS samples_1h_mv
;
DROP VIEW IF EXISTS samples_1m_mv
;
ALTER TABLE samples_1h MODIFY COLUMN last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) EPHEMERAL
;
ALTER TABLE samples_1m MODIFY COLUMN last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) EPHEMERAL
;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1h_mv TO samples_1h AS
SELECT any(metric) AS metric, any(service) AS service, series_id, toStartOfHour(ts) AS ts, sum(n) AS n, sum(total) AS total,
       min(lowest) AS lowest, max(highest) AS highest
FROM samples_1m
GROUP BY series_id, ts
;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1m_mv TO samples_1m AS
SELECT any(metric) AS metric, any(service) AS service, series_id, toStartOfMinute(ts) AS ts, count() AS n, sum(v) AS total, min(v) AS lowest,
       max(v) AS highest
FROM
(
    SELECT metric, service, series_id, ts,
           if(e BETWEEN -9 AND 0, m / arrayElement([1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0], e + 10),
              if(e = 127, reinterpretAsFloat64(m), if(e < 0, m / exp10(-e), m * exp10(e)))) AS v
    FROM samples
)
GROUP BY series_id, ts
;
ALTER TABLE samples MODIFY SETTING merge_selector_base = 12
;
ALTER TABLE samples_1m MODIFY SETTING merge_selector_base = 12
;
ALTER TABLE samples_1h MODIFY SETTING merge_selector_base = 12
