-- Codecs by measurement (npm run bench:storage -- --codecs; the table is in docs/benchmarks.md). New parts get them, old ones as
-- they are merged: no mutation. Timestamps: Delta leaves whole bytes, so that ZSTD finds the same seconds again in the next series
-- of the process; DoubleDelta's bits hide them. Counts and sparse buckets: T64
-- drops their zero bytes; where neighbouring rows have the same buckets, ZSTD alone finds more.
ALTER TABLE samples
    MODIFY COLUMN series_id CODEC(ZSTD(3)),
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN m CODEC(Delta, T64, ZSTD(3)),
    MODIFY COLUMN e CODEC(ZSTD(3))
;
ALTER TABLE histograms
    MODIFY COLUMN series_id CODEC(ZSTD(3)),
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN count CODEC(T64, ZSTD(3)),
    MODIFY COLUMN sum CODEC(ZSTD(3)),
    MODIFY COLUMN min CODEC(ZSTD(3)),
    MODIFY COLUMN max CODEC(ZSTD(3)),
    MODIFY COLUMN bounds CODEC(ZSTD(3)),
    MODIFY COLUMN buckets CODEC(T64, ZSTD(3))
;
ALTER TABLE exp_histograms
    MODIFY COLUMN series_id CODEC(ZSTD(3)),
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN count CODEC(T64, ZSTD(3)),
    MODIFY COLUMN sum CODEC(ZSTD(3)),
    MODIFY COLUMN min CODEC(ZSTD(3)),
    MODIFY COLUMN max CODEC(ZSTD(3)),
    MODIFY COLUMN scale CODEC(ZSTD(3)),
    MODIFY COLUMN zero CODEC(T64, ZSTD(3)),
    MODIFY COLUMN positive CODEC(T64, ZSTD(3)),
    MODIFY COLUMN negative CODEC(T64, ZSTD(3))
;
ALTER TABLE resource_samples
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN pid CODEC(ZSTD(3)),
    MODIFY COLUMN capacity CODEC(ZSTD(3)),
    MODIFY COLUMN busy CODEC(ZSTD(3)),
    MODIFY COLUMN busy_max CODEC(ZSTD(3)),
    MODIFY COLUMN waiting CODEC(ZSTD(3)),
    MODIFY COLUMN waiting_max CODEC(ZSTD(3)),
    MODIFY COLUMN wait_count CODEC(T64, ZSTD(3)),
    MODIFY COLUMN wait_sum CODEC(ZSTD(3)),
    MODIFY COLUMN wait_max CODEC(ZSTD(3)),
    MODIFY COLUMN wait_buckets CODEC(ZSTD(3)),
    MODIFY COLUMN stall_age CODEC(ZSTD(3)),
    MODIFY COLUMN rejected CODEC(ZSTD(3)),
    MODIFY COLUMN saturated_time CODEC(ZSTD(3)),
    MODIFY COLUMN points CODEC(T64, ZSTD(3))
;
ALTER TABLE http_requests
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN status CODEC(T64, ZSTD(3)),
    MODIFY COLUMN count CODEC(T64, ZSTD(3)),
    MODIFY COLUMN sum CODEC(ZSTD(3)),
    MODIFY COLUMN max CODEC(ZSTD(3)),
    MODIFY COLUMN buckets CODEC(ZSTD(3)),
    MODIFY COLUMN points CODEC(T64, ZSTD(3))
;
ALTER TABLE request_phases
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN count CODEC(T64, ZSTD(3)),
    MODIFY COLUMN sum CODEC(ZSTD(3)),
    MODIFY COLUMN max CODEC(ZSTD(3)),
    MODIFY COLUMN buckets CODEC(ZSTD(3)),
    MODIFY COLUMN points CODEC(T64, ZSTD(3))
;
ALTER TABLE query_timings
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN count CODEC(T64, ZSTD(3)),
    MODIFY COLUMN sum CODEC(ZSTD(3)),
    MODIFY COLUMN max CODEC(ZSTD(3)),
    MODIFY COLUMN buckets CODEC(ZSTD(3)),
    MODIFY COLUMN points CODEC(T64, ZSTD(3))
;
ALTER TABLE connection_memory
    MODIFY COLUMN ts CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN connections CODEC(ZSTD(3)),
    MODIFY COLUMN opened CODEC(ZSTD(3)),
    MODIFY COLUMN memory_bytes CODEC(ZSTD(3)),
    MODIFY COLUMN bytes_per_connection CODEC(ZSTD(3)),
    MODIFY COLUMN fit_r2 CODEC(ZSTD(3)),
    MODIFY COLUMN fit_span CODEC(ZSTD(3)),
    MODIFY COLUMN points CODEC(T64, ZSTD(3))
