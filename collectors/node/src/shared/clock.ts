const NS_PER_MS = 1e6;
const READINGS = 20;

/** What this thread's `performance.now()`, which counts from its own start, is behind the process-wide clock, in milliseconds. */
export const MONOTONIC_ORIGIN_MS = origin();

/** The monotonic clock that all threads of the process share, in milliseconds. */
export function monotonicMs(): number {
  return performance.now() + MONOTONIC_ORIGIN_MS;
}

/** Of several readings the closest: one in which the thread loses its core would put its clock off by all that time. */
function origin(): number {
  let closest = Number.POSITIVE_INFINITY;
  let difference = 0;
  for (let reading = 0; reading < READINGS; reading++) {
    const beforeMs = performance.now();
    const sharedMs = Number(process.hrtime.bigint()) / NS_PER_MS;
    const afterMs = performance.now();
    if (afterMs - beforeMs >= closest) continue;
    closest = afterMs - beforeMs;
    difference = sharedMs - (beforeMs + afterMs) / 2;
  }
  return difference;
}
