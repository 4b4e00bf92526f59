import type { Field, Frame } from "./frame.ts";

/** What a frame is to Grafana: no time series, long (has text columns) or wide. */
export type SeriesShape = "not" | "long" | "wide";

/** Source: grafana-plugin-sdk-go, `Frame.TimeSeriesSchema`: text and boolean columns are factors, the rest values. */
export function seriesShape(frame: Frame): SeriesShape {
  const time = frame.fields.find((field) => field.type === "time");
  if (!time) return "not";
  const factors = frame.fields.filter(isFactor);
  if (frame.fields.length - factors.length - 1 === 0) return "not";
  return factors.length === 0 ? "wide" : "long";
}

function isFactor(field: Field): boolean {
  return field.type === "string" || field.type === "boolean";
}

/** A result that cannot be drawn as a time series; the message says which rule it breaks. */
export class ShapeError extends Error {}

/**
 * Turns long rows (time, text columns, values) into one column per value and combination of texts, which become its labels.
 * A series without a row at some time has null there. Columns come out sorted by name, then by the label values in the
 * order of the text columns; of two rows with the same time and labels the later one wins.
 *
 * Throws ShapeError when the frame is not long, a time is null or the times do not ascend.
 * Source: grafana-plugin-sdk-go, `data.LongToWide` with FillModeNull, which is what the ClickHouse plugin asks for.
 */
export function longToWide(frame: Frame): Frame {
  const shape = seriesShape(frame);
  if (shape !== "long") {
    throw new ShapeError(`can not convert to wide series, expected long format series input but got ${shape} series`);
  }
  const time = frame.fields.find((field) => field.type === "time")!;
  const factors = frame.fields.filter(isFactor);
  const values = frame.fields.filter((field) => field !== time && !isFactor(field));
  const times: number[] = [];
  const columns = new Map<string, Field[]>();
  for (let row = 0; row < time.values.length; row++) {
    const at = time.values[row];
    if (typeof at !== "number") throw new ShapeError("can not convert to wide series, input has null time values");
    const last = times.at(-1);
    if (last !== undefined && at < last) {
      throw new ShapeError("long series must be sorted ascending by time to be converted");
    }
    if (last === undefined || at > last) times.push(at);
    const texts = factors.map((factor) => labelText(factor.values[row]));
    const key = JSON.stringify(texts);
    let series = columns.get(key);
    if (!series) {
      const labels = Object.fromEntries(factors.map((factor, i) => [factor.name, texts[i]!]));
      series = values.map((value) => ({ name: value.name, type: value.type, labels, values: [] }));
      columns.set(key, series);
    }
    for (const [i, column] of series.entries()) column.values[times.length - 1] = values[i]!.values[row] ?? null;
  }
  const fields = [...columns.values()].flat();
  for (const field of fields) field.values = Array.from(times, (_, i) => field.values[i] ?? null);
  fields.sort((a, b) => compare(a.name, b.name) || compareLabels(a, b, factors));
  return { ...frame, fields: [{ name: time.name, type: "time", values: times }, ...fields] };
}

function labelText(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareLabels(a: Field, b: Field, factors: Field[]): number {
  for (const { name } of factors) {
    const order = compare(a.labels?.[name] ?? "", b.labels?.[name] ?? "");
    if (order !== 0) return order;
  }
  return 0;
}
