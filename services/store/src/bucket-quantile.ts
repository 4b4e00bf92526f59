const BUCKETS_PER_OCTAVE = 16;
const ZERO_BUCKET = -32_768;

/**
 * SQL for a quantile of a bucket map (`Map(Int16, UInt64)` at scale 4, also merged by `sumMap`): Nullable(Float64) in the
 * unit of the measured values, NULL for an empty map.
 *
 * Key i holds values in (2^(i/16), 2^((i+1)/16)], key -32768 those that count as zero. Inside the bucket that holds the
 * rank the value is interpolated geometrically, so the error is below the bucket's width, 4.4 % of the value.
 * Throws RangeError for a `q` outside 0..1.
 * Source of the buckets: OpenTelemetry metrics data model, exponential histogram.
 *
 * @param mapExpression any SQL expression of that type, for example `sumMap(wait_buckets)`
 */
export function bucketQuantile(mapExpression: string, q: number): string {
  check(q);
  // One lambda names the sorted map, the next its keys, running counts and the rank, the last the place: ClickHouse then parses and
  // analyses a third of the text that repeating them takes, which for three quantiles is 20 ms of a query, and computes as little.
  const before = "if(i = 1, 0, c[i - 1])";
  const value = `if(k[i] = ${ZERO_BUCKET}, 0., exp2((k[i] + (r - ${before}) / (c[i] - ${before})) / ${BUCKETS_PER_OCTAVE}))`;
  const found = `arrayMap(i -> ${value}, [arrayFirstIndex(n -> n > 0 AND n >= r, c)])[1]`;
  const parts = `[mapKeys(s)], [arrayCumSum(mapValues(s))], [${q} * arraySum(mapValues(s))]`;
  // An empty map, or one of empty buckets, has no element that is above zero.
  return `arrayMap(s -> arrayMap((k, c, r) -> if(c[-1] = 0, NULL, ${found}), ${parts})[1], [mapSort(${mapExpression})])[1]`;
}

/**
 * The same quantile in the words that the migrations were recorded with, whose texts must never change: what
 * `{quantile(map, q)}` in a migration stands for.
 */
export function recordedBucketQuantile(mapExpression: string, q: number): string {
  check(q);
  // Inside one lambda ClickHouse computes equal expressions once, so this repeats text, not work: 2 to 4 microseconds of
  // CPU for a map of 60 buckets. Naming the parts by nested lambdas copies their arrays and took three times as long.
  const sorted = `mapSort(m)`;
  const keys = `mapKeys(${sorted})`;
  const counts = `mapValues(${sorted})`;
  const sums = `arrayCumSum(${counts})`;
  const rank = `(${q} * arraySum(mapValues(m)))`;
  const at = `arrayFirstIndex(n -> n > 0 AND n >= ${rank}, ${sums})`;
  const share = `(${rank} - (${sums}[${at}] - ${counts}[${at}])) / ${counts}[${at}]`;
  const value = `if(${keys}[${at}] = ${ZERO_BUCKET}, 0., exp2((${keys}[${at}] + ${share}) / ${BUCKETS_PER_OCTAVE}))`;
  // Beyond the array, as for an empty map, an element reads 0.
  return `arrayMap(m -> if(${counts}[${at}] = 0, NULL, ${value}), [${mapExpression}])[1]`;
}

function check(q: number): void {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile must be from 0 to 1, got ${q}`);
}
