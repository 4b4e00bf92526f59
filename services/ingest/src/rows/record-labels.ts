import { type Attribute, readAttributes, readValuesText } from "../otlp/attributes.ts";
import type { Wire } from "../otlp/wire.ts";
import { DROP, KEEP, type Rule } from "../privacy/attribute-rules.ts";
import { type Scrubber, systemOf } from "../privacy/scrubber.ts";
import type { Dictionary, Text, Words } from "./columns.ts";

export type Labels = Dictionary<Words, Text>;

/** Adds one row of a label map. */
export function pushLabels(column: Labels, attributes: readonly Attribute[]): void {
  for (const [key, value] of attributes) {
    column.keys.push(key);
    column.items.push(value);
  }
  column.close();
}

/** The labels of a resource or scope, which many rows of one block repeat: written once, then copied. */
export class SharedLabels {
  private attributes: readonly Attribute[] = [];
  private written = false;
  private firstRow = 0;
  private endRow = 0;
  private start = 0;
  private end = 0;

  /** To be called for every resource or scope, and so for every block. */
  set(attributes: readonly Attribute[]): void {
    this.attributes = attributes;
    this.written = false;
  }

  push(column: Labels): void {
    this.pushTimes(column, 1);
  }

  /** As many rows of the same labels. */
  pushTimes(column: Labels, times: number): void {
    const { keys, items } = column;
    if (this.written) {
      const labels = this.endRow - this.firstRow;
      column.closeTimes(times, labels);
      keys.repeat(this.firstRow, this.endRow, times);
      items.bytes.repeat(this.start, this.end, times);
      items.rows += labels * times;
      return;
    }
    if (times === 0) return;
    this.written = true;
    this.firstRow = items.rows;
    this.start = items.bytes.length;
    pushLabels(column, this.attributes);
    this.endRow = items.rows;
    this.end = items.bytes.length;
    if (times > 1) this.pushTimes(column, times - 1);
  }
}

/** The record whose attributes are read: asked for its database only when one of them is a query. */
export class LabelOwner {
  readonly scrubber: Scrubber;
  private wire!: Wire;
  private start = 0;
  private end = 0;
  private field = 0;
  private system: string | undefined;

  constructor(scrubber: Scrubber) {
    this.scrubber = scrubber;
  }

  /** `field` is the number of the record's attributes. */
  set(wire: Wire, start: number, end: number, field: number): void {
    this.wire = wire;
    this.start = start;
    this.end = end;
    this.field = field;
    this.system = undefined;
  }

  /** Moves the wire. */
  get dbSystem(): string {
    if (this.system === undefined) {
      const attributes: Attribute[] = [];
      readAttributes(this.wire, this.start, this.end, this.field, attributes);
      this.system = systemOf(attributes);
    }
    return this.system;
  }
}

/**
 * Reads one `KeyValue` straight into a label map's open row: a plain text value is copied without being decoded. What
 * must not be stored is left out or cleaned; the rule is known with the key.
 */
export function pushLabel(column: Labels, wire: Wire, start: number, end: number, owner: LabelOwner): void {
  let keyStart = 0;
  let keyEnd = 0;
  let valueStart = 0;
  let valueEnd = 0;
  /** Parts of the value, when it came in several. */
  let parts: number[] | undefined;
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10 || tag === 18) {
      const stop = wire.span(end);
      if (tag === 10) {
        keyStart = wire.pos;
        keyEnd = stop;
      } else {
        if (valueEnd !== 0) {
          parts ??= [valueStart, valueEnd];
          parts.push(wire.pos, stop);
        }
        valueStart = wire.pos;
        valueEnd = stop;
      }
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  const key = column.keys.find(wire, keyStart, keyEnd);
  if (key.rule !== KEEP) {
    if (key.rule === DROP) owner.scrubber.denied();
    else {
      column.keys.pushKnown(key);
      const value = readValuesText(wire, parts ?? [valueStart, valueEnd]);
      column.items.push(owner.scrubber.value(key.rule as Rule, value, owner.dbSystem));
    }
    return;
  }
  column.keys.pushKnown(key);
  // An AnyValue that is one string and nothing else: tag 10, its length, its bytes.
  if (parts === undefined && valueEnd - valueStart >= 2 && wire.bytes[valueStart] === 10) {
    wire.pos = valueStart + 1;
    const stop = wire.span(valueEnd);
    if (stop === valueEnd) {
      column.items.pushRaw(wire, wire.pos, stop);
      return;
    }
  }
  column.items.push(readValuesText(wire, parts ?? [valueStart, valueEnd], owner.scrubber.entries));
}

/** Attributes of scopes: field 3 of each of their messages. */
export function scopeAttributes(wire: Wire, ranges: readonly number[], scrubber: Scrubber): readonly Attribute[] {
  const attributes: Attribute[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    readAttributes(wire, ranges[i]!, ranges[i + 1]!, 3, attributes, scrubber.entries);
  }
  return scrubber.attributes(attributes);
}

/** Trace and span ids as the OpenTelemetry exporter stores them: lower-case hexadecimal, empty for none or all zero. */
export function idText(wire: Wire, start: number, end: number): string {
  for (let i = start; i < end; i++) if (wire.bytes[i] !== 0) return wire.bytes.toString("hex", start, end);
  return "";
}
