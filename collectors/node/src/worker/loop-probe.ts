import { monotonicMs } from "../shared/clock.ts";
import { type Control, PROBE_SLOTS } from "../shared/control.ts";
import { Histogram } from "../shared/histogram.ts";

const MS_PER_S = 1000;

/** The way to the thread that answers. */
interface ProbePort {
  postMessage(sequence: number): void;
}
/** A probe that is on its way. */
export interface Sent {
  readonly sequence: number;
  readonly sentMs: number;
}

/** Follows the probes. Times on the monotonic clock, in milliseconds. */
export interface ProbeObserver {
  answered(sequence: number, answeredMs: number): void;
  /** At each probe: the oldest unanswered one, and how late the probing thread was. */
  turn(nowMs: number, oldest: Sent | undefined, latenessMs: number): void;
}

/**
 * Open-loop probe of the application's event loop: messages at random gaps, each answered by a write to shared
 * memory, so that the wait of a message is what a request arriving at that moment would have waited.
 *
 * Messages go out whether or not earlier ones were answered. Past 256 unanswered ones no more are sent; what they
 * would have measured is filled in with the next answer.
 */
export class LoopProbe {
  readonly waits = new Histogram();
  readonly #control: Control;
  readonly #port: ProbePort;
  readonly #outstanding: Sent[] = [];
  readonly #observer: ProbeObserver | undefined;
  #sequence = 0;
  #unsentMs: number[] = [];

  constructor(control: Control, port: ProbePort, observer?: ProbeObserver) {
    this.#control = control;
    this.#port = port;
    this.#observer = observer;
  }

  /** Age of the oldest unanswered probe, in milliseconds; 0 when all are answered. */
  get oldestAgeMs(): number {
    this.collect();
    const oldest = this.#outstanding[0];
    return oldest === undefined ? 0 : Math.max(0, monotonicMs() - oldest.sentMs);
  }

  /** Records the waits of the probes answered since the last call. */
  collect(): void {
    const epoch = this.#control.epoch;
    let answeredMs: number | undefined;
    while (this.#outstanding.length > 0) {
      const { sequence, sentMs } = this.#outstanding[0]!;
      const at = this.#control.answeredAt(sequence);
      if (at === undefined) return;
      answeredMs = at;
      this.waits.record(Math.max(0, at - sentMs) / MS_PER_S, epoch);
      this.#outstanding.shift();
      this.#observer?.answered(sequence, at);
    }
    if (answeredMs === undefined || this.#unsentMs.length === 0) return;
    for (const dueMs of this.#unsentMs) this.waits.record(Math.max(0, answeredMs - dueMs) / MS_PER_S, epoch);
    this.#unsentMs = [];
  }

  /** Sends a probe: to be called at random moments. */
  probe(nowMs: number, latenessMs: number): void {
    this.collect();
    this.#observer?.turn(nowMs, this.#outstanding[0], latenessMs);
    if (this.#outstanding.length >= PROBE_SLOTS - 1) this.#unsentMs.push(nowMs);
    else {
      this.#sequence = (this.#sequence + 1) & 0x7fffffff || 1;
      this.#outstanding.push({ sequence: this.#sequence, sentMs: nowMs });
      this.#port.postMessage(this.#sequence);
    }
  }
}
