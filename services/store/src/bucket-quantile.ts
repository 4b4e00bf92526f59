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
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile must be from 0 to 1, got ${q}`);
  const rank = `(${q} * sums[-1])`;
  // Each one-element array gives a value a name, so that the map is computed once.
  const at = `if(keys[i] = ${ZERO_BUCKET}, 0., exp2((keys[i] + (${rank} - (sums[i] - counts[i])) / counts[i]) / ${BUCKETS_PER_OCTAVE}))`;
  const found = `arrayMap(i -> ${at}, [arrayFirstIndex(s -> s > 0 AND s >= ${rank}, sums)])[1]`;
  const inner = `arrayMap((keys, counts, sums) -> if(sums[-1] = 0, NULL, ${found}), [k], [c], [arrayCumSum(c)])[1]`;
  const sorted = `arrayMap((k, c) -> ${inner}, [arraySort(mapKeys(m))], [arraySort((v, key) -> key, mapValues(m), mapKeys(m))])[1]`;
  return `arrayMap(m -> ${sorted}, [${mapExpression}])[1]`;
}
