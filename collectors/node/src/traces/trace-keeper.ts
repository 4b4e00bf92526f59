import { type Context, type HrTime, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import type { ReadableSpan, Sampler, SamplingResult, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { normalise } from "../main/postgres/statement.ts";
import type { PlainSpan } from "../shared/span.ts";

const SLOW_MS = 1000;
const MAX_TRACES = 2000;
const MAX_SPANS_PER_TRACE = 200;
const RECORD = 1;
const RECORD_AND_SAMPLED = 2;
const RATIO_RANGE = 2 ** 32;

/** Spans are kept until their trace's fate is known: nothing is dropped when it starts. */
interface LiveTrace {
  readonly root: string;
  readonly ended: ReadableSpan[];
  open: number;
  keep: boolean;
  decided: boolean;
}

/**
 * Records every span and marks as sampled the share `ratio` of new traces, by trace id, and those whose caller was
 * sampled: other services decide the same from the header they get.
 */
export function recordingSampler(ratio: number): Sampler {
  return {
    shouldSample(context: Context, traceId: string): SamplingResult {
      const parent = trace.getSpanContext(context);
      const sampled =
        parent === undefined
          ? Number.parseInt(traceId.slice(-8), 16) < ratio * RATIO_RANGE
          : (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
      return { decision: sampled ? RECORD_AND_SAMPLED : RECORD };
    },
    toString: () => `TidemarkRecordingSampler{${ratio}}`,
  };
}

/**
 * Decides at the end of a request whether its trace is kept: when it was sampled, when it or a part of it took more
 * than a second, or when a part failed. At most 2,000 traces of 200 spans wait for that; the oldest gives way.
 */
export class TraceKeeper implements SpanProcessor {
  readonly #live = new Map<string, LiveTrace>();
  readonly #send: (spans: PlainSpan[]) => void;

  constructor(send: (spans: PlainSpan[]) => void) {
    this.#send = send;
  }

  onStart(span: ReadableSpan): void {
    const { traceId, spanId } = span.spanContext();
    const live = this.#live.get(traceId);
    if (live !== undefined) {
      live.open += 1;
      return;
    }
    if (this.#live.size >= MAX_TRACES) for (const [oldest] of this.#live) if (this.#live.delete(oldest)) break;
    this.#live.set(traceId, { root: spanId, ended: [], open: 1, keep: false, decided: false });
  }

  onEnd(span: ReadableSpan): void {
    const { traceId, spanId, traceFlags } = span.spanContext();
    const live = this.#live.get(traceId);
    if (live === undefined) return;
    live.open -= 1;
    live.keep ||=
      (traceFlags & TraceFlags.SAMPLED) !== 0 ||
      span.status.code === SpanStatusCode.ERROR ||
      milliseconds(span.duration) > SLOW_MS;
    if (live.ended.length < MAX_SPANS_PER_TRACE) live.ended.push(span);
    live.decided ||= spanId === live.root;
    if (live.decided) {
      if (live.keep) this.#send(live.ended.map(plain));
      live.ended.length = 0;
    }
    if (live.open <= 0) this.#live.delete(traceId);
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {
    this.#live.clear();
  }
}

/** The span as data that can go to the agent's thread, without what may hold secrets: literals and query strings. */
function plain(span: ReadableSpan): PlainSpan {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    name: span.name,
    kind: span.kind,
    traceId,
    spanId,
    traceFlags: traceFlags | TraceFlags.SAMPLED,
    parentSpanId: span.parentSpanContext?.spanId,
    parentIsRemote: span.parentSpanContext?.isRemote === true,
    startTime: span.startTime,
    endTime: span.endTime,
    status: { code: span.status.code, ...(span.status.message === undefined ? {} : { message: span.status.message }) },
    attributes: safeAttributes(span.attributes),
    events: span.events.map(({ name, time, attributes }) => ({ name, time, attributes: { ...attributes } })),
    scope: { name: span.instrumentationScope.name, version: span.instrumentationScope.version },
  };
}

function safeAttributes(attributes: ReadableSpan["attributes"]): PlainSpan["attributes"] {
  const safe: Record<string, PlainSpan["attributes"][string]> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || key === "url.query" || key === "db.postgresql.values") continue;
    if (typeof value !== "string") safe[key] = value as PlainSpan["attributes"][string];
    else if (key === "db.query.text" || key === "db.statement") safe[key] = normalise(value);
    else if (key === "url.full" || key === "http.url" || key === "http.target")
      safe[key] = value.replace(/[?#].*$/s, "");
    else safe[key] = value;
  }
  return safe;
}

function milliseconds([seconds, nanoseconds]: HrTime): number {
  return seconds * 1000 + nanoseconds / 1e6;
}
