import { readValuesText, readValueText } from "../otlp/attributes.ts";
import type { RecordSink } from "../otlp/records.ts";
import { nanosToMillis, type Wire } from "../otlp/wire.ts";
import type { Scrubber } from "../privacy/scrubber.ts";
import type { Identities, Identity } from "./identity.ts";
import type { TimeWindow } from "./metric-rows.ts";
import { idText, LabelOwner, pushLabel, SharedLabels, scopeAttributes } from "./record-labels.ts";
import type { Rejections } from "./rejections.ts";
import type { Tables } from "./tables.ts";

const NS_PER_MS = 1_000_000n;
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const MAX_SEVERITY = 24;
const EVENT_NAME_KEY = "event.name";

/** Turns log records into rows of `otel_logs`, column for column as the OpenTelemetry ClickHouse exporter has them. */
export class LogRows implements RecordSink {
  private readonly table: Tables["otel_logs"];
  private readonly identities: Identities;
  private readonly rejections: Rejections;
  private window: TimeWindow = { now: 0, earliest: 0, latest: 0 };
  private identity!: Identity;
  private resourceSchemaUrl = "";
  private scopeSchemaUrl = "";
  private scopeName = "";
  private scopeVersion = "";
  private readonly resourceLabels = new SharedLabels();
  private readonly scopeLabels = new SharedLabels();
  private readonly owner: LabelOwner;
  private wire!: Wire;

  constructor(tables: Tables, identities: Identities, rejections: Rejections, scrubber: Scrubber) {
    this.table = tables.otel_logs;
    this.identities = identities;
    this.rejections = rejections;
    this.owner = new LabelOwner(scrubber);
    this.table.columns.LogAttributes.keys.ruleOf = (key) => scrubber.rule(key);
  }

  begin(window: TimeWindow): void {
    this.window = window;
  }

  resource(wire: Wire, ranges: readonly number[], schemaUrl: string): void {
    this.wire = wire;
    this.identity = this.identities.read(wire, ranges);
    this.resourceLabels.set(this.identity.attributes);
    this.resourceSchemaUrl = schemaUrl;
  }

  scope(name: string, version: string, ranges: readonly number[], schemaUrl: string): void {
    this.scopeName = name;
    this.scopeVersion = version;
    this.scopeLabels.set(scopeAttributes(this.wire, ranges, this.owner.scrubber));
    this.scopeSchemaUrl = schemaUrl;
  }

  record(wire: Wire, start: number, end: number): void {
    this.identity.received++;
    let lo = 0;
    let hi = 0;
    let observedLo = 0;
    let observedHi = 0;
    let severity = 0;
    let severityText = "";
    const body: number[] = [];
    let flags = 0;
    let traceId = "";
    let spanId = "";
    let eventName = "";
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if ((tag & 7) === 2) {
        const stop = wire.span(end);
        switch (tag >>> 3) {
          case 3:
            severityText = wire.bytes.toString("utf8", wire.pos, stop);
            break;
          case 5:
            body.push(wire.pos, stop);
            break;
          case 9:
            traceId = idText(wire, wire.pos, stop);
            break;
          case 10:
            spanId = idText(wire, wire.pos, stop);
            break;
          case 12:
            eventName = wire.bytes.toString("utf8", wire.pos, stop);
            break;
        }
        wire.pos = stop;
      } else if (tag === 9) {
        wire.fixed64(end);
        lo = wire.lo;
        hi = wire.hi;
      } else if (tag === 89) {
        wire.fixed64(end);
        observedLo = wire.lo;
        observedHi = wire.hi;
      } else if (tag === 16) severity = wire.varint(end);
      else if (tag === 69) flags = wire.fixed32(end);
      else wire.skip(tag, end);
    }
    if (
      (traceId !== "" && traceId.length !== 2 * TRACE_ID_BYTES) ||
      (spanId !== "" && spanId.length !== 2 * SPAN_ID_BYTES)
    ) {
      this.rejections.add("bad_id");
      return;
    }
    if (lo === 0 && hi === 0) {
      lo = observedLo;
      hi = observedHi;
    }
    if (lo === 0 && hi === 0) {
      const now = BigInt(this.window.now) * NS_PER_MS;
      lo = Number(now & 0xffffffffn);
      hi = Number(now >> 32n);
    }
    const ms = nanosToMillis(lo, hi);
    if (ms < this.window.earliest) {
      this.rejections.add("too_old");
      return;
    }
    if (ms > this.window.latest) {
      this.rejections.add("in_future");
      return;
    }

    const { columns } = this.table;
    columns.Timestamp.bytes.u64(lo, hi);
    columns.TraceId.push(traceId);
    columns.SpanId.push(spanId);
    columns.TraceFlags.bytes.byte(flags & 0xff);
    columns.SeverityText.push(severityText);
    columns.SeverityNumber.bytes.byte(severity <= MAX_SEVERITY ? severity : 0);
    columns.ServiceName.push(this.identity.service);
    columns.Body.push(readValuesText(wire, body, this.owner.scrubber.entries));
    columns.ResourceSchemaUrl.push(this.resourceSchemaUrl);
    this.resourceLabels.push(columns.ResourceAttributes);
    columns.ScopeSchemaUrl.push(this.scopeSchemaUrl);
    columns.ScopeName.push(this.scopeName);
    columns.ScopeVersion.push(this.scopeVersion);
    this.scopeLabels.push(columns.ScopeAttributes);
    const named = this.pushAttributes(wire, start, end);
    columns.EventName.push(eventName || named);
    this.table.points++;
  }

  /** Attributes of the record (field 6). Returns `event.name`, which older senders use in place of the field. */
  private pushAttributes(wire: Wire, start: number, end: number): string {
    const column = this.table.columns.LogAttributes;
    this.owner.set(wire, start, end, 6);
    let named = "";
    wire.pos = start;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 50) {
        const stop = wire.span(end);
        const at = wire.pos;
        pushLabel(column, wire, at, stop, this.owner);
        // KeyValue starts with its key: tag, length, text.
        if (wire.bytes[at] === 10 && wire.bytes[at + 1] === EVENT_NAME_KEY.length) {
          const keyEnd = at + 2 + EVENT_NAME_KEY.length;
          if (wire.bytes.toString("latin1", at + 2, keyEnd) === EVENT_NAME_KEY && wire.bytes[keyEnd] === 18) {
            wire.pos = keyEnd + 1;
            const valueEnd = wire.span(stop);
            named = readValueText(wire, wire.pos, valueEnd);
          }
        }
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
    column.close();
    return named;
  }
}
