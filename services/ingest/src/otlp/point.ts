import { unsigned, type Wire } from "./wire.ts";

/** Numbers that grow; `length` is set to 0 between points. */
export class Numbers {
  values = new Float64Array(64);
  length = 0;

  /** Makes room for `extra` more, to be written into `values` directly. */
  reserve(extra: number): void {
    if (this.length + extra <= this.values.length) return;
    const grown = new Float64Array(Math.max(this.length + extra, this.values.length * 2));
    grown.set(this.values);
    this.values = grown;
  }

  push(value: number): void {
    if (this.length === this.values.length) this.reserve(1);
    this.values[this.length++] = value;
  }
}

/** Dense buckets of one side of an exponential histogram: `counts` from index `offset` on. */
export class DenseBuckets {
  offset = 0;
  readonly counts = new Numbers();

  clear(): void {
    this.offset = 0;
    this.counts.length = 0;
  }
}

/**
 * The data point the walker stands on: one object, overwritten for every point, so that points cost no allocation.
 * Times are nanoseconds in two unsigned halves; counts are exact up to 2^53.
 */
export class Point {
  wire!: Wire;
  /** The point's message in `wire.bytes`. */
  start = 0;
  end = 0;
  /** Field number of the point's attributes. */
  attributeField = 0;
  /** Bytes from the first attribute's tag to the last attribute's end. */
  attributesStart = 0;
  attributesEnd = 0;
  /** Nothing but attributes lies between the two. */
  attributesContiguous = true;
  timeLo = 0;
  timeHi = 0;
  beginLo = 0;
  beginHi = 0;
  flags = 0;
  /** What a number point holds: nothing, a double or an integer. */
  value: "none" | "double" | "int" = "none";
  double = 0;
  intLo = 0;
  intHi = 0;
  count = 0;
  /** NaN when the point has none, or has NaN. */
  sumValue = Number.NaN;
  minValue = Number.NaN;
  maxValue = Number.NaN;
  scale = 0;
  zero = 0;
  readonly positive = new DenseBuckets();
  readonly negative = new DenseBuckets();
  private readonly boundNumbers = new Numbers();
  private readonly bucketNumbers = new Numbers();
  /** Packed bounds and bucket counts that nobody asked for yet: where they lie in `wire.bytes`; `end` 0 for none. */
  boundsStart = 0;
  boundsEnd = 0;
  bucketsStart = 0;
  bucketsEnd = 0;
  /** Quantiles of a summary and their values, pairwise. */
  readonly quantiles = new Numbers();
  readonly quantileValues = new Numbers();

  begin(wire: Wire, start: number, end: number, attributeField: number): void {
    this.wire = wire;
    this.start = start;
    this.end = end;
    this.attributeField = attributeField;
    this.attributesStart = 0;
    this.attributesEnd = 0;
    this.attributesContiguous = true;
    this.timeLo = 0;
    this.timeHi = 0;
    this.beginLo = 0;
    this.beginHi = 0;
    this.flags = 0;
    this.value = "none";
    this.count = 0;
    this.sumValue = Number.NaN;
    this.minValue = Number.NaN;
    this.maxValue = Number.NaN;
  }

  beginDistribution(): void {
    this.scale = 0;
    this.zero = 0;
    this.positive.clear();
    this.negative.clear();
    this.boundNumbers.length = 0;
    this.bucketNumbers.length = 0;
    this.boundsEnd = 0;
    this.bucketsEnd = 0;
    this.quantiles.length = 0;
    this.quantileValues.length = 0;
  }

  get sum(): number | undefined {
    return Number.isNaN(this.sumValue) ? undefined : this.sumValue;
  }
  get min(): number | undefined {
    return Number.isNaN(this.minValue) ? undefined : this.minValue;
  }
  get max(): number | undefined {
    return Number.isNaN(this.maxValue) ? undefined : this.maxValue;
  }

  get bounds(): Numbers {
    if (this.boundsEnd !== 0) {
      const { view } = this.wire;
      for (let at = this.boundsStart; at < this.boundsEnd; at += 8) this.boundNumbers.push(view.getFloat64(at, true));
      this.boundsEnd = 0;
    }
    return this.boundNumbers;
  }

  get buckets(): Numbers {
    if (this.bucketsEnd !== 0) {
      const { view } = this.wire;
      for (let at = this.bucketsStart; at < this.bucketsEnd; at += 8) {
        this.bucketNumbers.push(unsigned(view.getUint32(at, true), view.getUint32(at + 4, true)));
      }
      this.bucketsEnd = 0;
    }
    return this.bucketNumbers;
  }

  /** Remembers packed bounds, unless some came before: those are read, as parts of one list. */
  sawBounds(start: number, end: number): void {
    const before = this.bounds;
    this.boundsStart = start;
    this.boundsEnd = end;
    if (before.length > 0) void this.bounds;
  }

  sawBuckets(start: number, end: number): void {
    const before = this.buckets;
    this.bucketsStart = start;
    this.bucketsEnd = end;
    if (before.length > 0) void this.buckets;
  }

  /** The sender says that it has no value for this interval. */
  get noRecordedValue(): boolean {
    return (this.flags & 1) !== 0;
  }

  sawAttribute(tagStart: number, end: number): void {
    if (this.attributesEnd === 0) this.attributesStart = tagStart;
    else if (this.attributesEnd !== tagStart) this.attributesContiguous = false;
    this.attributesEnd = end;
  }
}

export type MetricKind = "gauge" | "sum" | "histogram" | "exponential_histogram" | "summary";
export type Temporality = "unspecified" | "delta" | "cumulative";

export interface MetricHeader {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly kind: MetricKind;
  readonly temporality: Temporality;
  readonly monotonic: boolean;
}

/** Who receives what the metrics walker reads. A resource comes before its scopes, a scope before its metrics. */
export interface MetricSink {
  /** `ranges` are start and end, pairwise, of the Resource messages (several are legal: they merge). */
  resource(wire: Wire, ranges: readonly number[]): void;
  scope(name: string, version: string): void;
  metric(header: MetricHeader): void;
  /**
   * Data points of the metric begin at the wire's position: the sink may take any number of them itself and leaves the
   * wire at the first field that the walker shall read, or at `end`.
   */
  take?(wire: Wire, end: number): void;
  point(point: Point): void;
  /** A metric whose data is of a type that this walker does not know. */
  unknownType(): void;
}
