/** Work that may run in one turn of the event loop before sockets and timers are served again. */
const BUDGET_MS = 5;

interface Waiting {
  readonly run: () => void;
}

/**
 * Gives each source its turn at the one thing they all share, the thread that decodes: work that must wait is taken from
 * the sources in rotation, one piece each, so that a source with a thousand requests waiting delays another's by one.
 */
export class Turns {
  private readonly queues = new Map<string, Waiting[]>();
  private spentMs = 0;
  private scheduled = false;

  /** Runs `work` at once when nothing waits and the turn has time left, else when its source's turn comes. */
  run<T>(source: string, work: () => T): Promise<T> {
    if (this.queues.size === 0 && this.spentMs < BUDGET_MS) {
      this.schedule();
      return new Promise((resolve) => resolve(this.timed(work)));
    }
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(this.timed(work));
        } catch (error) {
          reject(error);
        }
      };
      const queue = this.queues.get(source);
      if (queue === undefined) this.queues.set(source, [{ run }]);
      else queue.push({ run });
      this.schedule();
    });
  }

  private timed<T>(work: () => T): T {
    const started = performance.now();
    try {
      return work();
    } finally {
      this.spentMs += performance.now() - started;
    }
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.spentMs = 0;
      while (this.queues.size > 0 && this.spentMs < BUDGET_MS) this.next();
      if (this.queues.size > 0) this.schedule();
    });
  }

  private next(): void {
    const [source, queue] = this.queues.entries().next().value!;
    // To the end of the rotation: a Map keeps the order in which its keys came.
    this.queues.delete(source);
    const waiting = queue.shift()!;
    if (queue.length > 0) this.queues.set(source, queue);
    waiting.run();
  }
}
