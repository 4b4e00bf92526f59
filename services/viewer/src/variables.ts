import { expandConditionalAll, expandTimeMacros, type VariableValue as MacroValue } from "@tidemark/dashboards";
import type { Database } from "./database.ts";
import {
  ALL,
  interpolate,
  type Lookup,
  mentioned,
  sqlFormat,
  sqlLookup,
  type VariableValue,
} from "./grafana/interpolate.ts";
import type { Dashboard, Variable, VariableOption } from "./grafana/model.ts";

/** What the time macros need: milliseconds since 1970, and the width of one point in ms. */
export interface MacroContext {
  from: number;
  to: number;
  intervalMs: number;
}

/** Chosen values by variable name, as the page's URL has them; `["$__all"]` is All. */
export type Selection = Record<string, string[]>;

/** A variable as the page shows it. */
export interface ResolvedVariable {
  name: string;
  label: string;
  description: string;
  type: string;
  hide: number;
  multi: boolean;
  includeAll: boolean;
  options: VariableOption[];
  /** Chosen now; `["$__all"]` is All. */
  current: string[];
  /** Why the options could not be read. */
  error?: string;
}

/** How long the options of one variable are kept: a wall of panels asks once, a new service shows up soon. */
const OPTIONS_TTL_MS = 5000;
const MAX_CACHED = 200;

/** Options and values of a dashboard's variables. */
export class Variables {
  readonly #database: Database;
  readonly #cache = new Map<string, { at: number; options: Promise<VariableOption[]> }>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** All variables in the dashboard's order; a later one may use the earlier ones. Never rejects for one bad variable. */
  async resolve(dashboard: Dashboard, selection: Selection, context: MacroContext): Promise<ResolvedVariable[]> {
    const resolved: ResolvedVariable[] = [];
    for (const variable of dashboard.templating?.list ?? []) {
      const chosen = chosenValues(variable, selection);
      const base = {
        name: variable.name,
        label: variable.label || variable.name,
        description: variable.description ?? "",
        type: variable.type,
        hide: variable.hide ?? 0,
        multi: variable.multi ?? false,
        includeAll: variable.includeAll ?? false,
      };
      try {
        const options = await this.#options(dashboard, variable, selection, context);
        resolved.push({ ...base, options, current: settle(variable, chosen, options) });
      } catch (error) {
        resolved.push({ ...base, options: [], current: chosen, error: (error as Error).message });
      }
    }
    return resolved;
  }

  /** Values for every variable `rawSql` mentions, with All expanded to the options where the SQL needs them. */
  async lookupFor(dashboard: Dashboard, selection: Selection, context: MacroContext, rawSql: string): Promise<Lookup> {
    const sql = applyConditionals(rawSql, dashboard, selection);
    return this.#values(dashboard, selection, context, sql);
  }

  async #values(dashboard: Dashboard, selection: Selection, context: MacroContext, sql: string): Promise<Lookup> {
    const values = new Map<string, VariableValue>();
    const names = mentioned(sql);
    for (const variable of dashboard.templating?.list ?? []) {
      if (!names.has(variable.name)) continue;
      const chosen = chosenValues(variable, selection);
      const multi = (variable.multi ?? false) || (variable.includeAll ?? false);
      if (chosen[0] !== ALL) values.set(variable.name, { values: chosen, texts: chosen, multi });
      else if (variable.allValue)
        values.set(variable.name, { values: [], texts: ["All"], multi, allValue: variable.allValue });
      else {
        const options = await this.#options(dashboard, variable, selection, context);
        values.set(variable.name, { values: options.map((option) => option.value), texts: ["All"], multi });
      }
    }
    return (name) => values.get(name);
  }

  async #options(
    dashboard: Dashboard,
    variable: Variable,
    selection: Selection,
    context: MacroContext,
  ): Promise<VariableOption[]> {
    if (variable.type !== "query") return staticOptions(variable);
    const rawSql = typeof variable.query === "string" ? variable.query : (variable.query?.rawSql ?? "");
    const earlier = { ...dashboard, templating: { list: before(dashboard, variable) } };
    const lookup = await this.lookupFor(earlier, selection, context, rawSql);
    const sql = expandSql(rawSql, earlier, selection, lookup, context);
    const cached = this.#cache.get(sql);
    if (cached && Date.now() - cached.at < OPTIONS_TTL_MS) return cached.options;
    const options = this.#query(sql, variable);
    options.catch(() => this.#cache.delete(sql));
    this.#cache.set(sql, { at: Date.now(), options });
    if (this.#cache.size > MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!);
    return options;
  }

  /** First column value, second text: the ClickHouse plugin's convention. */
  async #query(sql: string, variable: Variable): Promise<VariableOption[]> {
    const { rows } = await this.#database.query(sql);
    const regex = variable.regex ? variableRegex(variable.regex) : undefined;
    const options = new Map<string, VariableOption>();
    for (const [value, text = value] of rows) {
      const option = { value: String(value ?? ""), text: String(text ?? "") };
      const match = regex ? regex.exec(option.text) : undefined;
      if (regex && !match) continue;
      if (match?.[1] !== undefined) option.value = option.text = match[1];
      options.set(option.value, option);
    }
    return sortOptions([...options.values()], variable.sort ?? 0);
  }
}

/** Expands `$__conditionalAll`, variables, then time macros: the order of the plugin's browser and server parts. */
export function expandSql(
  rawSql: string,
  dashboard: Dashboard,
  selection: Selection,
  lookup: Lookup,
  { from, to, intervalMs }: MacroContext,
): string {
  const conditional = applyConditionals(rawSql, dashboard, selection);
  const sql = interpolate(conditional, sqlLookup(lookup, conditional), sqlFormat);
  return expandTimeMacros(sql, { from: new Date(from), to: new Date(to), intervalMs });
}

function applyConditionals(rawSql: string, dashboard: Dashboard, selection: Selection): string {
  const chosen: Record<string, MacroValue> = {};
  for (const variable of dashboard.templating?.list ?? []) {
    const values = chosenValues(variable, selection);
    chosen[variable.name] = values.includes(ALL) ? ALL : values;
  }
  return expandConditionalAll(rawSql, chosen);
}

function before(dashboard: Dashboard, variable: Variable): Variable[] {
  const list = dashboard.templating?.list ?? [];
  return list.slice(0, list.indexOf(variable));
}

/** The page's choice, else the dashboard's own. */
function chosenValues(variable: Variable, selection: Selection): string[] {
  const chosen = selection[variable.name];
  if (chosen && chosen.length > 0) return chosen;
  const current = variable.current?.value;
  if (Array.isArray(current) && current.length > 0) return current;
  if (typeof current === "string" && current !== "") return [current];
  if (variable.type === "textbox" || variable.type === "constant") {
    return [typeof variable.query === "string" ? variable.query : ""];
  }
  return variable.includeAll ? [ALL] : [];
}

/** A choice that can be shown: without one, All if offered, else the first option. */
function settle(variable: Variable, chosen: string[], options: VariableOption[]): string[] {
  if (chosen.length > 0) return chosen;
  if (variable.includeAll) return [ALL];
  return options[0] ? [options[0].value] : [];
}

function staticOptions(variable: Variable): VariableOption[] {
  const query = typeof variable.query === "string" ? variable.query : "";
  if (variable.type === "textbox" || variable.type === "constant") return [{ value: query, text: query }];
  if (variable.options?.length) return variable.options.filter((option) => option.value !== ALL);
  return query
    .split(/(?<!\\),/)
    .map((part) => part.trim().replaceAll("\\,", ","))
    .filter((part) => part !== "")
    .map((part) => {
      const [, text = part, value = part] = /^(.+?)\s+:\s+(.+)$/.exec(part) ?? [];
      return { text, value };
    });
}

function variableRegex(text: string): RegExp {
  const match = /^\/(.*)\/([a-z]*)$/s.exec(text);
  return match ? new RegExp(match[1]!, match[2]!.replace("g", "")) : new RegExp(`^${text}$`);
}

/** Grafana's `VariableSort`: 1/2 text, 3/4 number, 5/6 text without case; even is descending. */
function sortOptions(options: VariableOption[], sort: number): VariableOption[] {
  if (sort === 0) return options;
  const number = (option: VariableOption) => Number(/\d+(\.\d+)?/.exec(option.text)?.[0] ?? -1);
  const compare = (a: VariableOption, b: VariableOption) => {
    if (sort === 3 || sort === 4) return number(a) - number(b);
    return sort >= 5 ? a.text.toLowerCase().localeCompare(b.text.toLowerCase()) : a.text < b.text ? -1 : 1;
  };
  const sorted = [...options].sort(compare);
  return sort % 2 === 0 ? sorted.reverse() : sorted;
}
