const MS_PER_S = 1e3;

/** What a panel's SQL is expanded for. */
export interface MacroContext {
  readonly from: Date;
  readonly to: Date;
  /** Width of one point in milliseconds, as Grafana computes it: see `grafanaInterval`. */
  readonly intervalMs: number;
  /** Value of every template variable; missing means "All". */
  readonly variables?: Readonly<Record<string, VariableValue>>;
}

/** Chosen values of a template variable, or all of them. */
export type VariableValue = readonly string[] | typeof ALL;

/** What Grafana stores for "All". */
export const ALL = "$__all";

/** A macro or variable that cannot be expanded; `message` says which and why. */
export class MacroError extends Error {
  override readonly name = "MacroError";
}

/**
 * SQL as ClickHouse gets it: first `$__conditionalAll`, then variables (both happen in Grafana's browser part), then the time macros
 * (in its back end). Pure.
 *
 * @throws {MacroError} wrong number of arguments, unknown variable format.
 */
export function expand(sql: string, context: MacroContext): string {
  const variables = context.variables ?? {};
  return expandTimeMacros(expandVariables(expandConditionalAll(sql, variables), variables), context);
}

const CONDITIONAL = "$__conditionalAll(";

/**
 * `$__conditionalAll(condition, $name)`: the condition, or `1=1` when the variable is unknown, empty or All.
 * Source: grafana/clickhouse-datasource `src/data/CHDatasource.ts`, applyConditionalAll.
 *
 * @throws {MacroError} not exactly two arguments.
 */
export function expandConditionalAll(sql: string, variables: Readonly<Record<string, VariableValue>>): string {
  let text = sql;
  for (let at = text.lastIndexOf(CONDITIONAL); at !== -1; at = text.lastIndexOf(CONDITIONAL)) {
    const call = readArguments(text, at + CONDITIONAL.length - 1);
    const [condition, variable] = call?.args ?? [];
    if (call === undefined || condition === undefined || variable === undefined || call.args.length !== 2) {
      throw new MacroError(`$__conditionalAll needs a condition and a variable: ${text.slice(at, at + 80)}`);
    }
    const value = variables[variable.trim().slice(1)];
    const all = value === undefined || value === ALL || value.length === 0 || value.join("") === "";
    text = text.slice(0, at) + (all ? "1=1" : condition) + text.slice(call.end);
  }
  return text;
}

const FORMATS: Record<string, (values: readonly string[]) => string> = {
  // Grafana leaves a backslash as it is, which lets a value end the literal; doubling it changes nothing else.
  singlequote: (values) => values.map((v) => `'${v.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`).join(","),
  sqlstring: (values) => values.map((v) => `'${v.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`).join(","),
  doublequote: (values) => values.map((v) => `"${v.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`).join(","),
};

const VARIABLE = /\$\{([A-Za-z]\w*):(\w+)\}/g;

/**
 * `${name:format}` for the quoting formats. A variable that is All and stands outside `$__conditionalAll` becomes the empty list `''`.
 * Bare `$name` and `${name}` are left alone: no dashboard here uses a value without quoting it.
 *
 * @throws {MacroError} unknown format.
 */
export function expandVariables(sql: string, variables: Readonly<Record<string, VariableValue>>): string {
  return sql.replace(VARIABLE, (text, name: string, format: string) => {
    const quote = FORMATS[format];
    if (quote === undefined) throw new MacroError(`unknown variable format in ${text}`);
    const value = variables[name];
    return quote(value === undefined || value === ALL ? [""] : value);
  });
}

type Expander = (args: readonly string[], context: MacroContext) => string;

/** Source: grafana/clickhouse-datasource `pkg/macros/macros.go`; a golden table in the tests was made by running that code. */
const MACROS: Record<string, { readonly arity: number; readonly expand: Expander }> = {
  timeFilter: { arity: 1, expand: ([c], { from, to }) => `${c} >= ${seconds(from)} AND ${c} <= ${seconds(to)}` },
  timeFilter_ms: { arity: 1, expand: ([c], { from, to }) => `${c} >= ${millis(from)} AND ${c} <= ${millis(to)}` },
  dateFilter: { arity: 1, expand: ([d], { from, to }) => `${d} >= ${day(from)} AND ${d} <= ${day(to)}` },
  dateTimeFilter: { arity: 2, expand: dateAndTime },
  dt: { arity: 2, expand: dateAndTime },
  fromTime: { arity: 0, expand: (_, { from }) => seconds(from) },
  toTime: { arity: 0, expand: (_, { to }) => seconds(to) },
  fromTime_ms: { arity: 0, expand: (_, { from }) => millis(from) },
  toTime_ms: { arity: 0, expand: (_, { to }) => millis(to) },
  timeInterval: {
    arity: 1,
    expand: ([c], { intervalMs }) =>
      `toStartOfInterval(toDateTime(${c}), INTERVAL ${intervalSeconds(intervalMs)} second)`,
  },
  timeInterval_ms: {
    arity: 1,
    expand: ([c], { intervalMs }) =>
      `toStartOfInterval(toDateTime64(${c}, 3), INTERVAL ${Math.max(1, Math.floor(intervalMs))} millisecond)`,
  },
  interval_s: { arity: 0, expand: (_, { intervalMs }) => String(intervalSeconds(intervalMs)) },
};

const MACRO = /\$__([A-Za-z]\w*)/g;

/**
 * Expands the time macros everywhere, in strings and comments too, as the plugin does; an unknown macro stays as it is.
 *
 * @throws {MacroError} wrong number of arguments.
 */
export function expandTimeMacros(sql: string, context: MacroContext): string {
  let out = "";
  let done = 0;
  for (const match of sql.matchAll(MACRO)) {
    const macro = MACROS[match[1] ?? ""];
    if (macro === undefined || match.index < done) continue;
    const after = match.index + match[0].length;
    const call = sql[after] === "(" ? readArguments(sql, after) : undefined;
    const args = macro.arity === 0 ? [] : (call?.args ?? []).map((arg) => arg.trim());
    if (args.length !== macro.arity) {
      throw new MacroError(
        `unexpected number of arguments: expected ${macro.arity} argument, received ${args.length} (${match[0]})`,
      );
    }
    out += sql.slice(done, match.index) + macro.expand(args, context);
    done = macro.arity === 0 ? after : (call?.end ?? after);
  }
  return out + sql.slice(done);
}

/** Arguments of the call whose opening bracket is at `open`; `end` is the index after its closing bracket. */
function readArguments(
  text: string,
  open: number,
): { readonly args: readonly string[]; readonly end: number } | undefined {
  const args: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let i = open; i < text.length; i++) {
    const char = text[i];
    if (char === "(") depth++;
    else if (char === ")") depth--;
    if ((char === "," && depth === 1) || depth === 0) {
      args.push(text.slice(start, i));
      start = i + 1;
    }
    if (depth === 0) return { args, end: i + 1 };
  }
  return undefined;
}

function dateAndTime([d, c]: readonly string[], { from, to }: MacroContext): string {
  return `(${d} >= ${day(from)} AND ${d} <= ${day(to)}) AND (${c} >= ${seconds(from)} AND ${c} <= ${seconds(to)})`;
}

function seconds(time: Date): string {
  return `toDateTime(${Math.floor(time.getTime() / MS_PER_S)})`;
}

function millis(time: Date): string {
  return `fromUnixTimestamp64Milli(${time.getTime()})`;
}

function day(time: Date): string {
  return `toDate('${time.toISOString().slice(0, 10)}')`;
}

function intervalSeconds(intervalMs: number): number {
  return Math.max(1, Math.floor(intervalMs / MS_PER_S));
}
