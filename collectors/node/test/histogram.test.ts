import { describe, expect, it } from "vitest";
import { BUCKET_COUNT, bucketIndex, FIRST_BUCKET, Histogram, HistogramReader } from "../src/shared/histogram.ts";

describe("a histogram in shared memory", () => {
  it("puts each value in the bucket whose bounds hold it", () => {
    for (let value = 2e-6; value < 4000; value *= 1.037) {
      const index = bucketIndex(value);
      expect(2 ** (index / 16)).toBeLessThan(value * (1 + 1e-12));
      expect(2 ** ((index + 1) / 16)).toBeGreaterThanOrEqual(value * (1 - 1e-12));
      expect(index).toBeGreaterThanOrEqual(FIRST_BUCKET);
    }
    expect(bucketIndex(1)).toBe(-1);
    expect(bucketIndex(2)).toBe(15);
  });

  it("puts a bound in the bucket below it, and the next number in the one above", () => {
    for (let index = FIRST_BUCKET; index < FIRST_BUCKET + BUCKET_COUNT; index++) {
      const bound = 2 ** ((index + 1) / 16);
      expect(bucketIndex(bound)).toBe(index);
      expect(bucketIndex(bound * (1 + Number.EPSILON))).toBe(index + 1);
    }
  });

  it("gives what was added since the last reading, with the extremes of that time only", () => {
    const histogram = new Histogram();
    const reader = new HistogramReader(histogram);
    expect(reader.read(1)).toBeUndefined();
    histogram.record(0.5, 1);
    histogram.record(4, 1, 3);
    expect(reader.read(1)).toMatchObject({ count: 4, sum: 12.5, min: 0.5, max: 4, zeroCount: 0 });
    histogram.record(0, 2);
    histogram.record(1, 2);
    expect(reader.read(2)).toEqual({ count: 2, sum: 1, min: 0, max: 1, zeroCount: 1, offset: -1, counts: [1] });
    expect(reader.read(3)).toBeUndefined();
  });

  it("has extremes also for what was recorded while the interval before was being read", () => {
    const histogram = new Histogram();
    const reader = new HistogramReader(histogram);
    histogram.record(100, 1);
    reader.read(1);
    histogram.record(0.25, 1); // the recording thread has not seen the new interval yet
    const late = reader.read(2);
    expect(late?.max).toBeGreaterThanOrEqual(0.25);
    expect(late?.max).toBeLessThan(0.27);
  });

  it("keeps values beyond its range at its ends, and leaves out what is no number", () => {
    const histogram = new Histogram();
    for (const value of [1e9, Number.NaN, -1, 1e-7]) histogram.record(value, 1);
    expect(new HistogramReader(histogram).read(1)).toMatchObject({ count: 2, zeroCount: 1, offset: 191, counts: [1] });
  });
});
