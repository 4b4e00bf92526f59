import type { Clock } from "../../src/clock.ts";

/** A clock that stands until it is moved; what becomes due runs in order. */
export class ManualClock implements Clock {
  private nowMs: number;
  private due: { atMs: number; callback: () => void }[] = [];

  constructor(nowMs = Date.UTC(2026, 0, 31, 12)) {
    this.nowMs = nowMs;
  }

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.due.push(timer);
    return () => {
      this.due = this.due.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    const until = this.nowMs + ms;
    for (;;) {
      const [next] = this.due.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.due = this.due.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.callback();
    }
    this.nowMs = until;
  }
}
