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
  // A number in a form that Node leaves to getaddrinfo, which then asks nobody, not even the hosts file.
  slow: (done) => lookup("127.1", { family: 4 }, done),
};

/** Bounds what probing can add to a long queue; at 10 probes a second it is reached by a wait of 1.6 s. */
const MAX_OUTSTANDING = 16;

/**
 * Open-loop probe of one lane of libuv's thread pool: how long a small task waits that arrives at a random moment, whatever became
 * of those before it. Past {@link MAX_OUTSTANDING} unanswered probes none is sent; those that were due are filled in when the
 * youngest ends, behind which they would have stood: a lower bound. A pool that never answers shows by the age of the oldest.
 */
export class PoolProbe {
  readonly waits = new Histogram();
  readonly lane: Lane;
  readonly #control: Control;
  /** Probes without an answer, oldest first, each with the moments when further ones were due but not sent. */
  readonly #outstanding: { readonly sentMs: number; readonly missedMs: number[] }[] = [];

  constructor(lane: Lane, control: Control) {
    this.lane = lane;
    this.#control = control;
  }

  /** Age of the oldest pending probe, in milliseconds; 0 when none is pending. */
  get pendingAgeMs(): number {
    const oldest = this.#outstanding[0];
    return oldest === undefined ? 0 : monotonicMs() - oldest.sentMs;
  }

  /** Submits a task: to be called at random moments. */
  probe(nowMs: number): void {
    if (this.#outstanding.length >= MAX_OUTSTANDING) {
      this.#outstanding.at(-1)?.missedMs.push(nowMs);
      return;
    }
    const probe = { sentMs: nowMs, missedMs: [] as number[] };
    this.#outstanding.push(probe);
    submit[this.lane](() => {
      const endMs = monotonicMs();
      const epoch = this.#control.epoch;
      this.#outstanding.splice(this.#outstanding.indexOf(probe), 1);
      this.waits.record((endMs - probe.sentMs) / MS_PER_S, epoch);
      for (const dueMs of probe.missedMs) this.waits.record(Math.max(0, endMs - dueMs) / MS_PER_S, epoch);
    });
  }
}
