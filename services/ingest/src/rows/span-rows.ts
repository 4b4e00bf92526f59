import type { RecordSink } from "../otlp/records.ts";
import { nanosToMillis, unsigned, type Wire } from "../otlp/wire.ts";
import type { Identities, Identity } from "./identity.ts";
import type { TimeWindow } from "./metric-rows.ts";
import { idText, pushLabel, pushLabels, pushText } from "./record-labels.ts";
import type { Rejections } from "./rejections.ts";
import type { Tables } from "./tables.ts";

const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUSES = ["Unset", "Ok", "Error"];
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const NS_PER_MS = 1_000_000n;

/** Turns spans into rows of `otel_traces`, column for column as the OpenTelemetry ClickHouse exporter has them. */
export class SpanRows implements RecordSink {
  private readonly table: Tables["otel_traces"];
  private readonly identities: Identities;
  private readonly rejections: Rejections;
  private window: TimeWindow = { now: 0, earliest: 0, latest: 0 };
  private identity!: Identity;
  private scopeName = "";
  private scopeVersion = "";

  constructor(tables: Tables, identities: Identities, rejections: Rejections) {
    this.table = tables.otel_traces;
    this.identities = identities;
    this.rejections = rejections;
  }

  begin(window: TimeWindow): void {
    this.window = window;
  }

  resource(wire: Wire, ranges: readonly number[]): void {
    this.identity = this.identities.read(wire, ranges);
  }

  scope(name: string, version: string): void {
    this.scopeName = name;
    this.scopeVersion = version;
  }

  record(wire: Wire, start: number, end: number): void {
    let traceStart = 0;
    let traceEnd = 0;
    let spanStart = 0;
    let spanEnd = 0;
    let parentStart = 0;
    let parentEnd = 0;
    let stateStart = 0;
    let stateEnd = 0;
    let nameStart = 0;
    let nameEnd = 0;
    let statusStart = 0;
    let statusEnd = 0;
    let kind = 0;
    let beginLo = 0;
    let beginHi = 0;
    let finishLo = 0;
    let finishHi = 0;
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if ((tag & 7) === 2) {
        const stop = wire.span(end);
        switch (tag >>> 3) {
          case 1:
            traceStart = wire.pos;
            traceEnd = stop;
            break;
          case 2:
            spanStart = wire.pos;
            spanEnd = stop;
            break;
          case 3:
            stateStart = wire.pos;
            stateEnd = stop;
            break;
          case 4:
            parentStart = wire.pos;
            parentEnd = stop;
            break;
          case 5:
            nameStart = wire.pos;
            nameEnd = stop;
            break;
          case 15:
            statusStart = wire.pos;
            statusEnd = stop;
            break;
        }
        wire.pos = stop;
      } else if (tag === 48) kind = wire.varint(end);
      else if (tag === 57) {
        wire.fixed64(end);
        beginLo = wire.lo;
        beginHi = wire.hi;
      } else if (tag === 65) {
        wire.fixed64(end);
        finishLo = wire.lo;
        finishHi = wire.hi;
      } else wire.skip(tag, end);
    }
    const traceId = idText(wire, traceStart, traceEnd);
    const spanId = idText(wire, spanStart, spanEnd);
    const parentLength = parentEnd - parentStart;
    if (
      traceId.length !== 2 * TRACE_ID_BYTES ||
      spanId.length !== 2 * SPAN_ID_BYTES ||
      (parentLength !== 0 && parentLength !== SPAN_ID_BYTES)
    ) {
      this.rejections.add("bad_id");
      return;
    }
    if (beginLo === 0 && beginHi === 0) {
      const now = BigInt(this.window.now) * NS_PER_MS;
      beginLo = finishLo || Number(now & 0xffffffffn);
      beginHi = finishHi || Number(now >> 32n);
    }
    const ms = nanosToMillis(beginLo, beginHi);
    if (ms < this.window.earliest) {
      this.rejections.add("too_old");
      return;
    }
    if (ms > this.window.latest) {
      this.rejections.add("in_future");
      return;
    }

    const { columns } = this.table;
    columns.Timestamp.bytes.u64(beginLo, beginHi);
    columns.TraceId.push(traceId);
    columns.SpanId.push(spanId);
    columns.ParentSpanId.push(idText(wire, parentStart, parentEnd));
    pushText(columns.TraceState, wire, stateStart, stateEnd);
    columns.SpanName.push(wire.bytes.toString("utf8", nameStart, nameEnd));
    columns.SpanKind.push(KINDS[kind] ?? KINDS[0]!);
    columns.ServiceName.push(this.identity.service);
    pushLabels(columns.ResourceAttributes, this.identity.attributes);
    columns.ScopeName.push(this.scopeName);
    columns.ScopeVersion.push(this.scopeVersion);
    pushDuration(columns.Duration.bytes, beginLo, beginHi, finishLo, finishHi);
    this.pushStatus(wire, statusStart, statusEnd);
    this.pushRepeated(wire, start, end);
    this.table.points++;
  }

  private pushStatus(wire: Wire, start: number, end: number): void {
    let code = 0;
    let messageStart = 0;
    let messageEnd = 0;
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 18) {
        messageEnd = wire.span(end);
        messageStart = wire.pos;
        wire.pos = messageEnd;
      } else if (tag === 24) code = wire.varint(end);
      else wire.skip(tag, end);
    }
    this.table.columns.StatusCode.push(STATUSES[code] ?? STATUSES[0]!);
    pushText(this.table.columns.StatusMessage, wire, messageStart, messageEnd);
  }

  /** Attributes, events and links: what one span has many of. */
  private pushRepeated(wire: Wire, start: number, end: number): void {
    const { columns } = this.table;
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 74 || tag === 90 || tag === 106) {
        const stop = wire.span(end);
        const at = wire.pos;
        if (tag === 74) pushLabel(columns.SpanAttributes, wire, at, stop);
        else if (tag === 90) this.pushEvent(wire, at, stop);
        else this.pushLink(wire, at, stop);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
    columns.SpanAttributes.close();
    columns["Events.Timestamp"].close();
    columns["Events.Name"].close();
    columns["Events.Attributes"].close();
    columns["Links.TraceId"].close();
    columns["Links.SpanId"].close();
    columns["Links.TraceState"].close();
    columns["Links.Attributes"].close();
  }

  private pushEvent(wire: Wire, start: number, end: number): void {
    const { columns } = this.table;
    const labels = columns["Events.Attributes"].items;
    let lo = 0;
    let hi = 0;
    let name = "";
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 9) {
        wire.fixed64(end);
        lo = wire.lo;
        hi = wire.hi;
      } else if (tag === 18 || tag === 26) {
        const stop = wire.span(end);
        if (tag === 18) name = wire.bytes.toString("utf8", wire.pos, stop);
        else pushLabel(labels, wire, wire.pos, stop);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
    columns["Events.Timestamp"].items.bytes.u64(lo, hi);
    columns["Events.Name"].items.push(name);
    labels.close();
  }

  private pushLink(wire: Wire, start: number, end: number): void {
    const { columns } = this.table;
    const labels = columns["Links.Attributes"].items;
    let traceId = "";
    let spanId = "";
    let state = "";
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 10 || tag === 18 || tag === 26 || tag === 34) {
        const stop = wire.span(end);
        if (tag === 10) traceId = idText(wire, wire.pos, stop);
        else if (tag === 18) spanId = idText(wire, wire.pos, stop);
        else if (tag === 26) state = wire.bytes.toString("utf8", wire.pos, stop);
        else pushLabel(labels, wire, wire.pos, stop);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
    columns["Links.TraceId"].items.push(traceId);
    columns["Links.SpanId"].items.push(spanId);
    columns["Links.TraceState"].items.push(state);
    labels.close();
  }
}

/** End less start in nanoseconds; 0 for a span that ends before it starts or has no end. */
function pushDuration(
  out: { u64(lo: number, hi: number): void },
  beginLo: number,
  beginHi: number,
  finishLo: number,
  finishHi: number,
): void {
  if (unsigned(finishLo, finishHi) <= unsigned(beginLo, beginHi) && (finishHi !== beginHi || finishLo <= beginLo)) {
    out.u64(0, 0);
    return;
  }
  const borrow = finishLo < beginLo ? 1 : 0;
  out.u64((finishLo - beginLo) >>> 0, (finishHi - beginHi - borrow) >>> 0);
}
