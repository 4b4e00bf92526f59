import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import type { Identity } from "../identity.ts";
import type { AgentOptions } from "../options.ts";
import { targetOf } from "../otlp-options.ts";
import type { PlainSpan } from "../shared/span.ts";

const MAX_QUEUED = 4096;
const MAX_BATCH = 512;
const SUCCESS = 0;

type Export = (spans: ReadableSpan[], done: (result: { code: number }) => void) => void;

/** Exports spans with OpenTelemetry's OTLP/HTTP exporter, which is loaded with the first span if not before. */
export class SpanExport {
  readonly #options: AgentOptions;
  readonly #identity: Identity;
  readonly #dropped: (reason: "spans_queue_full" | "spans_failed", spans: number) => void;
  readonly #queue: PlainSpan[] = [];
  #exporter: Promise<{ send: Export; convert: (span: PlainSpan) => ReadableSpan }> | undefined;
  #running: Promise<void> | undefined;

  constructor(
    options: AgentOptions,
    identity: Identity,
    dropped: (reason: "spans_queue_full" | "spans_failed", spans: number) => void,
  ) {
    this.#options = options;
    this.#identity = identity;
    this.#dropped = dropped;
  }

  /** Loads the exporter now: the export at exit has no time for that. */
  prepare(): void {
    this.#exporter ??= this.#load();
    this.#exporter.catch(() => {}); // told when there is something to send
  }

  add(spans: readonly PlainSpan[]): void {
    const room = MAX_QUEUED - this.#queue.length;
    this.#queue.push(...spans.slice(0, room));
    if (spans.length > room) this.#dropped("spans_queue_full", spans.length - room);
  }

  /** Sends what is queued; one request at a time. Never rejects. */
  flush(): Promise<void> {
    if (this.#queue.length === 0) return this.#running ?? Promise.resolve();
    this.#running ??= this.#sendAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_BATCH);
      try {
        this.#exporter ??= this.#load();
        const { send, convert } = await this.#exporter;
        const result = await new Promise<{ code: number }>((done) => send(batch.map(convert), done));
        if (result.code !== SUCCESS) this.#dropped("spans_failed", batch.length);
      } catch {
        this.#dropped("spans_failed", batch.length);
      }
    }
  }

  async #load(): Promise<{ send: Export; convert: (span: PlainSpan) => ReadableSpan }> {
    const { certificates } = this.#options;
    const { url, headers, timeoutMs } = targetOf(this.#options, "traces");
    const [{ OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
      import("@opentelemetry/exporter-trace-otlp-http"),
      import("@opentelemetry/resources"),
    ]);
    const exporter = new OTLPTraceExporter({
      url,
      headers: { ...headers },
      timeoutMillis: timeoutMs,
      httpAgentOptions: { keepAlive: true, ...(certificates === undefined ? {} : { ca: certificates }) },
    });
    const resource = resourceFromAttributes({ ...this.#identity });
    return {
      send: (spans, done) => exporter.export(spans, done),
      convert: (span) => readable(span, resource),
    };
  }
}

function readable(span: PlainSpan, resource: ReadableSpan["resource"]): ReadableSpan {
  const { traceId, spanId, traceFlags, parentSpanId } = span;
  const [startSeconds, startNs] = span.startTime;
  const [endSeconds, endNs] = span.endTime;
  const ns = (endSeconds - startSeconds) * 1e9 + endNs - startNs;
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => ({ traceId, spanId, traceFlags }),
    ...(parentSpanId === undefined
      ? {}
      : { parentSpanContext: { traceId, spanId: parentSpanId, traceFlags, isRemote: span.parentIsRemote } }),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: [Math.floor(ns / 1e9), ns % 1e9],
    status: span.status,
    attributes: span.attributes,
    links: [],
    events: span.events.map((event) => ({ ...event, droppedAttributesCount: 0 })),
    ended: true,
    resource,
    instrumentationScope: span.scope as ReadableSpan["instrumentationScope"],
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}
