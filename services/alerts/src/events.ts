import type { Clock } from "./clock.ts";

/** A row of `alert_events`, as JSONEachRow. Times as ClickHouse reads them: `2026-01-31 12:00:00.000`, UTC. */
export interface AlertEvent {
  ts: string;
  rule_id: string;
  title: string;
  severity: string;
  state: string;
  fingerprint: string;
  service: string;
  runtime: string;
  instance: string;
  labels: Record<string, string>;
  value: number | null;
  summary: string;
  started_at: string;
}

/** Rows kept while ClickHouse is away; the oldest go first when there are more. */
const EVENT_LIMIT = 10_000;
const BATCH_ROWS = 500;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export interface EventLogOptions {
  /** Inserts rows; the same token for the same rows, so that a repeated insert is stored once. */
  insert(rows: readonly AlertEvent[], token: string): Promise<void>;
  clock: Clock;
  onStored(rows: number): void;
  onDropped(rows: number): void;
  onRetry(detail: string, delayMs: number): void;
}

/** Changes of state on their way to `alert_events`: kept until ClickHouse has them. */
export class EventLog {
  private readonly options: EventLogOptions;
  private readonly queue: AlertEvent[] = [];
  private attempts = 0;
  private batch: { rows: AlertEvent[]; token: string } | undefined;
  private sending: Promise<void> | undefined;
  private cancelRetry: (() => void) | undefined;
  private closed = false;

  constructor(options: EventLogOptions) {
    this.options = options;
  }

  get length(): number {
    return this.queue.length + (this.batch?.rows.length ?? 0);
  }

  pending(): AlertEvent[] {
    return [...(this.batch?.rows ?? []), ...this.queue];
  }

  push(events: readonly AlertEvent[]): void {
    this.queue.push(...events);
    const over = this.queue.length - EVENT_LIMIT;
    if (over > 0) {
      this.queue.splice(0, over);
      this.options.onDropped(over);
    }
    this.pump();
  }

  /** One last attempt for what is left, of at most `graceMs`; what still waits then stays in `pending()`. */
  async close(graceMs: number): Promise<void> {
    this.closed = true;
    this.cancelRetry?.();
    const last = Promise.resolve(this.sending).then(() => (this.length > 0 ? this.attempt() : undefined));
    await Promise.race([last, new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref())]);
  }

  private pump(): void {
    if (this.closed || this.sending || this.cancelRetry || this.length === 0) return;
    this.sending = this.attempt().finally(() => {
      this.sending = undefined;
      this.pump();
    });
  }

  private async attempt(): Promise<void> {
    if (!this.batch) {
      const rows = this.queue.splice(0, BATCH_ROWS);
      const first = rows[0]!;
      this.batch = {
        rows,
        token: `alerts:${first.rule_id}:${first.fingerprint}:${first.state}:${first.ts}:${rows.length}`,
      };
    }
    const { rows, token } = this.batch;
    try {
      await this.options.insert(rows, token);
      this.batch = undefined;
      this.attempts = 0;
      this.options.onStored(rows.length);
    } catch (error) {
      if (this.closed) return;
      const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.attempts);
      this.attempts += 1;
      this.options.onRetry(error instanceof Error ? error.message : String(error), delayMs);
      this.cancelRetry = this.options.clock.after(delayMs, () => {
        this.cancelRetry = undefined;
        this.pump();
      });
    }
  }
}

/** Milliseconds since the epoch as ClickHouse's DateTime64(3, 'UTC') text. */
export const clickhouseTime = (ms: number): string => new Date(ms).toISOString().replace("T", " ").replace("Z", "");
