export type FieldType = "time" | "number" | "string" | "boolean" | "other";

/** One column. Time values are milliseconds since 1970 (UTC); a missing value is null. */
export interface Field {
  name: string;
  type: FieldType;
  labels?: Record<string, string>;
  values: unknown[];
}

/** What Grafana calls a data frame: columns of equal length. `name` is the refId, as Grafana's SQL plugins set it. */
export interface Frame {
  refId: string;
  name: string;
  fields: Field[];
}

/** Number of rows of a frame; 0 without fields. */
export function frameLength(frame: Frame): number {
  return frame.fields[0]?.values.length ?? 0;
}
