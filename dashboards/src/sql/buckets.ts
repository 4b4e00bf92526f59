/** Buckets per power of two: scale 4. */
const PER_OCTAVE = 16;

/** SQL for the number of measurements in `(2^fromExponent, 2^toExponent]`; without a lower bound the zero bucket is in. */
export function bucketCount(map: string, fromExponent: number | null, toExponent: number | null): string {
  const low = fromExponent === null ? "" : `k >= ${fromExponent * PER_OCTAVE}`;
  const high = toExponent === null ? "" : `k < ${toExponent * PER_OCTAVE}`;
  const range = [low, high].filter((part) => part !== "").join(" AND ");
  return `arraySum(mapValues(mapFilter((k, v) -> ${range}, ${map})))`;
}
