import { ClickHouseException } from "./exception.ts";

/**
 * Lets `slots` run at once and `queue` wait; the next one is refused with ClickHouse's TOO_MANY_SIMULTANEOUS_QUERIES,
 * so that readers cannot pile up memory or starve the ingest.
 */
export class Gate {
  running = 0;
  refused = 0;
  private readonly waiters: (() => void)[] = [];
  private readonly slots: number;
  private readonly queue: number;

  constructor(slots: number, queue: number) {
    this.slots = slots;
    this.queue = queue;
  }

  get waiting(): number {
    return this.waiters.length;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= this.slots) {
      if (this.waiters.length >= this.queue) {
        this.refused++;
        throw new ClickHouseException(
          202,
          `Too many simultaneous queries: ${this.running} run and ${this.waiters.length} wait`,
          "TOO_MANY_SIMULTANEOUS_QUERIES",
        );
      }
      // The one that leaves hands its slot over, so `running` stays.
      await new Promise<void>((resolve) => this.waiters.push(resolve));
    } else {
      this.running++;
    }
    try {
      return await work();
    } finally {
      const heir = this.waiters.shift();
      if (heir === undefined) this.running--;
      else heir();
    }
  }
}
