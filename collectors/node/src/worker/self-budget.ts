const WINDOW_MS = 60_000;
const SAMPLE_EVERY_MS = 1000;
const MS_PER_S = 1000;
/** Shares of one core over the window. */
const HALVE_ABOVE = 0.03;
const STOP_ABOVE = 0.06;
const RESUME_BELOW = 0.015;
/** After this long at one level, a lighter one is tried if the thread has become cheap. */
const RESUME_AFTER_MS = 600_000;

/** Share of the probes that is given up. */
export type Throttled = 0 | 0.5 | 1;

/**
 * Keeps the agent's thread within its own budget of processor time. What it used in the last 60 s is compared with
 * 3 % and 6 % of one core over 60 s, so that a thread that has spent its 1.8 s within ten seconds gives up half of
 * its probes then. One level is taken back after ten minutes in which it used less than 1.5 %.
 */
export class SelfBudget {
  throttled: Throttled = 0;
  readonly #used: () => number | undefined;
  readonly #samples: { readonly atMs: number; readonly seconds: number }[] = [];
  #changedMs: number | undefined;

  /** `used`: the thread's processor time since its start, in seconds; undefined where it cannot be read. */
  constructor(used: () => number | undefined) {
    this.#used = used;
  }

  /** To be called often, with the time in milliseconds. */
  keep(nowMs: number): void {
    const samples = this.#samples;
    this.#changedMs ??= nowMs;
    const last = samples.at(-1);
    if (last !== undefined && nowMs - last.atMs < SAMPLE_EVERY_MS) return;
    const seconds = this.#used();
    if (seconds === undefined) return;
    samples.push({ atMs: nowMs, seconds });
    while (nowMs - samples[0]!.atMs > WINDOW_MS) samples.shift();
    const share = (seconds - samples[0]!.seconds) / (WINDOW_MS / MS_PER_S);
    if (share > STOP_ABOVE) this.#change(1, nowMs, seconds);
    else if (share > HALVE_ABOVE && this.throttled === 0) this.#change(0.5, nowMs, seconds);
    else if (this.throttled > 0 && share < RESUME_BELOW && nowMs - this.#changedMs >= RESUME_AFTER_MS) {
      this.#change(this.throttled === 1 ? 0.5 : 0, nowMs, seconds);
    }
  }

  #change(throttled: Throttled, nowMs: number, seconds: number): void {
    if (throttled === this.throttled) return;
    this.throttled = throttled;
    this.#changedMs = nowMs;
    // What was spent at the old level does not count at the new one.
    this.#samples.splice(0, this.#samples.length, { atMs: nowMs, seconds });
  }
}
