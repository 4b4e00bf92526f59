/** Load phases, deployments: whatever was sent as a `tidemark.annotation`. Those that began before the range and reach into it too. */
export const PHASE_ANNOTATIONS = `SELECT ts AS time, ts_end AS timeEnd, title, text, tags
FROM tidemark.annotations
WHERE ts <= $__toTime AND ts_end >= $__fromTime
ORDER BY time`;

/** One region per firing of a rule, from the moment it fired until the next change of its state; open ones reach to the range's end. */
export const ALERT_ANNOTATIONS = `SELECT ts AS time, if(next_ts > ts, least(next_ts, toDateTime64($__toTime, 3)), toDateTime64($__toTime, 3)) AS timeEnd,
  toString(title) AS title, summary AS text, toString(severity) AS tags
FROM (
  SELECT ts, title, severity, summary, state,
    leadInFrame(ts) OVER (PARTITION BY rule_id, fingerprint ORDER BY ts ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next_ts
  FROM tidemark.alert_events
  WHERE ts <= $__toTime
)
WHERE state = 'firing' AND ts <= $__toTime AND timeEnd >= $__fromTime
ORDER BY time
LIMIT 200`;
