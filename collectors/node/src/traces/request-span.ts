import type {
  Attributes,
  AttributeValue,
  Exception,
  HrTime,
  Link,
  Span,
  SpanContext,
  SpanStatus,
  TimeInput,
} from "@opentelemetry/api";
import type { RequestEnd, RequestTrace } from "../main/request-context.ts";
import type { PlainSpan } from "../shared/span.ts";

const SERVER_KIND = 1;
const SAMPLED = 1;
const UNSET = 0;
const ERROR = 2;
const MS_PER_S = 1000;
const NS_PER_MS = 1e6;
const WORD_RANGE = 2 ** 32;
const MAX_EVENTS = 128; // OpenTelemetry's own default

/** What a request's span needs from the trace tier. */
export interface SpanHome {
  /** Share of new traces that are sampled. */
  readonly ratio: number;
  /** Told when the span gets its ids: from now on others may belong to its trace. */
  named(span: RequestSpan): void;
  ended(span: RequestSpan, end: RequestEnd): void;
}

/**
 * Span of a request that is being served. Most are never sent, so nothing is built before it is needed: ids when
 * something asks for them (a call to another service, a log line, a span below), all else when the trace is kept.
 */
export class RequestSpan implements Span, RequestTrace {
  readonly startMs: number;
  readonly parent: SpanContext | undefined;
  readonly sampled: boolean;
  readonly #home: SpanHome;
  /** Low half of the trace id's second half, by which a trace is sampled: the same rule as for other spans. */
  readonly #sampledBy: number;
  #epochMs = 0;
  #context: SpanContext | undefined;
  #name: string | undefined;
  #attributes: Record<string, AttributeValue> | undefined;
  #events: PlainSpan["events"][number][] | undefined;
  #status: SpanStatus | undefined;
  #end: RequestEnd | undefined;

  constructor(home: SpanHome, startMs: number, parent: SpanContext | undefined) {
    this.#home = home;
    this.startMs = startMs;
    this.parent = parent;
    this.#sampledBy = (Math.random() * WORD_RANGE) >>> 0;
    this.sampled =
      parent === undefined ? this.#sampledBy < home.ratio * WORD_RANGE : (parent.traceFlags & SAMPLED) !== 0;
  }

  /** Whether its ids are known to anybody. */
  get named(): boolean {
    return this.#context !== undefined;
  }
  get failed(): boolean {
    return (this.#status?.code ?? (this.#end === undefined ? UNSET : statusOf(this.#end))) === ERROR;
  }

  get traceId(): string {
    return this.spanContext().traceId;
  }

  spanContext(): SpanContext {
    if (this.#context !== undefined) return this.#context;
    const { parent } = this;
    this.#epochMs = Date.now() - (performance.now() - this.startMs);
    this.#context = {
      traceId: parent?.traceId ?? `${word()}${word()}${word()}${hex(this.#sampledBy)}`,
      spanId: `${word()}${word()}`,
      traceFlags: this.sampled ? SAMPLED : 0,
      ...(parent?.traceState === undefined ? {} : { traceState: parent.traceState }),
    };
    if (this.#end === undefined) this.#home.named(this);
    return this.#context;
  }

  finish(end: RequestEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#home.ended(this, end);
  }

  /** The span as data, once it has ended. `attributes` are those of the request. */
  plain(attributes: PlainSpan["attributes"], version: string): PlainSpan {
    const { traceId, spanId, traceFlags } = this.spanContext();
    const { request, route, endMs } = this.#end!;
    const status: SpanStatus = this.#status ?? { code: statusOf(this.#end!) };
    return {
      name: this.#name ?? (route === undefined ? (request.method ?? "GET") : `${request.method ?? "GET"} ${route}`),
      kind: SERVER_KIND,
      traceId,
      spanId,
      traceFlags: traceFlags | SAMPLED,
      parentSpanId: this.parent?.spanId,
      parentIsRemote: this.parent !== undefined,
      startTime: hrTime(this.#epochMs),
      endTime: hrTime(this.#epochMs + endMs - this.startMs),
      status: { code: status.code, ...(status.message === undefined ? {} : { message: status.message }) },
      attributes: { ...attributes, ...waits(this.#end!), ...this.#attributes },
      events: this.#events ?? [],
      scope: { name: "@tidemark/node", version },
    };
  }

  // What applications do with the active span
  isRecording(): boolean {
    return this.#end === undefined;
  }
  setAttribute(key: string, value: AttributeValue): this {
    if (this.#end === undefined) {
      this.#attributes ??= {};
      this.#attributes[key] = value;
    }
    return this;
  }
  setAttributes(attributes: Attributes): this {
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined) this.setAttribute(key, value);
    return this;
  }
  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    const given = isAttributes(attributesOrTime) ? attributesOrTime : {};
    const at = isAttributes(attributesOrTime) ? time : attributesOrTime;
    this.#events ??= [];
    if (this.#end === undefined && this.#events.length < MAX_EVENTS) {
      this.#events.push({ name, time: timeOf(at), attributes: { ...given } });
    }
    return this;
  }
  addLink(_link: Link): this {
    return this; // links are not exported, as with all other spans
  }
  addLinks(_links: Link[]): this {
    return this;
  }
  setStatus(status: SpanStatus): this {
    if (this.#end === undefined) this.#status = status;
    return this;
  }
  updateName(name: string): this {
    if (this.#end === undefined) this.#name = name;
    return this;
  }
  recordException(exception: Exception, time?: TimeInput): void {
    const { name, message, stack } =
      typeof exception === "string" ? { name: undefined, message: exception, stack: undefined } : exception;
    this.addEvent(
      "exception",
      {
        ...(name === undefined ? {} : { "exception.type": name }),
        ...(message === undefined ? {} : { "exception.message": message }),
        ...(stack === undefined ? {} : { "exception.stacktrace": stack }),
      },
      time,
    );
  }
  end(): void {
    // The request ends it, with its response or its connection.
  }
}

/** Source: OpenTelemetry HTTP conventions. An aborted request has no status: it failed for whoever asked. */
function statusOf({ status }: RequestEnd): number {
  return status === undefined || status >= 500 ? ERROR : UNSET;
}

/** Where the request waited: what a long span without long children does not show. */
function waits({ loopActiveMs, queries, phases }: RequestEnd): Record<string, AttributeValue> {
  return {
    "tidemark.loop.active_ms": toMicroseconds(loopActiveMs),
    ...(queries === 0 ? {} : { "tidemark.db.queries": queries, "tidemark.db.duration_ms": toMicroseconds(phases.db) }),
    ...(phases.pool === 0 ? {} : { "tidemark.db.pool_wait_ms": toMicroseconds(phases.pool) }),
  };
}

function toMicroseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

function isAttributes(value: Attributes | TimeInput | undefined): value is Attributes {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

function timeOf(time: TimeInput | undefined): HrTime {
  if (Array.isArray(time)) return time;
  if (time instanceof Date) return hrTime(time.getTime());
  // As in OpenTelemetry's SDK: small numbers are of performance.now(), others of Date.now().
  if (typeof time === "number") return hrTime(time < performance.timeOrigin ? time + performance.timeOrigin : time);
  return hrTime(Date.now());
}

function hrTime(epochMs: number): HrTime {
  const seconds = Math.trunc(epochMs / MS_PER_S);
  return [seconds, Math.max(0, Math.round((epochMs - seconds * MS_PER_S) * NS_PER_MS))];
}

function word(): string {
  return hex((Math.random() * WORD_RANGE) >>> 0 || 1);
}

function hex(number: number): string {
  return number.toString(16).padStart(8, "0");
}
