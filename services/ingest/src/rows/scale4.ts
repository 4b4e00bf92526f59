import type { DenseBuckets, Point } from "../otlp/point.ts";

const SCALE = 4;
const PER_DOUBLING = 1 << SCALE;
/** Key of the zero bucket. */
export const ZERO_BUCKET = -32768;
const LOWEST = -32767;
const HIGHEST = 32767;

/** Sparse buckets at scale 4: `keys[i]` holds (2^(k/16), 2^((k+1)/16)], ascending by the order they were added. */
export type Scale4 = Map<number, number>;

/**
 * The distribution of a point at scale 4, written into `into`.
 *
 * Exponential histograms of a finer scale are merged exactly; of a coarser one each bucket goes to its middle.
 * Explicit bounds: each bucket's count goes to its geometric middle, the first one's lower edge being the minimum (or
 * half its bound) and the last one's upper edge the maximum (or its bound). Negative values count as zero: no
 * duration, the only thing kept at scale 4, is negative.
 */
export function toScale4(point: Point, exponential: boolean, into: Scale4): void {
  into.clear();
  if (exponential) {
    if (point.zero > 0) add(into, ZERO_BUCKET, point.zero);
    addDense(into, point.positive, point.scale);
    const { counts } = point.negative;
    for (let i = 0; i < counts.length; i++) if (counts.values[i]! > 0) add(into, ZERO_BUCKET, counts.values[i]!);
  } else addExplicit(into, point);
}

function addDense(into: Scale4, { offset, counts }: DenseBuckets, scale: number): void {
  for (let i = 0; i < counts.length; i++) {
    const count = counts.values[i]!;
    if (count === 0) continue;
    const index = offset + i;
    const key =
      scale >= SCALE
        ? Math.floor(index / 2 ** (scale - SCALE))
        : Math.floor((index + 0.5) * 2 ** Math.min(SCALE - scale, 32));
    add(into, Math.min(HIGHEST, Math.max(LOWEST, key)), count);
  }
}

function addExplicit(into: Scale4, { bounds, buckets, min, max, count, sum }: Point): void {
  // No distribution was sent: all that is known is the mean.
  if (buckets.length === 0 && count > 0 && sum !== undefined) add(into, keyOf(sum / count), count);
  for (let i = 0; i < buckets.length; i++) {
    const inBucket = buckets.values[i]!;
    if (inBucket === 0) continue;
    let upper = i < bounds.length ? bounds.values[i]! : Math.max(max ?? 0, bounds.values[bounds.length - 1] ?? 0);
    let lower = i === 0 ? (min ?? upper / 2) : bounds.values[i - 1]!;
    if (max !== undefined && max < upper) upper = Math.max(max, lower);
    if (min !== undefined && min > lower) lower = Math.min(min, upper);
    if (upper <= 0) add(into, ZERO_BUCKET, inBucket);
    else add(into, keyOf(Math.sqrt(Math.max(lower, upper / PER_DOUBLING) * upper)), inBucket);
  }
}

/** Key of the bucket that holds a positive value. */
export function keyOf(value: number): number {
  if (!(value > 0)) return ZERO_BUCKET;
  const key = Math.ceil(Math.log2(value) * PER_DOUBLING) - 1;
  return Math.min(HIGHEST, Math.max(LOWEST, key));
}

function add(into: Scale4, key: number, count: number): void {
  into.set(key, (into.get(key) ?? 0) + count);
}
