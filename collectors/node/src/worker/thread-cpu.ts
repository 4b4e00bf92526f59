import { readFileSync, readlinkSync } from "node:fs";
import type { Control } from "../shared/control.ts";
import { Histogram } from "../shared/histogram.ts";
import { Sampled } from "../shared/value.ts";

const NS_PER_S = 1e9;
const MS_PER_S = 1000;
const MIN_SHARE_SECONDS = 0.03;

/** Time a thread ran and time it was ready but had no core, in seconds, since its start. */
export interface ThreadTimes {
  readonly running: number;
  readonly runQueue: number;
  readonly slices: number;
}

/** A moment on this thread's clock, in milliseconds, and the totals at it. */
export interface CpuMark extends ThreadTimes {
  readonly atMs: number;
}

/** Shares of a thread's time, from 0 to 1. */
export interface CpuShares {
  readonly running: number;
  readonly waiting: number;
}

/**
 * The main thread's use of, and wait for, a processor core. Linux with scheduler statistics; elsewhere no numbers.
 * The kernel counts waits and their sum, so each 250 ms tick's waits are recorded as that many of their mean.
 */
export class MainThreadCpu {
  readonly waits = new Histogram();
  readonly running = new Sampled();
  readonly waiting = new Sampled();
  readonly #control: Control;
  #last: CpuMark | undefined;

  constructor(control: Control) {
    this.#control = control;
  }

  /** Totals since the thread's start. */
  get times(): ThreadTimes | undefined {
    return this.#last;
  }

  /** Where it stands now, for {@link sharesSince}; undefined where that cannot be asked. */
  mark(): CpuMark | undefined {
    const times = threadTimes(process.pid);
    return times === undefined ? undefined : { ...times, atMs: performance.now() };
  }

  /** Shares of the time since then, from 0 to 1; undefined when that is too short to tell. */
  sharesSince(mark: CpuMark | undefined): CpuShares | undefined {
    const now = this.mark();
    if (mark === undefined || now === undefined) return undefined;
    const seconds = (now.atMs - mark.atMs) / MS_PER_S;
    if (seconds < MIN_SHARE_SECONDS) return undefined;
    return { running: (now.running - mark.running) / seconds, waiting: (now.runQueue - mark.runQueue) / seconds };
  }

  /** The last tick, for {@link sharesSince}. */
  get lastTick(): CpuMark | undefined {
    return this.#last;
  }

  /** To be called every 250 ms. */
  tick(): void {
    const now = this.mark();
    const last = this.#last;
    this.#last = now;
    if (now === undefined || last === undefined) return;
    const epoch = this.#control.epoch;
    const seconds = (now.atMs - last.atMs) / MS_PER_S;
    const waited = Math.max(0, now.runQueue - last.runQueue);
    const slices = Math.max(0, now.slices - last.slices);
    if (slices > 0) this.waits.record(waited / slices, epoch, slices);
    this.running.sample(Math.min(1, (now.running - last.running) / seconds), epoch);
    this.waiting.sample(Math.min(1, waited / seconds), epoch);
  }
}

/** Reads a thread of this process. Source: Linux, Documentation/scheduler/sched-stats. */
export function threadTimes(thread: number): ThreadTimes | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const text = readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8");
    const [running = 0, runQueue = 0, slices = 0] = text.split(" ").map(Number);
    if (running === 0) return undefined; // the kernel was built without these statistics
    return { running: running / NS_PER_S, runQueue: runQueue / NS_PER_S, slices };
  } catch {
    return undefined;
  }
}

/** Number of the calling thread in the operating system; undefined where that is not known. */
export function ownThread(): number | undefined {
  try {
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  } catch {
    return undefined;
  }
}
