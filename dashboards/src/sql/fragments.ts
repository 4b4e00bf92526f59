/** Every dashboard has these three variables; an unset one filters nothing. */
export const VARIABLE_FILTER = ["runtime", "service", "instance"].map(variableFilter).join(" AND ");

/** The same where a table has no column `instance`, or where processes must not be told apart. */
export const SERVICE_FILTER = ["runtime", "service"].map(variableFilter).join(" AND ");

/** One variable's condition; kept simple because the plugin splits the arguments by brackets and commas. */
function variableFilter(name: string): string {
  return `$__conditionalAll(${name} IN (\${${name}:singlequote}), $${name})`;
}

/** Buckets wider than this hold so many exports that their phase does not matter, in seconds. */
const WIDE_BUCKET_SECONDS = 30;
/** A period longer than this is an outage, not an export interval, in seconds. */
const LONGEST_PERIOD_SECONDS = 300;
/** An export with a time stamp just before the bucket's end needs this long to be queryable, in seconds. */
const ARRIVAL_SECONDS = 2;

/**
 * `WITH` clause that defines `step`, the width of a bucket in whole seconds: the panel's interval rounded up to a multiple of the
 * export period, which is measured on the data. A rate over narrower buckets would be wrong: of five buckets of 2 s, one would hold the
 * whole export of 10 s and four would be empty.
 */
export const WITH_STEP = `WITH assumeNotNull((
  SELECT toUInt32(greatest(1, ceil($__interval_s / period) * period))
  FROM (
    SELECT least(${LONGEST_PERIOD_SECONDS}, greatest(1, round(ifNull(max(gap), 1)))) AS period
    FROM (
      SELECT arrayReduce('quantileExact(0.5)', arrayPopFront(arrayDifference(arraySort(groupUniqArray(toUnixTimestamp64Milli(ts)))))) / 1000 AS gap
      FROM tidemark.resource_samples
      WHERE $__timeFilter(ts) AND kind IN ('event_loop', 'thread_pool', 'worker', 'gil', 'cpu') AND $__interval_s < ${WIDE_BUCKET_SECONDS}
      GROUP BY service, instance
      HAVING uniqExact(ts) > 2
    )
  )
)) AS step`;

/** Start of the bucket of `ts`; needs {@link WITH_STEP}. */
export const BUCKET = "toDateTime(intDiv(toUnixTimestamp(ts), step) * step)";

/** `HAVING` condition: only whole buckets, so that neither edge of a rate drops to zero. Needs a column `time`. */
export const WHOLE_BUCKETS = `time >= $__fromTime AND time + step + ${ARRIVAL_SECONDS} <= $__toTime`;
