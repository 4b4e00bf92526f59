import type { Field, FieldType, Frame } from "./frame.ts";

export interface Column {
  name: string;
  /** ClickHouse type, for example `LowCardinality(Nullable(String))`. */
  type: string;
}

const WRAPPERS = /^(?:Nullable|LowCardinality)\((.*)\)$/s;
const NUMBER = /^(?:U?Int\d+|Float\d+|BFloat16|Decimal\d*(?:\(|$))/;
const DATE_TIME = /^DateTime(?:64)?(?:\((?:\d+)?(?:,?\s*'([^']+)')?\))?$/;
const MS_PER_S = 1000;
const MS_PER_DAY = 86_400_000;

/** Strips `Nullable` and `LowCardinality`. */
export function innerType(type: string): string {
  const match = WRAPPERS.exec(type);
  return match ? innerType(match[1]!) : type;
}

/** The frame type Grafana's plugin gives a ClickHouse column. */
export function fieldType(type: string): FieldType {
  const inner = innerType(type);
  if (DATE_TIME.test(inner) || inner === "Date" || inner === "Date32") return "time";
  if (NUMBER.test(inner)) return "number";
  if (inner === "Bool") return "boolean";
  if (/^(?:String|FixedString|Enum|UUID|IPv)/.test(inner)) return "string";
  return "other";
}

/**
 * Rows of ClickHouse's JSON formats as a frame.
 *
 * A `DateTime` without a time zone of its own is text in `timezone`, the server's zone (IANA name).
 * Throws RangeError when a time cannot be read.
 */
export function toFrame(refId: string, columns: Column[], rows: unknown[][], timezone: string): Frame {
  const fields = columns.map((column, index): Field => {
    const type = fieldType(column.type);
    const zone = DATE_TIME.exec(innerType(column.type))?.[1] ?? timezone;
    const values = rows.map((row) => convert(row[index], type, zone));
    return { name: column.name, type, values };
  });
  return { refId, name: refId, fields };
}

function convert(value: unknown, type: FieldType, zone: string): unknown {
  if (value === null || value === undefined) return null;
  if (type === "number") return toNumber(value);
  if (type === "time") return parseTime(String(value), zone);
  if (type === "other") return typeof value === "string" ? value : JSON.stringify(value);
  return type === "boolean" ? Boolean(value) : String(value);
}

function toNumber(value: unknown): number | null {
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

const TIME_TEXT = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z)?)?$/;

/** Milliseconds since 1970 of ClickHouse's text `2026-11-21 04:00:00.123` in `zone`. Throws RangeError. */
export function parseTime(text: string, zone: string): number {
  const match = TIME_TEXT.exec(text);
  if (!match) throw new RangeError(`"${text}" is not a ClickHouse time`);
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", utc] = match;
  const millis = fraction === "" ? 0 : Number(`0.${fraction}`) * MS_PER_S;
  const wall = Date.UTC(+year!, +month! - 1, +day!, +hour, +minute, +second) + Math.floor(millis);
  if (utc || zone === "UTC" || hour === undefined) return wall;
  const guess = wall - offset(wall, zone);
  return wall - offset(guess, zone);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** Milliseconds the zone's wall clock is ahead of UTC at that instant. */
function offset(instant: number, zone: string): number {
  let formatter = formatters.get(zone);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formatters.set(zone, formatter);
  }
  const part: Record<string, number> = {};
  for (const { type, value } of formatter.formatToParts(instant)) part[type] = Number(value);
  const wall = Date.UTC(part.year!, part.month! - 1, part.day!, part.hour!, part.minute!, part.second!);
  const floor = instant - (((instant % MS_PER_S) + MS_PER_S) % MS_PER_S);
  return Math.abs(wall - floor) < 2 * MS_PER_DAY ? wall - floor : 0;
}
