import { expect, test } from "vitest";
import { toClockSteps } from "../../src/rows/clock.ts";

test("a time is kept within half a nanosecond, and a second time changes nothing", () => {
  for (const seconds of [0, 1e-9, 0.00012148999849159736, 0.3, 1.0325913689993322, 86_400.123456789, -0.25]) {
    const kept = toClockSteps(seconds);
    expect(Math.abs(kept - seconds)).toBeLessThanOrEqual(0.5e-9);
    expect(toClockSteps(kept)).toBe(kept);
  }
});

test("sums and differences of kept times are exact", () => {
  const times = Array.from({ length: 1000 }, (_, i) => toClockSteps((i + 0.1) / 7));
  const sum = times.reduce((a, b) => a + b, 0);
  expect(times.toReversed().reduce((a, b) => a + b, 0)).toBe(sum);
  expect(times.reduce((rest, time) => rest - time, sum)).toBe(0);
});

test("a time longer than a Float64 has such steps for, and what is no number, stays as it is", () => {
  for (const seconds of [1e9 + 1 / 3, Number.MAX_VALUE, Number.POSITIVE_INFINITY])
    expect(toClockSteps(seconds)).toBe(seconds);
  expect(toClockSteps(Number.NaN)).toBeNaN();
});

test("from 2^22 s on, where steps of a Float64 are as coarse, a total changes no more", () => {
  for (let i = 0; i < 1000; i++) {
    const total = 2 ** 22 * (1 + i / 999 + (i * Math.PI) / 1e6);
    expect(toClockSteps(total)).toBe(total);
  }
});
