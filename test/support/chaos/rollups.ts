import { rows } from "../services.ts";

export interface RollupComparison {
  /** Rows that a rollup has and its base does not give, or the other way round. */
  mismatches: number;
  /** `target (rows)` of every materialised view that was compared. */
  compared: string[];
  /** Columns whose states depend on the order of merges, so that equality cannot be asked of them. */
  unchecked: string[];
  findings: string[];
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly default_kind: string;
}

/**
 * Aggregate functions whose result does not depend on the order in which rows and states are added; `any` and `anyLast` do
 * not as long as a key has one value, as every sender of ours has.
 */
const EXACT =
  /^(sum|count|min|max|any|anyLast|argMin|argMax|sumMap|minMap|maxMap|uniqExact|groupBitOr|quantilesDD|quantileDD)/;
const SHOWN = 3;
const ROUNDING = 1e-9;

/**
 * Compares every materialised view's target with what the view's own SELECT gives over its whole source. The views are
 * found in system.tables, so a new rollup is compared from the day it exists.
 */
export async function compareRollups(url: string): Promise<RollupComparison> {
  const result: RollupComparison = { mismatches: 0, compared: [], unchecked: [], findings: [] };
  const views = await rows<{ name: string; create_table_query: string; as_select: string }>(
    url,
    "SELECT name, create_table_query, as_select FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name",
  );
  const replacing = new Set(
    (
      await rows<{ name: string }>(
        url,
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%ReplacingMergeTree'",
      )
    ).map(({ name }) => name),
  );
  const targets = new Map<string, string[]>();
  for (const { name, create_table_query, as_select } of views) {
    const target = /\sTO\s+(?:\w+\.)?`?(\w+)`?/.exec(create_table_query)?.[1];
    if (target === undefined) throw new Error(`the target of ${name} is not found in: ${create_table_query}`);
    // Rows of such a source replace each other in merges: it does not give any more what the view has seen.
    const sources = [...as_select.matchAll(/\bFROM\s+(?:\w+\.)?`?(\w+)`?/g)].map((match) => match[1]!);
    if (sources.some((source) => replacing.has(source))) {
      result.unchecked.push(target);
      continue;
    }
    targets.set(target, [...(targets.get(target) ?? []), as_select]);
  }
  const rollups = await rows<{ name: string }>(
    url,
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '_1[mh]$') AND engine LIKE '%MergeTree'",
  );
  for (const { name } of rollups) {
    if (!targets.has(name)) throw new Error(`${name} looks like a rollup, but no materialised view fills it`);
  }
  for (const [target, selects] of targets) await compareTarget(url, target, selects, result);
  return result;
}

async function compareTarget(
  url: string,
  target: string,
  selects: readonly string[],
  result: RollupComparison,
): Promise<void> {
  const columns = await rows<Column>(
    url,
    `SELECT name, type, default_kind FROM system.columns WHERE database = currentDatabase() AND table = '${target}' ORDER BY position`,
  );
  const shown: string[] = [];
  const keys: string[] = [];
  const valueNames: string[] = [];
  for (const { name, type, default_kind } of columns) {
    if (default_kind !== "") continue;
    const quoted = `\`${name}\``;
    const simple = /^SimpleAggregateFunction\((\w+)/.exec(type)?.[1];
    const state = /^AggregateFunction\((\w+)(\([^)]*\))?/.exec(type);
    if (simple === undefined && state === null) {
      keys.push(quoted);
      shown.push(`CAST(${quoted}, '${type.replaceAll("'", "\\'")}') AS k${keys.length}`);
      continue;
    }
    if (!EXACT.test(simple ?? state![1]!)) {
      result.unchecked.push(`${target}.${name}`);
      continue;
    }
    const merged = simple === undefined ? `${state![1]}Merge${state![2] ?? ""}(${quoted})` : `${simple}(${quoted})`;
    valueNames.push(`a${valueNames.length + 1}`);
    shown.push(`toString(${merged}) AS ${valueNames.at(-1)}`);
  }
  const aggregated = valueNames.length > 0;
  const list = [...shown, ...(aggregated ? [] : ["count() AS n"])].join(", ");
  const grouped = (from: string) =>
    `SELECT ${list} FROM (${from}) GROUP BY ${keys.map((_, index) => `k${index + 1}`).join(", ")}`;
  const stored = grouped(`SELECT * FROM ${target}`);
  const names = columns.filter((column) => column.default_kind === "").map((column) => `\`${column.name}\``);
  const expected = grouped(selects.map((select) => `SELECT ${names} FROM (${select})`).join(" UNION ALL "));
  const [total] = await rows<{ n: number }>(url, `SELECT count() AS n FROM (${stored})`);
  result.compared.push(`${target} (${total!.n})`);
  const keyNames = keys.map((_, index) => `k${index + 1}`);
  const compared = aggregated ? valueNames : ["n"];
  const different = await rows<Record<string, unknown>>(
    url,
    `SELECT ${[...keyNames, ...compared.flatMap((name) => [`stored.${name}`, `expected.${name}`])].join(", ")}, stored.here AS stored_here, expected.here AS expected_here
     FROM (SELECT *, 1 AS here FROM (${stored})) AS stored
     FULL OUTER JOIN (SELECT *, 1 AS here FROM (${expected})) AS expected USING (${keyNames.join(", ")})
     WHERE stored_here + expected_here < 2 OR ${compared.map(differs).join(" OR ")}`,
  );
  result.mismatches += different.length;
  for (const row of different.slice(0, SHOWN)) result.findings.push(`${target}: ${JSON.stringify(row)}`);
}

/** Text that differs; sums of fractions may differ by what the order of adding does to their last digits. */
function differs(name: string): string {
  const [a, b] = [`toString(stored.${name})`, `toString(expected.${name})`];
  const [x, y] = [`toFloat64OrZero(${a})`, `toFloat64OrZero(${b})`];
  const fraction = `match(concat(${a}, ${b}), '^[0-9.e+-]*[.e][0-9.e+-]*$')`;
  return `(${a} != ${b} AND NOT (${fraction} AND abs(${x} - ${y}) <= ${ROUNDING} * abs(${x})))`;
}
