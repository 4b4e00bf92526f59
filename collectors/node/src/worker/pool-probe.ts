import { lookup } from "node:dns";
import { access } from "node:fs";
import { monotonicMs } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";
import { Histogram } from "../shared/histogram.ts";

const MS_PER_S = 1000;

export type Lane = "fast" | "slow";

// The pool is the process's, so probes from this thread wait in the same queue without the main loop's delay.
// getaddrinfo counts as slow I/O in libuv, which may use half of the threads: a queue of its own.
const submit: Readonly<Record<Lane, (done: () => void) => void>> = {
  fast: (done) => access("/", done),
  slow: (done) => lookup("localhost", done),
};

/**
 * Probe of one lane of libuv's thread pool: how long a small task waits. At most one probe is in the queue, so that
 * probing adds nothing to a queue that is long; the ones that were due meanwhile are filled in when it ends.
 * A pool that never answers shows by the age of the pending probe.
 */
export class PoolProbe {
  readonly waits = new Histogram();
  readonly lane: Lane;
  readonly #control: Control;
  readonly #gapMs: number;
  #sentMs: number | undefined;
  #missedMs: number[] = [];

  constructor(lane: Lane, control: Control, perSecond: number) {
    this.lane = lane;
    this.#control = control;
    this.#gapMs = MS_PER_S / perSecond;
    this.#schedule();
  }

  /** Age of the pending probe, in milliseconds; 0 when none is pending. */
  get pendingAgeMs(): number {
    return this.#sentMs === undefined ? 0 : monotonicMs() - this.#sentMs;
  }

  #schedule(): void {
    setTimeout(() => this.#probe(), this.#gapMs * (0.5 + Math.random()));
  }

  #probe(): void {
    this.#schedule();
    const nowMs = monotonicMs();
    if (this.#sentMs !== undefined) {
      this.#missedMs.push(nowMs);
      return;
    }
    this.#sentMs = nowMs;
    submit[this.lane](() => {
      const endMs = monotonicMs();
      const epoch = this.#control.epoch;
      this.waits.record((endMs - nowMs) / MS_PER_S, epoch);
      for (const dueMs of this.#missedMs) this.waits.record(Math.max(0, endMs - dueMs) / MS_PER_S, epoch);
      this.#missedMs = [];
      this.#sentMs = undefined;
    });
  }
}
