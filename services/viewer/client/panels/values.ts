import { type DisplayField, type Shown, show, toRegExp } from "../fields.ts";
import { reduce } from "../reduce.ts";
import { timeOf } from "../series.ts";
import type { PanelData } from "./panel-view.ts";

/** One figure of a stat or bar gauge. */
export interface Item {
  title: string;
  value: number | string | boolean | null;
  shown: Shown;
  field: DisplayField;
  row: number;
  /** Values over time, for the small chart. */
  trend: unknown[] | undefined;
}

interface ReduceOptions {
  calcs?: string[];
  values?: boolean;
  fields?: string;
  limit?: number;
}

const DEFAULT_LIMIT = 25;

/** Reduces each column to a figure, or takes each row. Source: Grafana, `getFieldDisplayValues`. */
export function items(data: PanelData): Item[] {
  const options = (data.panel.options?.reduceOptions ?? {}) as ReduceOptions;
  const wanted = options.fields ? toRegExp(options.fields) : undefined;
  const fields = data.fields.filter((field) => (wanted ? wanted.test(field.name) : field.type === "number"));
  const calc = options.calcs?.[0] ?? "lastNotNull";
  if (!options.values) {
    return fields.map((field) => {
      const value = reduce(field.values, calc);
      return {
        title: field.name,
        value,
        shown: show(field, value, data.theme),
        field,
        row: field.values.length - 1,
        trend: timeOf(field) ? field.values : undefined,
      };
    });
  }
  const result: Item[] = [];
  for (const field of fields) {
    const texts = data.fields.filter(
      (other) => other.frame === field.frame && other.type === "string" && other !== field,
    );
    field.values.slice(0, options.limit ?? DEFAULT_LIMIT).forEach((value, row) => {
      const name = texts.map((text) => show(text, text.values[row], data.theme).text).join(" ");
      const title = field.config.displayName
        ? field.name.replace(/\$\{__data\.fields(?:\.(\w+)|\["?([^"\]]+)"?\])\}/g, (_, a, b) =>
            String(texts.find((text) => text.rawName === (a ?? b))?.values[row] ?? ""),
          )
        : fields.length > 1 && name
          ? `${name} ${field.name}`
          : name || field.name;
      const primitive = value as Item["value"];
      result.push({ title, value: primitive, shown: show(field, value, data.theme), field, row, trend: undefined });
    });
  }
  return result;
}
