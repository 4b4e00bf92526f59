import { EXPONENTIAL_HISTOGRAM_SCALE, ZERO_THRESHOLD } from "@tidemark/semconv/scale";

const BUCKETS_PER_DOUBLING = 2 ** EXPONENTIAL_HISTOGRAM_SCALE;

/** Index of the first bucket kept: the one that holds values just above the zero threshold of 1e-6. */
export const FIRST_BUCKET = -320;
/** Buckets kept: up to 2^12, that is 4,096 seconds; larger values count in the last one. */
export const BUCKET_COUNT = 512;

const FLOATS = 5; // sum, minimum and maximum of even epochs, of odd epochs
const INTS = 4 + BUCKET_COUNT; // epoch of each extreme, zero bucket, spare, buckets
const FLOAT_BYTES = 8 * (FLOATS + 1);
/** Bytes of one histogram in memory. */
export const HISTOGRAM_BYTES = FLOAT_BYTES + 4 * INTS;

const SUM = 0;
const EPOCH = 0;
const ZERO = 2;
const BUCKETS = 4;

/** What one interval added to a histogram, ready for OTLP. */
export interface HistogramDelta {
  readonly count: number;
  readonly sum: number;
  /** Absent when no extreme was kept for the interval. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly zeroCount: number;
  /** Index of the first of `counts`, at the registry's scale. */
  readonly offset: number;
  readonly counts: readonly number[];
}

/** Upper bound of each bucket kept. */
const UPPER_BOUNDS = Float64Array.from(
  { length: BUCKET_COUNT },
  (_, index) => 2 ** ((FIRST_BUCKET + index + 1) / BUCKETS_PER_DOUBLING),
);
const PARTS_BITS = 6;
const PARTS = 1 << PARTS_BITS;
/** Bucket, counted from the doubling's first, that holds the lower end of each of its parts. A part is narrower than any bucket. */
const BUCKET_OF_PART = Int8Array.from(
  { length: PARTS },
  (_, part) => Math.ceil(Math.log2(1 + part / PARTS) * BUCKETS_PER_DOUBLING) - 1,
);
// Source: IEEE 754, binary64: the high word holds the exponent and the first 20 bits of the fraction.
const number = new Float64Array(1);
const words = new Uint32Array(number.buffer);
const HIGH_WORD = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;
const FRACTION_BITS = 20;
const EXPONENT_BIAS = 1023;

/**
 * Index of the bucket that holds a value above the zero threshold: bucket `i` holds (2^(i/16), 2^((i+1)/16)].
 * By the number's own exponent and a table, as a logarithm takes several times as long, twice on each request.
 * Source: OpenTelemetry metrics data model, exponential histogram.
 */
export function bucketIndex(value: number): number {
  number[0] = value;
  const high = words[HIGH_WORD]!;
  const doubling = (high >>> FRACTION_BITS) - EXPONENT_BIAS;
  const part = (high >>> (FRACTION_BITS - PARTS_BITS)) & (PARTS - 1);
  const index = doubling * BUCKETS_PER_DOUBLING + BUCKET_OF_PART[part]!;
  return value > UPPER_BOUNDS[index - FIRST_BUCKET]! ? index + 1 : index;
}

/**
 * Exponential histogram in (shared) memory: one thread records, another reads differences. Counts only grow, so
 * neither side needs a lock; extremes are kept per epoch, and the reader starts a new epoch before it reads.
 */
export class Histogram {
  readonly #floats: Float64Array;
  readonly #ints: Uint32Array;

  constructor(buffer: ArrayBufferLike = new ArrayBuffer(HISTOGRAM_BYTES), byteOffset = 0) {
    this.#floats = new Float64Array(buffer, byteOffset, FLOATS);
    this.#ints = new Uint32Array(buffer, byteOffset + FLOAT_BYTES, INTS);
  }

  /** Adds `times` equal values, in the metric's own unit. Values that are not numbers are left out. */
  record(value: number, epoch: number, times = 1): void {
    if (!(value >= 0)) return;
    const ints = this.#ints;
    if (value <= ZERO_THRESHOLD) ints[ZERO]! += times;
    else {
      const index = bucketIndex(value) - FIRST_BUCKET;
      ints[BUCKETS + (index < 0 ? 0 : index < BUCKET_COUNT ? index : BUCKET_COUNT - 1)]! += times;
    }
    const floats = this.#floats;
    floats[SUM]! += value * times;
    const half = epoch & 1;
    const extremes = 1 + 2 * half;
    if (ints[EPOCH + half] !== epoch) {
      floats[extremes] = floats[extremes + 1] = value;
      ints[EPOCH + half] = epoch;
    } else if (value > floats[extremes + 1]!) floats[extremes + 1] = value;
    else if (value < floats[extremes]!) floats[extremes] = value;
  }

  /** Sum of all values recorded so far. */
  get sum(): number {
    return this.#floats[SUM]!;
  }

  /** @internal Used by the reader. */
  get ints(): Uint32Array {
    return this.#ints;
  }

  /** Minimum and maximum of one epoch, if any value came in it. */
  extremes(epoch: number): { min: number; max: number } | undefined {
    const half = epoch & 1;
    if (this.#ints[EPOCH + half] !== epoch) return undefined;
    return { min: this.#floats[1 + 2 * half]!, max: this.#floats[2 + 2 * half]! };
  }
}

/** Reads what a histogram gained since the last reading. */
export class HistogramReader {
  readonly #histogram: Histogram;
  readonly #previous = new Uint32Array(BUCKET_COUNT);
  #previousZero = 0;
  #previousSum = 0;

  constructor(histogram: Histogram) {
    this.#histogram = histogram;
  }

  /** The difference to the last call; undefined when nothing was recorded. */
  read(epoch: number): HistogramDelta | undefined {
    const ints = this.#histogram.ints;
    let first = -1;
    let last = -1;
    let count = 0;
    const difference: number[] = [];
    for (let index = 0; index < BUCKET_COUNT; index++) {
      const now = ints[BUCKETS + index]!;
      const added = (now - this.#previous[index]!) >>> 0;
      if (added === 0) {
        if (first >= 0) difference.push(0);
        continue;
      }
      this.#previous[index] = now;
      if (first < 0) first = index;
      last = index;
      difference.push(added);
      count += added;
    }
    const zero = ints[ZERO]!;
    const zeroCount = (zero - this.#previousZero) >>> 0;
    count += zeroCount;
    if (count === 0) return undefined;
    this.#previousZero = zero;
    const sum = this.#histogram.sum;
    const extremes = this.#histogram.extremes(epoch) ?? this.#lateExtremes(epoch, first, last);
    const delta = {
      count,
      sum: sum - this.#previousSum,
      min: extremes?.min,
      max: extremes?.max,
      zeroCount,
      offset: first < 0 ? 0 : FIRST_BUCKET + first,
      counts: first < 0 ? [] : difference.slice(0, last - first + 1),
    };
    this.#previousSum = sum;
    return delta;
  }

  /**
   * For values that were recorded for the epoch before, after that was read: its extremes, kept within the bounds
   * of the buckets that these values are in.
   */
  #lateExtremes(epoch: number, first: number, last: number): { min: number; max: number } | undefined {
    const before = this.#histogram.extremes(epoch - 1);
    if (before === undefined || first < 0) return undefined;
    const lower = 2 ** ((FIRST_BUCKET + first) / BUCKETS_PER_DOUBLING);
    const upper = 2 ** ((FIRST_BUCKET + last + 1) / BUCKETS_PER_DOUBLING);
    return { min: Math.max(before.min, lower), max: Math.min(before.max, upper) };
  }
}
