import { lookup as resolve } from "node:dns";
import type http from "node:http";
import type { LookupFunction } from "node:net";
import { gzipSync } from "node:zlib";
import type { AgentOptions } from "../options.ts";
import { type Target, targetOf } from "../otlp-options.ts";

const MAX_QUEUE_BYTES = 8 * 1024 * 1024;
const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;
const ADDRESS_LIFE_MS = 60_000;
// Source: OTLP specification 1.7, failures that may be retried.
const RETRYABLE = new Set([408, 429, 502, 503, 504]);

export type Signal = "metrics" | "logs";

interface Entry {
  readonly signal: Signal;
  readonly body: Buffer;
  readonly records: number;
}

/** How the exports of one signal are sent. */
interface Way extends Target {
  readonly agent: http.Agent;
  readonly transport: typeof http.request;
}

/** What the exporter tells about itself. */
export interface ExportObserver {
  exported(seconds: number): void;
  dropped(reason: "queue_full" | "rejected", records: number): void;
  failing(failing: boolean): void;
}

/**
 * Sends OTLP/HTTP requests one after the other, oldest first, from a queue bounded to 8 MB. Failures that may pass
 * are tried again after 1 to 60 s with jitter, or when the server says (`Retry-After`); the oldest data goes first
 * when the queue is full. Never rejects.
 */
export class Exporter {
  readonly #compress: boolean;
  readonly #observer: ExportObserver;
  readonly #ways: Readonly<Record<Signal, Way>>;
  readonly #queue: Entry[] = [];
  readonly #lookup = cachingLookup();
  #queuedBytes = 0;
  #draining: Promise<void> | undefined;
  #backoffMs = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: AgentOptions, observer: ExportObserver) {
    this.#compress = options.compress;
    this.#observer = observer;
    this.#ways = { metrics: wayOf(options, "metrics"), logs: wayOf(options, "logs") };
  }

  /** Queues an encoded request. Compression is synchronous on purpose: zlib's pool is one of the things measured. */
  send(signal: Signal, message: Buffer, records: number): void {
    const entry = { signal, body: this.#compress ? gzipSync(message, { level: 3 }) : message, records };
    this.#queue.push(entry);
    this.#queuedBytes += entry.body.length;
    while (this.#queuedBytes > MAX_QUEUE_BYTES && this.#queue.length > 1) {
      const oldest = this.#draining !== undefined ? this.#queue.splice(1, 1)[0]! : this.#queue.shift()!;
      this.#queuedBytes -= oldest.body.length;
      this.#observer.dropped("queue_full", oldest.records);
    }
    if (this.#retry === undefined) void this.#drain();
  }

  /** Sends what is queued without waiting for a backoff; resolves when done or when a request fails. */
  async flush(): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#drain();
  }

  #drain(): Promise<void> {
    this.#draining ??= this.#sendAll().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const entry = this.#queue[0]!;
      const startedMs = performance.now();
      const { outcome, retryAfterMs } = await this.#post(entry);
      if (outcome === "retry") {
        this.#observer.failing(true);
        this.#scheduleRetry(retryAfterMs);
        break;
      }
      this.#observer.failing(false);
      this.#backoffMs = 0;
      this.#observer.exported((performance.now() - startedMs) / 1000);
      if (outcome === "rejected") this.#observer.dropped("rejected", entry.records);
      const at = this.#queue.indexOf(entry);
      if (at >= 0) {
        this.#queue.splice(at, 1);
        this.#queuedBytes -= entry.body.length;
      }
    }
  }

  #scheduleRetry(retryAfterMs: number | undefined): void {
    this.#backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, 2 * this.#backoffMs));
    const jittered = this.#backoffMs * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        void this.#drain();
      },
      Math.max(jittered, Math.min(retryAfterMs ?? 0, MAX_BACKOFF_MS)),
    );
  }

  #post(entry: Entry): Promise<{ outcome: "ok" | "rejected" | "retry"; retryAfterMs?: number }> {
    const { url, headers, timeoutMs, agent, transport } = this.#ways[entry.signal];
    return new Promise((done) => {
      const request = transport(
        url,
        {
          method: "POST",
          agent,
          lookup: this.#lookup,
          timeout: timeoutMs,
          headers: {
            ...headers,
            "content-type": "application/x-protobuf",
            ...(this.#compress ? { "content-encoding": "gzip" } : {}),
            "content-length": entry.body.length,
          },
        },
        (response) => {
          response.resume();
          response.on("error", () => done({ outcome: "retry" }));
          response.on("end", () => {
            const status = response.statusCode ?? 0;
            const after = Number(response.headers["retry-after"]);
            if (status >= 200 && status < 300) done({ outcome: "ok" });
            else if (RETRYABLE.has(status)) {
              done({ outcome: "retry", ...(after > 0 ? { retryAfterMs: after * 1000 } : {}) });
            } else done({ outcome: "rejected" });
          });
        },
      );
      request.on("timeout", () => request.destroy(new Error("timeout")));
      request.on("error", () => done({ outcome: "retry" }));
      request.end(entry.body);
    });
  }
}

function wayOf(options: AgentOptions, signal: Signal): Way {
  const target = targetOf(options, signal);
  // An import of node:http evaluates all that it exports, on Node 22 and 24 also its WebSocket: 14 MB.
  const { Agent, request } = process.getBuiltinModule(target.url.startsWith("https:") ? "node:https" : "node:http");
  const agent = new Agent({ keepAlive: true, maxSockets: 2, ca: options.certificates });
  return { ...target, agent, transport: request };
}

/** Name resolution that remembers: getaddrinfo runs in the thread pool, which may be the very thing that is stuck. */
function cachingLookup(): LookupFunction {
  const known = new Map<string, { address: string; family: number; untilMs: number }>();
  return (hostname, options, callback) => {
    const answer = (address: string, family: number) =>
      options.all === true ? callback(null, [{ address, family }]) : callback(null, address, family);
    const cached = known.get(hostname);
    const refresh = (first: boolean) =>
      resolve(hostname, { family: options.family ?? 0 }, (error, address, family) => {
        if (error === null) known.set(hostname, { address, family, untilMs: Date.now() + ADDRESS_LIFE_MS });
        if (!first) return;
        if (error === null) answer(address, family);
        else callback(error, "", 0);
      });
    if (cached === undefined) return refresh(true);
    if (cached.untilMs < Date.now()) {
      cached.untilMs = Date.now() + ADDRESS_LIFE_MS;
      refresh(false);
    }
    answer(cached.address, cached.family);
  };
}
