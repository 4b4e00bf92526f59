import { BYTES, FIXED64, joined, signedText, VARINT, type Wire } from "./wire.ts";

/** Deepest nesting of arrays and maps in an attribute that is read. Source: the default of Google's protobuf parsers. */
const MAX_DEPTH = 100;

export type Attribute = readonly [key: string, value: string];

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** What becomes of an entry of a map within a value: another value, or undefined for none. */
export type Entries = (key: string, value: Json) => Json | undefined;

const ALL_ENTRIES: Entries = (_key, value) => value;

/** Text of a protobuf string; bytes that are not UTF-8 become U+FFFD, so that no row breaks a reader downstream. */
export function text(wire: Wire, start: number, end: number): string {
  return start === end ? "" : wire.bytes.toString("utf8", start, end);
}

/**
 * Reads the `KeyValue` messages of field `field` in one message and adds them to `into`.
 * A value is written the way the OpenTelemetry Collector's `AsString` does: scalars plain, arrays and maps as JSON,
 * bytes as base64.
 */
export function readAttributes(
  wire: Wire,
  start: number,
  end: number,
  field: number,
  into: Attribute[],
  entries?: Entries,
): void {
  const wanted = (field << 3) | BYTES;
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === wanted) {
      const stop = wire.span(end);
      into.push(readKeyValue(wire, wire.pos, stop, entries));
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
}

export function readKeyValue(wire: Wire, start: number, end: number, entries?: Entries): Attribute {
  let key = "";
  const values: number[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10 || tag === 18) {
      const stop = wire.span(end);
      if (tag === 10) key = text(wire, wire.pos, stop);
      else values.push(wire.pos, stop);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  return [key, readValuesText(wire, values, entries)];
}

/** Text of an `AnyValue` that came in any number of parts: `ranges` are start and end, pairwise. */
export function readValuesText(wire: Wire, ranges: readonly number[], entries?: Entries): string {
  if (ranges.length === 0) return "";
  if (ranges.length === 2) return readValueText(wire, ranges[0]!, ranges[1]!, entries);
  const whole = joined(wire, ranges);
  return readValueText(whole, 0, whole.bytes.length, entries);
}

/** Text of one `AnyValue`. An empty value is the empty string. */
export function readValueText(wire: Wire, start: number, end: number, entries: Entries = ALL_ENTRIES): string {
  let result = "";
  /** Field and parts of an array or map, while it is the last of the value's fields. */
  let field = 0;
  let parts: number[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === ((5 << 3) | BYTES) || tag === ((6 << 3) | BYTES)) {
      const stop = wire.span(end);
      if (field !== tag >> 3) parts = [];
      field = tag >> 3;
      parts.push(wire.pos, stop);
      wire.pos = stop;
      continue;
    }
    if (tag === ((1 << 3) | BYTES)) {
      const stop = wire.span(end);
      result = text(wire, wire.pos, stop);
      wire.pos = stop;
    } else if (tag === ((2 << 3) | VARINT)) {
      result = wire.varint(end) === 0 ? "false" : "true";
    } else if (tag === ((3 << 3) | VARINT)) {
      wire.varint(end);
      result = signedText(wire.lo, wire.hi);
    } else if (tag === ((4 << 3) | FIXED64)) {
      result = String(wire.double(end));
    } else if (tag === ((7 << 3) | BYTES)) {
      const stop = wire.span(end);
      result = wire.bytes.toString("base64", wire.pos, stop);
      wire.pos = stop;
    } else {
      wire.skip(tag, end);
      continue;
    }
    field = 0;
  }
  return field === 0 ? result : JSON.stringify(readList(wire, field, parts, 1, entries));
}

/** An array (field 5) or a map (field 6) that came in any number of parts. */
function readList(wire: Wire, field: number, parts: readonly number[], depth: number, entries: Entries): Json {
  const read = field === 5 ? readArray : readMap;
  if (parts.length === 2) return read(wire, parts[0]!, parts[1]!, depth, entries);
  const whole = joined(wire, parts);
  return read(whole, 0, whole.bytes.length, depth, entries);
}

function readArray(wire: Wire, start: number, end: number, depth: number, entries: Entries): Json[] {
  if (depth > MAX_DEPTH) wire.fail("attribute nested too deep");
  const items: Json[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10) {
      const stop = wire.span(end);
      items.push(readJson(wire, wire.pos, stop, depth, entries));
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  return items;
}

function readMap(wire: Wire, start: number, end: number, depth: number, entries: Entries): Json {
  if (depth > MAX_DEPTH) wire.fail("attribute nested too deep");
  const map = new Map<string, Json>();
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10) {
      const stop = wire.span(end);
      const [key, value] = readJsonPair(wire, wire.pos, stop, depth, entries);
      const kept = entries(key, value);
      if (kept !== undefined) map.set(key, kept);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  return Object.fromEntries(map);
}

function readJsonPair(wire: Wire, start: number, end: number, depth: number, entries: Entries): [string, Json] {
  let key = "";
  const values: number[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10 || tag === 18) {
      const stop = wire.span(end);
      if (tag === 10) key = text(wire, wire.pos, stop);
      else values.push(wire.pos, stop);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  if (values.length === 0) return [key, null];
  if (values.length === 2) return [key, readJson(wire, values[0]!, values[1]!, depth, entries)];
  const whole = joined(wire, values);
  return [key, readJson(whole, 0, whole.bytes.length, depth, entries)];
}

function readJson(wire: Wire, start: number, end: number, depth: number, entries: Entries): Json {
  let result: Json = null;
  let list = 0;
  let parts: number[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    const field = tag >>> 3;
    switch (tag) {
      case (5 << 3) | BYTES:
      case (6 << 3) | BYTES: {
        const stop = wire.span(end);
        if (list !== field) parts = [];
        list = field;
        parts.push(wire.pos, stop);
        wire.pos = stop;
        continue;
      }
      case (2 << 3) | VARINT:
        result = wire.varint(end) !== 0;
        break;
      case (3 << 3) | VARINT:
        wire.varint(end);
        result = Number(signedText(wire.lo, wire.hi));
        break;
      case (4 << 3) | FIXED64: {
        const value = wire.double(end);
        result = Number.isFinite(value) ? value : String(value);
        break;
      }
      case (1 << 3) | BYTES:
      case (7 << 3) | BYTES: {
        const stop = wire.span(end);
        if (field === 1) result = text(wire, wire.pos, stop);
        else result = wire.bytes.toString("base64", wire.pos, stop);
        wire.pos = stop;
        break;
      }
      default:
        wire.skip(tag, end);
        continue;
    }
    list = 0;
  }
  return list === 0 ? result : readList(wire, list, parts, depth + 1, entries);
}
