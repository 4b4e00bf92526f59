import type { Attributes, Context, HrTime, SpanContext, TraceAPI } from "@opentelemetry/api";
import type { ReadableSpan, Sampler, SamplingResult, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { normalise } from "../main/databases/statement.ts";
import type { RequestEnd } from "../main/request-context.ts";
import type { PlainSpan } from "../shared/span.ts";
import { AGENT_VERSION } from "../shared/version.ts";
import type { RequestSpan, SpanHome } from "./request-span.ts";

const SLOW_MS = 1000;
const MAX_TRACES = 2000;
const MAX_SPANS = 20_000;
const MAX_SPANS_PER_TRACE = 2000;
// The enumerations of @opentelemetry/api, which is loaded with the trace tier only.
const SAMPLED = 1;
const ERROR_STATUS = 2;
const RECORD = 1;
const RECORD_AND_SAMPLED = 2;
const RATIO_RANGE = 2 ** 32;
const INTERNAL_KIND = 0;
const SERVER_KIND = 1;
/** Attributes that have, or by some frameworks' instrumentations may have, a query string. */
const URLS = new Set(["url.full", "url.path", "http.url", "http.target"]);
/** A value in an error's text, on one line: between quotes, or PostgreSQL's `(name)=(value)`. */
const QUOTED = /"(?:[^"\\\n]|\\.)*"|(?<!\w)'(?:[^'\\\n]|\\.|'')*'|(?<==)\([^)\n]*\)/g;

/** Spans are kept until their trace's fate is known: nothing is dropped when it starts. */
interface LiveTrace {
  readonly root: string;
  readonly ended: (() => PlainSpan)[];
  open: number;
  keep: boolean;
  decided: boolean;
}

/**
 * Records every span and marks as sampled the share `ratio` of new traces, by trace id, and those whose caller was
 * sampled: other services decide the same from the header they get.
 */
export function recordingSampler(ratio: number, trace: TraceAPI): Sampler {
  return {
    shouldSample(context: Context, traceId: string): SamplingResult {
      const parent = trace.getSpanContext(context);
      const sampled =
        parent === undefined
          ? Number.parseInt(traceId.slice(-8), 16) < ratio * RATIO_RANGE
          : (parent.traceFlags & SAMPLED) !== 0;
      return { decision: sampled ? RECORD_AND_SAMPLED : RECORD };
    },
    toString: () => `TidemarkRecordingSampler{${ratio}}`,
  };
}

/**
 * Decides at the end of a request whether its trace is kept: when it was sampled, when it or a part of it took more
 * than a second or failed, or when it repeated a statement. At most 2,000 traces wait for that, with 20,000 spans
 * and 2,000 of one trace; the oldest trace gives way.
 */
export class TraceKeeper implements SpanProcessor, SpanHome {
  readonly ratio: number;
  readonly #live = new Map<string, LiveTrace>();
  readonly #send: (spans: PlainSpan[]) => void;
  readonly #attributes: (end: RequestEnd) => Attributes;
  #waiting = 0;

  constructor(ratio: number, attributes: (end: RequestEnd) => Attributes, send: (spans: PlainSpan[]) => void) {
    this.ratio = ratio;
    this.#attributes = attributes;
    this.#send = send;
  }

  onStart(span: ReadableSpan): void {
    const { traceId, spanId } = span.spanContext();
    this.#started(traceId, spanId);
  }
  named(span: RequestSpan): void {
    const { traceId, spanId } = span.spanContext();
    this.#started(traceId, spanId);
  }

  onEnd(span: ReadableSpan): void {
    const { traceFlags } = span.spanContext();
    const keep =
      (traceFlags & SAMPLED) !== 0 || span.status.code === ERROR_STATUS || milliseconds(span.duration) > SLOW_MS;
    this.#ended(span.spanContext(), keep, () => plain(span));
  }
  ended(span: RequestSpan, end: RequestEnd): void {
    const keep = span.sampled || end.repeated || span.failed || end.endMs - span.startMs > SLOW_MS;
    const data = () => span.plain(safeAttributes(this.#attributes(end)), AGENT_VERSION);
    if (span.named) this.#ended(span.spanContext(), keep, data);
    else if (keep) this.#send([data()]); // nothing else can belong to it
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {
    this.#live.clear();
  }

  #started(traceId: string, spanId: string): void {
    const live = this.#live.get(traceId);
    if (live !== undefined) {
      live.open += 1;
      return;
    }
    if (this.#live.size >= MAX_TRACES || this.#waiting >= MAX_SPANS) this.#giveWay();
    this.#live.set(traceId, { root: spanId, ended: [], open: 1, keep: false, decided: false });
  }

  #ended({ traceId, spanId }: SpanContext, keep: boolean, data: () => PlainSpan): void {
    const live = this.#live.get(traceId);
    if (live === undefined) return;
    live.open -= 1;
    live.keep ||= keep;
    if (live.ended.length < MAX_SPANS_PER_TRACE || spanId === live.root) {
      live.ended.push(data);
      this.#waiting += 1;
    }
    live.decided ||= spanId === live.root;
    if (live.decided) {
      this.#waiting -= live.ended.length;
      if (live.keep) this.#send(live.ended.map((span) => span()));
      live.ended.length = 0;
    }
    if (live.open <= 0) this.#forget(traceId, live);
  }

  #giveWay(): void {
    for (const [traceId, oldest] of this.#live) {
      this.#forget(traceId, oldest);
      return;
    }
  }

  #forget(traceId: string, live: LiveTrace): void {
    this.#waiting -= live.ended.length;
    this.#live.delete(traceId);
  }
}

/** The span as data that can go to the agent's thread, without what may hold secrets: literals and query strings. */
function plain(span: ReadableSpan): PlainSpan {
  const { traceId, spanId, traceFlags } = span.spanContext();
  const { message } = span.status;
  // Databases quote values in their errors: duplicate entry 'secret' for key 'name'.
  const safe = systemOf(span.attributes) === undefined ? (text: string) => text : withoutQuoted;
  return {
    name: span.name,
    // The request has one span that says it was served: its own.
    kind: span.kind === SERVER_KIND && isLocal(span.parentSpanContext) ? INTERNAL_KIND : span.kind,
    traceId,
    spanId,
    traceFlags: traceFlags | SAMPLED,
    parentSpanId: span.parentSpanContext?.spanId,
    parentIsRemote: span.parentSpanContext?.isRemote === true,
    startTime: span.startTime,
    endTime: span.endTime,
    status: { code: span.status.code, ...(message === undefined ? {} : { message: safe(message) }) },
    attributes: safeAttributes(span.attributes),
    events: span.events.map(({ name, time, attributes }) => ({
      name,
      time,
      attributes: mapText(attributes ?? {}, safe),
    })),
    scope: { name: span.instrumentationScope.name, version: span.instrumentationScope.version },
  };
}

function safeAttributes(attributes: Attributes): PlainSpan["attributes"] {
  const safe: Record<string, PlainSpan["attributes"][string]> = {};
  const dialect = systemOf(attributes) === "mysql" ? "mysql" : "standard";
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || key === "url.query" || key === "db.postgresql.values") continue;
    if (typeof value !== "string") safe[key] = value as PlainSpan["attributes"][string];
    else if (key === "db.query.text" || key === "db.statement") safe[key] = normalise(value, dialect);
    else if (URLS.has(key)) safe[key] = value.replace(/[?#].*$/s, "");
    else safe[key] = value;
  }
  return safe;
}

function isLocal(parent: SpanContext | undefined): boolean {
  return parent !== undefined && parent.isRemote !== true;
}

function systemOf(attributes: Attributes): unknown {
  return attributes["db.system.name"] ?? attributes["db.system"];
}

function withoutQuoted(text: string): string {
  return text.replace(QUOTED, "?");
}

function mapText(attributes: Attributes, map: (text: string) => string): Attributes {
  const entries = Object.entries(attributes).map(([key, value]) => [
    key,
    typeof value === "string" ? map(value) : value,
  ]);
  return Object.fromEntries(entries);
}

function milliseconds([seconds, nanoseconds]: HrTime): number {
  return seconds * 1000 + nanoseconds / 1e6;
}
