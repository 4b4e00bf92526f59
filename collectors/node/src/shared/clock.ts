const NS_PER_MS = 1e6;

// `performance.now()` counts from each thread's own start; the difference to the process-wide monotonic clock is fixed.
const originMs = Number(process.hrtime.bigint()) / NS_PER_MS - performance.now();

/** The monotonic clock that all threads of the process share, in milliseconds. */
export function monotonicMs(): number {
  return performance.now() + originMs;
}
