import { fingerprint } from "./labels.ts";
import type { Row } from "./state-machine.ts";

/** A result as ClickHouse's `JSONCompact` gives it. */
export interface Table {
  meta: readonly { name: string; type: string }[];
  data: readonly (readonly unknown[])[];
}

export class RuleShapeError extends Error {
  readonly code = "TDM_ALERTS_RULE_SHAPE";
}

const NUMBER = /^(Nullable\()?(U?Int(8|16|32|64)|Float(32|64))\)?$/;

/**
 * Rows of a rule's query: one number named `value`, the other columns are labels. A row whose value is NULL or not
 * finite counts as absent. Empty labels are left out, as in Prometheus an empty label is no label.
 *
 * @throws RuleShapeError if `value` is missing or no number, or two rows carry the same labels; Grafana refuses both too.
 */
export function rowsOf(table: Table): Row[] {
  const at = table.meta.findIndex((column) => column.name === "value");
  const names = table.meta.map((column) => column.name).join(", ");
  if (at === -1) throw new RuleShapeError(`the query has no column "value", only ${names}`);
  const { type } = table.meta[at]!;
  if (!NUMBER.test(type)) throw new RuleShapeError(`the column "value" is ${type}, expected a number`);
  const seen = new Set<string>();
  const rows: Row[] = [];
  for (const cells of table.data) {
    const raw = cells[at];
    const value = raw === null ? Number.NaN : Number(raw);
    if (!Number.isFinite(value)) continue;
    const labels: Record<string, string> = {};
    table.meta.forEach((column, index) => {
      const text = index === at ? "" : String(cells[index] ?? "");
      if (text !== "") labels[column.name] = text;
    });
    const key = fingerprint(labels);
    if (seen.has(key)) throw new RuleShapeError(`two rows have the labels ${JSON.stringify(labels)}`);
    seen.add(key);
    rows.push({ labels, value });
  }
  return rows;
}
