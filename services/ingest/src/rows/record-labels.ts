import { type Attribute, isCleanText, readAttributes, readValueText, text } from "../otlp/attributes.ts";
import type { Wire } from "../otlp/wire.ts";
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

/** Reads one `KeyValue` straight into a label map's open row: a plain text value is copied without being decoded. */
export function pushLabel(column: Labels, wire: Wire, start: number, end: number): void {
  let key = "";
  let valueStart = 0;
  let valueEnd = 0;
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10 || tag === 18) {
      const stop = wire.span(end);
      if (tag === 10) key = text(wire, wire.pos, stop);
      else {
        valueStart = wire.pos;
        valueEnd = stop;
      }
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  column.keys.push(key);
  // An AnyValue that is one string and nothing else: tag 10, its length, its bytes.
  if (valueEnd - valueStart >= 2 && wire.bytes[valueStart] === 10) {
    wire.pos = valueStart + 1;
    const stop = wire.span(valueEnd);
    if (stop === valueEnd && isCleanText(wire, wire.pos, stop)) {
      column.items.pushRaw(wire.bytes, wire.pos, stop);
      return;
    }
  }
  column.items.push(readValueText(wire, valueStart, valueEnd));
}

/** Pushes a protobuf string; bytes that are not UTF-8 become U+FFFD. */
export function pushText(column: Text, wire: Wire, start: number, end: number): void {
  if (isCleanText(wire, start, end)) column.pushRaw(wire.bytes, start, end);
  else column.push(text(wire, start, end));
}

/** Attributes of scopes: field 3 of each of their messages. */
export function scopeAttributes(wire: Wire, ranges: readonly number[]): Attribute[] {
  const attributes: Attribute[] = [];
  for (let i = 0; i < ranges.length; i += 2) readAttributes(wire, ranges[i]!, ranges[i + 1]!, 3, attributes);
  return attributes;
}

/** Trace and span ids as the OpenTelemetry exporter stores them: lower-case hexadecimal, empty for none or all zero. */
export function idText(wire: Wire, start: number, end: number): string {
  for (let i = start; i < end; i++) if (wire.bytes[i] !== 0) return wire.bytes.toString("hex", start, end);
  return "";
}
