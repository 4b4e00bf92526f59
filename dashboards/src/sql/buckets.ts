/** Key of the zero bucket in every `buckets` map. */
const ZERO_BUCKET = -32768;
/** Buckets per power of two: scale 4. */
const PER_OCTAVE = 16;

/**
 * SQL for quantile `q` of a merged bucket map (`sumMap(buckets)`), in the unit of the measurements: the geometric middle of the
 * bucket that holds it, so within 2.2 % of the truth; NULL when the map is empty.
 */
export function bucketQuantile(map: string, q: number): string {
  const key = `arrayFirst((k, c) -> c >= ${q} * arraySum(mapValues(${map})), mapKeys(${map}), arrayCumSum(mapValues(${map})))`;
  return `if(arraySum(mapValues(${map})) = 0, NULL, if(${key} = ${ZERO_BUCKET}, 0, exp2((${key} + 0.5) / ${PER_OCTAVE})))`;
}

/** SQL for the number of measurements in `(2^fromExponent, 2^toExponent]`; without a lower bound the zero bucket is in. */
export function bucketCount(map: string, fromExponent: number | null, toExponent: number | null): string {
  const low = fromExponent === null ? "" : `k >= ${fromExponent * PER_OCTAVE}`;
  const high = toExponent === null ? "" : `k < ${toExponent * PER_OCTAVE}`;
  const range = [low, high].filter((part) => part !== "").join(" AND ");
  return `arraySum(mapValues(mapFilter((k, v) -> ${range}, ${map})))`;
}
