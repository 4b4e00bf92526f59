import type { DisplayField } from "./fields.ts";

const MS_PER_S = 1000;

/** A number or null is data or a gap; undefined is a place without a point, which a line passes over. */
export type Column = (number | null | undefined)[];

export interface Aligned {
  /** Seconds since 1970, ascending. */
  times: number[];
  columns: Column[];
  fields: DisplayField[];
}

/** Puts every number column of frames with a time on one time axis. */
export function align(fields: DisplayField[]): Aligned {
  const numbers = fields.filter((field) => field.type === "number" && timeOf(field) && !hiddenInViz(field));
  const all = new Set<number>();
  for (const field of numbers) for (const time of timeOf(field)!) if (typeof time === "number") all.add(time);
  const millis = [...all].sort((a, b) => a - b);
  const indexOf = new Map(millis.map((time, i) => [time, i]));
  const columns = numbers.map((field) => {
    const column: Column = new Array(millis.length).fill(undefined);
    const times = timeOf(field)!;
    for (let row = 0; row < times.length; row++) {
      const at = indexOf.get(times[row] as number);
      const value = field.values[row];
      if (at !== undefined) column[at] = typeof value === "number" ? value : null;
    }
    return spanNulls(column, millis, field.custom.spanNulls);
  });
  return { times: millis.map((time) => time / MS_PER_S), columns, fields: numbers };
}

export function timeOf(field: DisplayField): unknown[] | undefined {
  return field.frame.fields.find((candidate) => candidate.type === "time")?.values;
}

function hiddenInViz(field: DisplayField): boolean {
  return (field.custom.hideFrom as { viz?: boolean } | undefined)?.viz === true;
}

/** Turns nulls into "pass over" where the gap is short enough. `spanNulls`: true, or milliseconds. */
function spanNulls(column: Column, millis: number[], setting: unknown): Column {
  if (setting === true) return column.map((value) => (value === null ? undefined : value));
  if (typeof setting !== "number") return column;
  const result = [...column];
  let last = -1;
  for (let i = 0; i < column.length; i++) {
    if (typeof column[i] !== "number") continue;
    if (last !== -1 && millis[i]! - millis[last]! <= setting) for (let j = last + 1; j < i; j++) result[j] = undefined;
    last = i;
  }
  return result;
}

/** Running totals within each stacking group, bottom first. Fields that are not stacked stay as they are. */
export function stack(aligned: Aligned): { columns: Column[]; below: (number | undefined)[]; stacked: boolean } {
  const totals = new Map<string, { sum: number[]; last: number }>();
  const below: (number | undefined)[] = [];
  const percent = new Map<string, number[]>();
  for (const [i, field] of aligned.fields.entries()) {
    const { mode, group } = stacking(field);
    if (mode !== "percent") continue;
    const sum = percent.get(group) ?? new Array(aligned.times.length).fill(0);
    aligned.columns[i]!.forEach((value, row) => {
      sum[row] += value ?? 0;
    });
    percent.set(group, sum);
  }
  let stacked = false;
  const columns = aligned.columns.map((column, i) => {
    const field = aligned.fields[i]!;
    const { mode, group } = stacking(field);
    if (mode === "none") {
      below.push(undefined);
      return column;
    }
    stacked = true;
    const state = totals.get(group) ?? { sum: new Array(aligned.times.length).fill(0), last: -1 };
    totals.set(group, state);
    below.push(state.last === -1 ? undefined : state.last);
    state.last = i;
    const scale = percent.get(group);
    return column.map((value, row) => {
      const part = scale ? (value ?? 0) / (scale[row] || 1) : (value ?? 0);
      state.sum[row] = state.sum[row]! + part;
      return state.sum[row]!;
    });
  });
  return { columns, below, stacked };
}

function stacking(field: DisplayField): { mode: string; group: string } {
  const { mode = "none", group = "A" } = (field.custom.stacking ?? {}) as { mode?: string; group?: string };
  return { mode, group: `${field.config.unit ?? ""}/${group}` };
}
