/** Every dashboard has these three variables; an unset one filters nothing. */
export const VARIABLE_FILTER = ["runtime", "service", "instance"].map(variableFilter).join(" AND ");

/** The same where a table has no column `instance`, or where processes must not be told apart. */
export const SERVICE_FILTER = ["runtime", "service"].map(variableFilter).join(" AND ");

/** The same where only the service is known: the ingest's numbers about who sends. */
export const SOURCE_FILTER = variableFilter("service");

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

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
/**
 * Smallest bucket by length of the range, both in seconds: up to about 360 points on a chart, and from 3 hours on whole windows of a rollup.
 * A chart 600 pixels wide could show more, but not to a person.
 */
const SMALLEST_BUCKET: readonly (readonly [upTo: number, bucket: number])[] = [
  [3 * HOUR, 1],
  [6 * HOUR, MINUTE],
  [12 * HOUR, 2 * MINUTE],
  [30 * HOUR, 5 * MINUTE],
  [60 * HOUR, 10 * MINUTE],
  [8 * DAY, 30 * MINUTE],
  [16 * DAY, HOUR],
  [32 * DAY, 2 * HOUR],
  [100 * DAY, 6 * HOUR],
];
const RANGE_SECONDS = "(toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime))";
const BY_RANGE = `multiIf(${SMALLEST_BUCKET.map(([upTo, bucket]) => `${RANGE_SECONDS} <= ${upTo}, ${bucket}`).join(", ")}, ${DAY})`;

/** SQL condition: the range begins before what `table` still has, but a rollup remembers at least a day more. Reads no rows, only parts' bounds. */
function expired(table: string, rollup: string): string {
  const oldest = (of: string): string => `(SELECT min(ts) FROM tidemark.${of})`;
  return `$__fromTime < ${oldest(table)} AND ${oldest(rollup)} + INTERVAL 1 DAY < ${oldest(table)}`;
}

/**
 * `WITH` clause that defines `step`, the width of a bucket in whole seconds, and `tier`, the width of the rollup to read (0: rows as they came).
 *
 * The panel's interval, widened by the length of the range, is rounded up to whole hours, 5 minutes or minutes where it is that long, so that
 * buckets are made of whole windows of a rollup. Below a minute it is a multiple of the export period, which is measured on the data. A
 * rate over narrower buckets would be wrong: of five buckets of 2 s, one would hold the whole export of 10 s and four would be empty.
 * Where the range reaches back to what is only kept as a rollup, that rollup is read.
 */
export const WITH_STEP = `WITH assumeNotNull((
  SELECT toUInt32(multiIf(wanted >= ${HOUR}, ceil(wanted / ${HOUR}) * ${HOUR}, wanted >= ${5 * MINUTE}, ceil(wanted / ${5 * MINUTE}) * ${5 * MINUTE}, wanted >= ${MINUTE}, ceil(wanted / ${MINUTE}) * ${MINUTE}, ceil(wanted / period) * period))
  FROM (
    SELECT least(${LONGEST_PERIOD_SECONDS}, greatest(1, round(ifNull(max(gap), 1)))) AS period,
      greatest($__interval_s, ${BY_RANGE}, if(${expired("resource_samples", "resource_samples_1m")}, ${MINUTE}, 1), if(${expired("resource_samples_1m", "resource_samples_1h")}, ${HOUR}, 1)) AS wanted
    FROM (
      SELECT arrayReduce('quantileExact(0.5)', arrayPopFront(arrayDifference(arraySort(groupUniqArray(toUnixTimestamp64Milli(ts)))))) / 1000 AS gap
      FROM tidemark.resource_samples
      WHERE $__timeFilter(ts) AND kind IN ('event_loop', 'thread_pool', 'worker', 'gil', 'cpu') AND $__interval_s < ${WIDE_BUCKET_SECONDS} AND ${RANGE_SECONDS} <= ${3 * HOUR}
      GROUP BY service, instance
      HAVING uniqExact(ts) > 2
    )
  )
)) AS step,
multiIf(step % ${HOUR} = 0, ${HOUR}, step % ${5 * MINUTE} = 0, ${5 * MINUTE}, step % ${MINUTE} = 0, ${MINUTE}, 0) AS tier`;

/** Condition of a source of rollups at 1 and 5 minutes and 1 hour; needs {@link WITH_STEP}. */
export const TIER = "window_seconds = tier";
/** The same where there is no rollup at 5 minutes. */
export const TIER_WITHOUT_5M = `window_seconds = if(tier = ${5 * MINUTE}, ${MINUTE}, tier)`;

/** Start of the bucket of `ts`; needs {@link WITH_STEP}. */
export const BUCKET = "toDateTime(intDiv(toUnixTimestamp(ts), step) * step)";

/** `HAVING` condition: only whole buckets, so that neither edge of a rate drops to zero. Needs a column `time`. */
export const WHOLE_BUCKETS = `time >= $__fromTime AND time + step + ${ARRIVAL_SECONDS} <= $__toTime`;
