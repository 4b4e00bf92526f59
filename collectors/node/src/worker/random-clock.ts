import { monotonicMs } from "../shared/clock.ts";

const MS_PER_S = 1000;
/** Turns per second even when all that is asked for is rarer. */
const MIN_TURNS = 10;
/** Turns per second when nothing is done at random: for what has a period. */
const RESTING_TURNS = 4;

/** What is done at some of the clock's turns: now, on the monotonic clock, and how late this thread is, in milliseconds. */
export type Turn = (nowMs: number, latenessMs: number) => void;

interface Job {
  readonly turn: Turn;
  /** Share of the turns, drawn anew at each; undefined for a job with a period. */
  readonly share: number | undefined;
  readonly periodMs: number;
  dueMs: number;
}

/**
 * One timer for all that this thread does many times a second: waking a thread costs ten times what a probe does.
 * Turns come at random gaps, from half to one and a half times the mean, so that no periodic work keeps in step.
 * A probe that is rarer than the turns draws at each turn whether it is its own: drawn without a look at anything
 * that is measured, so that its moments are as random as the clock's.
 */
export class RandomClock {
  readonly #gapMs: number;
  readonly #perSecond: number;
  readonly #jobs: Job[] = [];
  #dueMs = 0;
  /** Share of what is done at random that is done, from 0 to 1. */
  pace = 1;

  /** Turns as often as the most frequent of the given rates, per second. */
  constructor(...perSecond: number[]) {
    this.#perSecond = Math.max(MIN_TURNS, ...perSecond);
    this.#gapMs = MS_PER_S / this.#perSecond;
    this.#schedule();
  }

  /** At random moments, this many per second on average. */
  atRandom(perSecond: number, turn: Turn): void {
    this.#jobs.push({ turn, share: perSecond / this.#perSecond, periodMs: 0, dueMs: 0 });
  }

  /** At the first turn after each multiple of the period; once where the thread missed some. */
  every(periodMs: number, turn: Turn): void {
    this.#jobs.push({ turn, share: undefined, periodMs, dueMs: monotonicMs() + periodMs });
  }

  #schedule(): void {
    const meanMs = this.pace > 0 ? this.#gapMs / this.pace : MS_PER_S / RESTING_TURNS;
    const gapMs = meanMs * (0.5 + Math.random());
    this.#dueMs = monotonicMs() + gapMs;
    setTimeout(() => this.#turn(), gapMs);
  }

  #turn(): void {
    const nowMs = monotonicMs();
    const latenessMs = nowMs - this.#dueMs;
    this.#schedule();
    for (const job of this.#jobs) {
      if (job.share === undefined) {
        if (nowMs < job.dueMs) continue;
        job.dueMs = Math.max(job.dueMs + job.periodMs, nowMs);
      } else if (this.pace === 0 || (job.share < 1 && Math.random() >= job.share)) continue;
      job.turn(monotonicMs(), latenessMs);
    }
  }
}
