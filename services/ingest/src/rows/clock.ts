/** 2^30 per second: steps of 0.93 ns, finer than any clock that a runtime offers. */
const STEPS = 2 ** 30;
const MAX_EXACT = 2 ** 53;

/**
 * A time in seconds as histograms and the subject tables keep it: the nearest 2^-30 s, within 0.5 ns. What lies below comes
 * from adding and subtracting floats, and it does not compress; trailing zero bits do (npm run bench:storage). Sums and
 * differences of such times are again such times, exactly. Unchanged from 97 days on, where a Float64 is coarser, and where
 * it is no number.
 */
export function toClockSteps(seconds: number): number {
  const scaled = seconds * STEPS;
  return Math.abs(scaled) <= MAX_EXACT ? Math.round(scaled) / STEPS : seconds;
}
