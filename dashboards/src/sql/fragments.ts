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
/** Up to here a bucket may be as narrow as an export period. */
const FINE_RANGE_SECONDS = 3 * HOUR;
/**
 * Smallest bucket by length of the range, both in seconds: up to about 360 points on a chart, and from 3 hours on whole windows of a rollup.
 * A chart 600 pixels wide could show more, but not to a person.
 */
const SMALLEST_BUCKET: readonly (readonly [upTo: number, bucket: number])[] = [
  [FINE_RANGE_SECONDS, 1],
  [6 * HOUR, MINUTE],
  [12 * HOUR, 2 * MINUTE],
  [30 * HOUR, 5 * MINUTE],
  [60 * HOUR, 10 * MINUTE],
  [8 * DAY, 30 * MINUTE],
  [16 * DAY, HOUR],
  [32 * DAY, 2 * HOUR],
  [100 * DAY, 6 * HOUR],
];
/** Few nodes and no lambda, as every use of `step` is analysed anew: a table in place of conditions. */
const LADDER = `[0, ${SMALLEST_BUCKET.map(([upTo]) => upTo + 1).join(", ")}]`;
const BUCKETS = `[${SMALLEST_BUCKET.map(([, bucket]) => bucket).join(", ")}, ${DAY}]`;
const RANGE = "toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime)";
const BY_RANGE = `transform(roundDown(${RANGE}, ${LADDER}), ${LADDER}, ${BUCKETS})`;

/** SQL for the first moment that is still in `table`; reads no rows, only parts' bounds. */
const oldest = (table: string): string => `(SELECT min(ts) FROM tidemark.${table})`;

/** SQL for `window` where the range begins before what `table` still has, and its rollup of that window remembers at least a day more; else 0. */
function expired(table: string, window: number, rollup: string): string {
  return `${window} * ($__fromTime < ${oldest(table)} AND ${oldest(rollup)} + INTERVAL 1 DAY < ${oldest(table)})`;
}

/** Widths of the rollups in seconds; 0 stands for rows as they came. */
const TIERS = `[0, ${MINUTE}, ${5 * MINUTE}, ${HOUR}]`;
const WINDOW = `roundDown(wanted, ${TIERS})`;

/**
 * `WITH` clause that defines `step`, the width of a bucket in whole seconds, and `tier`, the width of the rollup to read (0: rows as they came).
 *
 * The panel's interval, widened by the length of the range, is rounded up to whole hours, 5 minutes or minutes where it is that long, so that
 * buckets are made of whole windows of a rollup. Below a minute it is a multiple of the export period, which is measured on the data. A
 * rate over narrower buckets would be wrong: of five buckets of 2 s, one would hold the whole export of 10 s and four would be empty.
 * Where the range reaches back to what is only kept as a rollup, that rollup is read.
 */
export const WITH_STEP = `WITH assumeNotNull((
  SELECT toUInt32(if(wanted >= ${MINUTE}, ceil(wanted / ${WINDOW}) * ${WINDOW}, ceil(wanted / period) * period))
  FROM (
    SELECT least(${LONGEST_PERIOD_SECONDS}, greatest(1, round(ifNull(max(gap), 1)))) AS period,
      greatest($__interval_s, ${BY_RANGE}, ${expired("resource_samples", MINUTE, "resource_samples_1m")}, ${expired("resource_samples_1m", HOUR, "resource_samples_1h")}) AS wanted
    FROM (
      SELECT arrayReduce('quantileExact(0.5)', arrayPopFront(arrayDifference(arraySort(groupUniqArray(toUnixTimestamp64Milli(ts)))))) / 1000 AS gap
      FROM tidemark.resource_samples
      WHERE $__timeFilter(ts) AND kind IN ('event_loop', 'thread_pool', 'worker', 'gil', 'cpu') AND $__interval_s < ${WIDE_BUCKET_SECONDS} AND ${RANGE} <= ${FINE_RANGE_SECONDS}
      GROUP BY service, instance
      HAVING uniqExact(ts) > 2
    )
  )
)) AS step,
if(step % ${MINUTE} != 0, 0, roundDown(step, ${TIERS})) AS tier`;

/** Condition of a source of rollups at 1 and 5 minutes and 1 hour; needs {@link WITH_STEP}. */
export const TIER = "window_seconds = tier";
/** The same where there is no rollup at 5 minutes. */
export const TIER_WITHOUT_5M = `window_seconds = if(tier = ${5 * MINUTE}, ${MINUTE}, tier)`;

/** Start of the bucket of `ts`; needs {@link WITH_STEP}. */
export const BUCKET = "toStartOfInterval(ts, toIntervalSecond(step))";

/** `HAVING` condition: only whole buckets, so that neither edge of a rate drops to zero. Needs a column `time`. */
export const WHOLE_BUCKETS = `time >= $__fromTime AND time + step + ${ARRIVAL_SECONDS} <= $__toTime`;
