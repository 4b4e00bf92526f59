/** Value of "All" in a variable, in Grafana's JSON and URLs. */
export const ALL = "$__all";

/** One variable as the text that mentions it sees it: chosen values and their texts, "All" already expanded. */
export interface VariableValue {
  values: string[];
  texts: string[];
  /** Several values may be chosen: then even one value is formatted as a list. */
  multi: boolean;
  /** The dashboard's own text for "All", used raw instead of the list. */
  allValue?: string | undefined;
}

export type Lookup = (name: string) => VariableValue | undefined;

/** Formats a value mentioned without a format of its own. */
export type DefaultFormat = (value: VariableValue, name: string) => string;

/** Source: Grafana, `templateSrv` variable regex: `$name`, `[[name:format]]`, `${name.path:format}`. */
const VARIABLE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}/g;

/** A value that a format cannot make safe inside SQL, or an unknown format; the message names the variable. */
export class InterpolationError extends Error {}

/** Replaces every variable `lookup` knows; leaves the rest (macros, built-ins of other layers) as it stands. */
export function interpolate(text: string, lookup: Lookup, fallback: DefaultFormat): string {
  return text.replace(VARIABLE, (whole, plain, bracket, bracketFormat, curly, _path, curlyFormat) => {
    const name: string = plain ?? bracket ?? curly;
    const value = lookup(name);
    if (!value) return whole;
    if (value.allValue !== undefined) return value.allValue;
    const format: string | undefined = bracketFormat ?? curlyFormat;
    return format ? formatValue(value, format, name) : fallback(value, name);
  });
}

/** Names of the variables a text mentions. */
export function mentioned(text: string): Set<string> {
  return new Set([...text.matchAll(VARIABLE)].map((match) => (match[1] ?? match[2] ?? match[4])!));
}

/** Grafana's default outside of SQL: one value as it is, several as `{a,b}`. */
export function globFormat({ values }: VariableValue): string {
  return values.length === 1 ? values[0]! : `{${values.join(",")}}`;
}

/** The ClickHouse plugin's default: a list is quoted, a single value stands raw and so must not carry SQL. */
export function sqlFormat(value: VariableValue, name: string): string {
  return value.multi ? quoteAll(value.values) : formatValue(value, "raw", name);
}

/** Inside SQL, formats that do not quote accept only values that cannot end a literal or start an expression. */
const UNSAFE_RAW = /['"`\\;()]|--|\/\*|#/;

/** Refuses unquoted values that could change the meaning of the SQL around them. Throws InterpolationError. */
export function sqlLookup(lookup: Lookup, sql: string): Lookup {
  const unquoted = new Set<string>();
  for (const match of sql.matchAll(VARIABLE)) {
    const name = (match[1] ?? match[2] ?? match[4])!;
    const format = match[3] ?? match[6];
    const quoted = format === undefined ? lookup(name)?.multi : format === "singlequote" || format === "sqlstring";
    if (!quoted) unquoted.add(name);
  }
  return (name) => {
    const value = lookup(name);
    const bad = unquoted.has(name) ? value?.values.find((text) => UNSAFE_RAW.test(text)) : undefined;
    if (bad !== undefined)
      throw new InterpolationError(`the value "${bad}" of variable "${name}" may not stand in SQL`);
    return value;
  };
}

function quoteAll(values: string[]): string {
  return values.map((value) => `'${value.replace(/\\/g, "\\\\").replace(/'/g, "\\'")}'`).join(",");
}

function list(values: string[], each: (value: string) => string, separator: string): string {
  return values.map(each).join(separator);
}

function formatValue({ values, texts }: VariableValue, format: string, name: string): string {
  switch (format) {
    case "raw":
    case "csv":
      return values.join(",");
    case "singlequote":
    case "sqlstring":
      return quoteAll(values);
    case "doublequote":
      return list(values, (value) => `"${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`, ",");
    case "pipe":
      return values.join("|");
    case "regex":
      return values.length === 1 ? escapeRegex(values[0]!) : `(${list(values, (value) => escapeRegex(value), "|")})`;
    case "json":
      return JSON.stringify(values.length === 1 ? values[0] : values);
    case "text":
      return texts.join(" + ");
    case "glob":
      return values.length === 1 ? values[0]! : `{${values.join(",")}}`;
    case "percentencode":
      return encodeURIComponent(values.join(","));
    case "queryparam":
      return list(values, (value) => `var-${name}=${encodeURIComponent(value)}`, "&");
    default:
      throw new InterpolationError(`"${format}" of variable "${name}" is no format this viewer knows`);
  }
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$*+?.()|[\]{}/]/g, "\\$&");
}
