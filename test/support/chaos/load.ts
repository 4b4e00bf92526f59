import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { Agent, request } from "undici";
import { bodies, SIGNALS, type Signal } from "./batch.ts";

const ANSWER_WITHIN_MS = 10_000;
const AFTER_FAILURE_MS = 25;
const MAX_RETRY_AFTER_S = 2;

/** What one signal's requests were answered, by batch number. */
export interface Ledger {
  readonly acknowledged: Set<number>;
  /** Answered with an error, and not sent again: nothing of it may be stored. */
  readonly refused: Set<number>;
}

export interface LoadOptions {
  readonly otlp: string;
  readonly senders: number;
  /** Pause of each sender between two batches, in ms. */
  readonly pauseMs: number;
}

/**
 * Senders that count what was acknowledged. Those with an even number behave as OTLP exporters: the same bytes again until
 * somebody answers them with a success; the others send each batch once, whatever becomes of it.
 */
export class Load {
  readonly ledgers: Record<Signal, Ledger> = {
    metrics: { acknowledged: new Set(), refused: new Set() },
    traces: { acknowledged: new Set(), refused: new Set() },
    logs: { acknowledged: new Set(), refused: new Set() },
  };
  readonly statuses = new Map<number, number>();
  /** Statuses of 429 and 503 without a Retry-After. */
  withoutRetryAfter = 0;
  batches = 0;
  private readonly options: LoadOptions;
  private readonly agent = new Agent({ connect: { timeout: 2_000 }, keepAliveTimeout: 60_000 });
  private readonly stopped = new AbortController();
  private readonly running: Promise<void>[];

  constructor(options: LoadOptions) {
    this.options = options;
    // Every pause of every sender listens.
    setMaxListeners(0, this.stopped.signal);
    this.running = Array.from({ length: options.senders }, (_, sender) => this.send(sender));
  }

  get acknowledgedRequests(): number {
    return SIGNALS.reduce((sum, signal) => sum + this.ledgers[signal].acknowledged.size, 0);
  }

  /** No more batches; what is under way is waited for, a retry is not. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await Promise.all(this.running);
    await this.agent.destroy();
  }

  private async send(sender: number): Promise<void> {
    const retries = sender % 2 === 0;
    let atMs = 0;
    while (!this.stopped.signal.aborted) {
      atMs = Math.max(Date.now(), atMs + 1);
      const number = ++this.batches;
      const messages = bodies(number, sender, atMs);
      await Promise.all(
        SIGNALS.map((signal) => this.deliver(signal, number, Buffer.from(JSON.stringify(messages[signal])), retries)),
      );
      await delay(this.options.pauseMs, undefined, { signal: this.stopped.signal }).catch(() => {});
    }
  }

  private async deliver(signal: Signal, number: number, json: Buffer, retries: boolean): Promise<void> {
    const gzip = number % 3 === 0;
    const body = gzip ? gzipSync(json, { level: 1 }) : json;
    const ledger = this.ledgers[signal];
    for (;;) {
      let wait = AFTER_FAILURE_MS;
      try {
        const response = await request(`${this.options.otlp}/v1/${signal}`, {
          method: "POST",
          headers: { "content-type": "application/json", ...(gzip ? { "content-encoding": "gzip" } : {}) },
          body,
          dispatcher: this.agent,
          signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        });
        const { statusCode, headers } = response;
        await response.body.dump();
        this.statuses.set(statusCode, (this.statuses.get(statusCode) ?? 0) + 1);
        if (statusCode === 200) {
          ledger.acknowledged.add(number);
          return;
        }
        if (!retries) ledger.refused.add(number);
        const after = Number(headers["retry-after"]);
        if (statusCode === 429 || statusCode === 503) {
          if (!(after > 0)) this.withoutRetryAfter++;
          else wait = Math.min(MAX_RETRY_AFTER_S, after) * 1000;
        }
      } catch {
        // No answer: whether it counts is open.
      }
      const { signal: stop } = this.stopped;
      // Also where nothing is sent again: nobody should spin on a port that nobody listens on.
      await delay(wait, undefined, { signal: stop }).catch(() => {});
      if (!retries || stop.aborted) return;
    }
  }
}
