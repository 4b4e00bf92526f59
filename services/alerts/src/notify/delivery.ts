import type { Clock } from "../clock.ts";

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** Messages kept for a target that does not answer; the oldest go first when there are more. */
export const QUEUE_LIMIT = 1000;

export interface Message {
  /** What the message is about; for log lines. */
  subject: string;
  body: unknown;
}

/** The target refuses this message for good: trying again cannot help. */
export class Refused extends Error {}

export interface DeliveryOptions {
  /** Name without secrets, for logs and metrics. */
  target: string;
  /** @throws Refused when the target says no for good; any other error is tried again. */
  send(body: unknown, signal: AbortSignal): Promise<void>;
  clock: Clock;
  /** Called after the queue became shorter, so that the state on disk follows. */
  onSettled(outcome: "delivered" | "refused" | "dropped", message: Message, detail: string): void;
  onRetry(message: Message, detail: string, delayMs: number): void;
  limit?: number;
}

/** Messages to one target, in order, one at a time, tried again with growing pauses until they are taken. */
export class Delivery {
  readonly target: string;
  private readonly options: DeliveryOptions;
  private readonly queue: Message[] = [];
  private readonly abort = new AbortController();
  private attempts = 0;
  private sending: Promise<void> | undefined;
  private cancelRetry: (() => void) | undefined;
  private closed = false;

  constructor(options: DeliveryOptions) {
    this.options = options;
    this.target = options.target;
  }

  get length(): number {
    return this.queue.length;
  }

  /** Undelivered messages, oldest first. */
  pending(): Message[] {
    return [...this.queue];
  }

  push(message: Message): void {
    this.queue.push(message);
    while (this.queue.length > (this.options.limit ?? QUEUE_LIMIT)) {
      // The head may be on its way; dropping the one behind it keeps the order of what is left.
      const [dropped] = this.queue.splice(this.sending ? 1 : 0, 1);
      if (dropped) this.options.onSettled("dropped", dropped, "the queue is full");
    }
    this.pump();
  }

  /** Stops sending; what is left stays in `pending()`. Waits for the attempt on its way, at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.closed = true;
    this.cancelRetry?.();
    if (!this.sending) return;
    const timer = setTimeout(() => this.abort.abort(), graceMs);
    await this.sending;
    clearTimeout(timer);
  }

  private pump(): void {
    if (this.closed || this.sending || this.cancelRetry || this.queue.length === 0) return;
    const message = this.queue[0]!;
    this.sending = this.attempt(message).finally(() => {
      this.sending = undefined;
      this.pump();
    });
  }

  private async attempt(message: Message): Promise<void> {
    try {
      await this.options.send(message.body, this.abort.signal);
      this.settle("delivered", message, "");
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      if (error instanceof Refused) {
        this.settle("refused", message, detail);
        return;
      }
      if (this.closed) return;
      const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.attempts);
      this.attempts += 1;
      this.options.onRetry(message, detail, delayMs);
      this.cancelRetry = this.options.clock.after(delayMs, () => {
        this.cancelRetry = undefined;
        this.pump();
      });
    }
  }

  private settle(outcome: "delivered" | "refused", message: Message, detail: string): void {
    this.attempts = 0;
    this.queue.shift();
    this.options.onSettled(outcome, message, detail);
  }
}
