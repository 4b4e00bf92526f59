import { quantile } from "./tidemark.ts";

const EVERY_MS = 20;

/**
 * How late this process, which does hardly anything, wakes from its sleeps: what the machine keeps from everybody, be it for other processes
 * or, under a hypervisor, for other machines. Independent of what the services tell of themselves.
 */
export class Machine {
  private readonly wakes: { at: number; lateMs: number }[] = [];
  private readonly timer: NodeJS.Timeout;

  constructor() {
    let due = performance.now() + EVERY_MS;
    this.timer = setInterval(() => {
      this.wakes.push({ at: Date.now(), lateMs: Math.max(0, performance.now() - due) });
      due = performance.now() + EVERY_MS;
    }, EVERY_MS);
  }

  /** 95th percentile of the lateness between two moments (milliseconds since 1970), in seconds; NaN where nothing was measured. */
  latenessP95(from: number, to: number): number {
    const within = this.wakes.filter(({ at }) => at >= from && at <= to);
    return (
      quantile(
        within.map(({ lateMs }) => lateMs),
        0.95,
      ) / 1000
    );
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
