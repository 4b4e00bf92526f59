import { rows } from "../services.ts";
import { PLACES, ROWS, type Signal } from "./batch.ts";
import type { Ledger } from "./load.ts";

/** Rows of acknowledged requests that are missing, rows that are there more than once, and what nobody was told. */
export interface RowComparison {
  acknowledged: number;
  stored: number;
  lost: number;
  duplicated: number;
  /** Stored although the sender never got an answer. */
  unanswered_stored: number;
  /** Stored although the sender was told that it failed. */
  refused_stored: number;
  /** Samples without a row in `series`, query timings without their statement. */
  orphans: number;
  /** What is wrong, for people: at most a few lines per table. */
  findings: string[];
}

const SHOWN = 5;

/** Compares row by row what was acknowledged with what is stored. */
export async function compareRows(url: string, ledgers: Record<Signal, Ledger>): Promise<RowComparison> {
  const result: RowComparison = {
    acknowledged: 0,
    stored: 0,
    lost: 0,
    duplicated: 0,
    unanswered_stored: 0,
    refused_stored: 0,
    orphans: 0,
    findings: [],
  };
  for (const { table, signal, id, where } of PLACES) {
    const { acknowledged, refused } = ledgers[signal];
    const stored = await rows<{ batch: number; n: number; different: number }>(
      url,
      `SELECT intDiv(id, ${ROWS}) AS batch, count() AS n, uniqExact(id) AS different
       FROM (SELECT toUInt64(${id}) AS id FROM ${table} WHERE ${where}) GROUP BY batch`,
    );
    const missing = new Set(acknowledged);
    const findings: string[] = [];
    for (const { batch, n, different } of stored) {
      result.stored += n;
      if (n !== different) {
        result.duplicated += n - different;
        findings.push(`${table} where ${where}: batch ${batch} has ${n} rows, ${different} different`);
      }
      if (missing.delete(batch)) {
        result.lost += ROWS - different;
        if (different !== ROWS)
          findings.push(`${table} where ${where}: batch ${batch} has ${different} of ${ROWS} rows`);
      } else if (refused.has(batch)) {
        result.refused_stored += n;
        findings.push(`${table} where ${where}: batch ${batch} was refused and is stored`);
      } else result.unanswered_stored += n;
    }
    result.acknowledged += acknowledged.size * ROWS;
    result.lost += missing.size * ROWS;
    if (missing.size > 0) findings.push(`${table} where ${where}: lost batches ${[...missing].slice(0, SHOWN)} ...`);
    result.findings.push(...findings.slice(0, SHOWN));
  }
  const series = ["samples", "histograms", "exp_histograms", "summaries"].map(
    (table) => `SELECT count() AS n FROM ${table} WHERE series_id NOT IN (SELECT series_id FROM series)`,
  );
  const statements = `SELECT count() AS n FROM query_timings WHERE statement_id NOT IN (SELECT statement_id FROM query_statements)`;
  for (const sql of [...series, statements]) {
    const [row] = await rows<{ n: number }>(url, sql);
    result.orphans += row!.n;
    if (row!.n > 0) result.findings.push(`${row!.n} rows of: ${sql}`);
  }
  return result;
}
