import type { Kernel } from "../kernel/kernel.ts";
import { KINDS, SpanColumns, STATUSES } from "../kernel/span-columns.ts";
import type { RecordSink } from "../otlp/records.ts";
import { joined, nanosToMillis, unsigned, type Wire } from "../otlp/wire.ts";
import { KEEP } from "../privacy/attribute-rules.ts";
import type { Identities, Identity } from "./identity.ts";
import type { TimeWindow } from "./metric-rows.ts";
import { type LabelOwner, pushLabel, SharedLabels } from "./record-labels.ts";
import type { Rejections } from "./rejections.ts";
import type { Tables } from "./tables.ts";

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const NS_PER_MS = 1_000_000n;
const FIRST_REPEATED = 96;

/** Turns spans into rows of `otel_traces`, column for column as the OpenTelemetry ClickHouse exporter has them. */
export class SpanRows implements RecordSink {
  private readonly table: Tables["otel_traces"];
  private readonly identities: Identities;
  private readonly rejections: Rejections;
  private window: TimeWindow = { now: 0, earliest: 0, latest: 0 };
  private identity!: Identity;
  private readonly resourceLabels = new SharedLabels();
  private readonly owner: LabelOwner;
  private scopeName = "";
  private scopeVersion = "";
  /** Tag, start and end of each attribute, event and link of the span that is being read. */
  private repeated = new Int32Array(FIRST_REPEATED);
  private readonly taken: SpanColumns | undefined;

  /** Without a kernel every span goes the long way. */
  constructor(
    tables: Tables,
    identities: Identities,
    rejections: Rejections,
    owner: LabelOwner,
    kernel: Kernel | undefined,
  ) {
    const { scrubber } = owner;
    this.table = tables.otel_traces;
    this.identities = identities;
    this.rejections = rejections;
    this.owner = owner;
    this.taken = kernel === undefined ? undefined : new SpanColumns(kernel, tables, scrubber);
    const { columns } = this.table;
    columns.SpanName.ruleOf = (name) => scrubber.nameRule(name);
    for (const labels of [
      columns.SpanAttributes,
      columns["Events.Attributes"].items,
      columns["Links.Attributes"].items,
    ]) {
      labels.keys.ruleOf = (key) => scrubber.rule(key);
    }
  }

  begin(window: TimeWindow): void {
    this.window = window;
    this.taken?.clear();
  }

  /** Appends to the table what the kernel has taken. */
  flush(): void {
    this.taken?.flush();
  }

  resource(wire: Wire, ranges: readonly number[]): void {
    this.identity = this.identities.read(wire, ranges);
    this.resourceLabels.set(this.identity.attributes);
  }

  scope(name: string, version: string): void {
    this.scopeName = name;
    this.scopeVersion = version;
  }

  /** Lets the kernel take what it can. */
  take(wire: Wire, end: number): void {
    const rows = this.taken?.take(wire, end) ?? 0;
    if (rows === 0) return;
    const { table, identity } = this;
    const { columns } = table;
    identity.received += rows;
    columns.ServiceName.pushTimes(identity.service, rows);
    this.resourceLabels.pushTimes(columns.ResourceAttributes, rows);
    columns.ScopeName.pushTimes(this.scopeName, rows);
    columns.ScopeVersion.pushTimes(this.scopeVersion, rows);
    table.points += rows;
  }

  record(wire: Wire, start: number, end: number): void {
    this.identity.received++;
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
    /** Parts of the status before the last one. */
    let statusParts: number[] | undefined;
    let kind = 0;
    let beginLo = 0;
    let beginHi = 0;
    let finishLo = 0;
    let finishHi = 0;
    let repeated = 0;
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
          case 9:
          case 11:
          case 13:
            if (repeated + 3 > this.repeated.length) this.growRepeated();
            this.repeated[repeated] = tag;
            this.repeated[repeated + 1] = wire.pos;
            this.repeated[repeated + 2] = stop;
            repeated += 3;
            break;
          case 15:
            if (statusEnd !== 0) {
              statusParts ??= [];
              statusParts.push(statusStart, statusEnd);
            }
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
    const parentLength = parentEnd - parentStart;
    if (
      !isId(wire, traceStart, traceEnd, TRACE_ID_BYTES) ||
      !isId(wire, spanStart, spanEnd, SPAN_ID_BYTES) ||
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

    this.flush();
    const { columns } = this.table;
    this.owner.set(wire, start, end, 9);
    columns.Timestamp.bytes.u64(beginLo, beginHi);
    columns.TraceId.pushId(wire, traceStart, traceEnd);
    columns.SpanId.pushId(wire, spanStart, spanEnd);
    columns.ParentSpanId.pushId(wire, parentStart, parentEnd);
    columns.TraceState.pushRaw(wire, stateStart, stateEnd);
    const name = columns.SpanName.find(wire, nameStart, nameEnd);
    if (name.rule === KEEP) columns.SpanName.pushKnown(name);
    else columns.SpanName.push(this.owner.scrubber.name(name.value, this.owner.dbSystem));
    columns.SpanKind.push(KINDS[kind] ?? KINDS[0]!);
    columns.ServiceName.push(this.identity.service);
    this.resourceLabels.push(columns.ResourceAttributes);
    columns.ScopeName.push(this.scopeName);
    columns.ScopeVersion.push(this.scopeVersion);
    pushDuration(columns.Duration.bytes, beginLo, beginHi, finishLo, finishHi);
    if (statusParts === undefined) this.pushStatus(wire, statusStart, statusEnd);
    else {
      const status = joined(wire, [...statusParts, statusStart, statusEnd]);
      this.pushStatus(status, 0, status.bytes.length);
    }
    this.pushRepeated(wire, repeated);
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
    this.table.columns.StatusMessage.pushRaw(wire, messageStart, messageEnd);
  }

  /** Attributes, events and links: what one span has many of. */
  private pushRepeated(wire: Wire, length: number): void {
    const { columns } = this.table;
    const { repeated } = this;
    for (let i = 0; i < length; i += 3) {
      const tag = repeated[i]!;
      const at = repeated[i + 1]!;
      const stop = repeated[i + 2]!;
      if (tag === 74) pushLabel(columns.SpanAttributes, wire, at, stop, this.owner);
      else if (tag === 90) this.pushEvent(wire, at, stop);
      else this.pushLink(wire, at, stop);
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

  private growRepeated(): void {
    const grown = new Int32Array(this.repeated.length * 2);
    grown.set(this.repeated);
    this.repeated = grown;
  }

  private pushEvent(wire: Wire, start: number, end: number): void {
    const { columns } = this.table;
    const labels = columns["Events.Attributes"].items;
    let lo = 0;
    let hi = 0;
    let nameStart = 0;
    let nameEnd = 0;
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 9) {
        wire.fixed64(end);
        lo = wire.lo;
        hi = wire.hi;
      } else if (tag === 18 || tag === 26) {
        const stop = wire.span(end);
        if (tag === 18) {
          nameStart = wire.pos;
          nameEnd = stop;
        } else pushLabel(labels, wire, wire.pos, stop, this.owner);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
    columns["Events.Timestamp"].items.bytes.u64(lo, hi);
    columns["Events.Name"].items.pushRaw(wire, nameStart, nameEnd);
    labels.close();
  }

  private pushLink(wire: Wire, start: number, end: number): void {
    const { columns } = this.table;
    const labels = columns["Links.Attributes"].items;
    let traceStart = 0;
    let traceEnd = 0;
    let spanStart = 0;
    let spanEnd = 0;
    let stateStart = 0;
    let stateEnd = 0;
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 10 || tag === 18 || tag === 26 || tag === 34) {
        const stop = wire.span(end);
        if (tag === 10) {
          traceStart = wire.pos;
          traceEnd = stop;
        } else if (tag === 18) {
          spanStart = wire.pos;
          spanEnd = stop;
        } else if (tag === 26) {
          stateStart = wire.pos;
          stateEnd = stop;
        } else pushLabel(labels, wire, wire.pos, stop, this.owner);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
    columns["Links.TraceId"].items.pushId(wire, traceStart, traceEnd);
    columns["Links.SpanId"].items.pushId(wire, spanStart, spanEnd);
    columns["Links.TraceState"].items.pushRaw(wire, stateStart, stateEnd);
    labels.close();
  }
}

function isId(wire: Wire, start: number, end: number, size: number): boolean {
  if (end - start !== size) return false;
  for (let i = start; i < end; i++) if (wire.bytes[i] !== 0) return true;
  return false;
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
