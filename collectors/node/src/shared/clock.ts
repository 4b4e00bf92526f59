const NS_PER_MS = 1e6;

/**
 * What is to be added to this thread's `performance.now()`, which counts from the thread's own start, for the
 * monotonic clock that all threads of the process share; milliseconds.
 */
export const MONOTONIC_ORIGIN_MS = Number(process.hrtime.bigint()) / NS_PER_MS - performance.now();

/** The monotonic clock that all threads of the process share, in milliseconds. */
export function monotonicMs(): number {
  return performance.now() + MONOTONIC_ORIGIN_MS;
}
