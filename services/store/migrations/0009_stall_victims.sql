-- Stalls with what they took from other requests. A long one is told more than once, each time with its begin as `ts`: the
-- row with the largest `duration` is the last word.
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
       TraceId AS trace_id, SpanId AS span_id,
       CAST(LogAttributes['tidemark.stall.ended'] IN ('true', '1'), 'Bool') AS ended,
       toUInt32OrNull(LogAttributes['tidemark.stall.victims']) AS victims,
       toFloat64OrNull(LogAttributes['tidemark.stall.victims.lost_time']) AS victims_lost_time,
       LogAttributes['tidemark.stall.victims.routes'] AS victims_routes
FROM otel_logs
WHERE EventName = 'tidemark.stall'
;
