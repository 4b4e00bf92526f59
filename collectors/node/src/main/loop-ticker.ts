import { type IntervalHistogram, monitorEventLoopDelay, performance } from "node:perf_hooks";
import v8 from "node:v8";
import { monotonicMs } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";
import type { Guard } from "./guard.ts";

/** The grid on which busy and waiting are sampled, in milliseconds. */
export const TICK_MS = 250;
const TICKS_PER_SECOND = 1000 / TICK_MS;
const DELAY_RESOLUTION_MS = 10;
const NS_PER_S = 1e9;

/**
 * Every 250 ms: event-loop utilisation for the worker, and what others ask to be sampled on that grid.
 * Returns a function that stops it.
 */
export function startLoopTicker(control: Control, guard: Guard, everyTick: () => void, everySecond: () => void) {
  let last = performance.eventLoopUtilization();
  let ticks = 0;
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const tick = guard(() => {
    const now = performance.eventLoopUtilization();
    const active = now.active - last.active;
    const total = active + now.idle - last.idle;
    if (total > 0) control.tick(monotonicMs(), now.active, now.idle, Math.min(1, active / total));
    last = now;
    everyTick();
    ticks += 1;
    if (ticks % TICKS_PER_SECOND !== 0) return;
    readHeapSpaces(control);
    const epoch = control.epoch;
    if (epoch !== control.delayEpoch && delay.count > 0) {
      control.setDelays(epoch, delaysInSeconds(delay));
      delay.reset();
    }
    everySecond();
  });
  const timer = setInterval(tick, TICK_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}

/** Names of the heap spaces, in the order in which their sizes are shared. */
export function heapSpaceNames(): string[] {
  return v8.getHeapSpaceStatistics().map(({ space_name }) => space_name);
}

function readHeapSpaces(control: Control): void {
  for (const [index, space] of v8.getHeapSpaceStatistics().entries()) {
    control.setHeapSpace(index, space.space_used_size, space.space_size);
  }
}

/**
 * The timer's statistics net of its own period: `monitorEventLoopDelay` reports the gap between two ticks, so an
 * idle process would show the resolution itself, not zero. Order: DELAY_STATISTICS.
 */
function delaysInSeconds(delay: IntervalHistogram): number[] {
  const net = (gapNs: number) => Math.max(0, gapNs / NS_PER_S - DELAY_RESOLUTION_MS / 1000);
  const percentile = (share: number) => net(delay.percentile(share));
  const stddev = delay.stddev / NS_PER_S;
  return [
    net(delay.min),
    net(delay.max),
    net(delay.mean),
    Number.isFinite(stddev) ? stddev : 0,
    percentile(50),
    percentile(90),
    percentile(99),
  ];
}
