import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDashboards } from "../src/load.ts";
import { expand } from "../src/macros.ts";
import { TIER, WITH_STEP } from "../src/sql/fragments.ts";
import { type Table, windowColumns, windowRows } from "../src/sql/windows.ts";
import { writeDay } from "./support/day.ts";
import { startTestEngine, type TestEngine } from "./support/engine.ts";

/** Buckets of ten minutes are made of two windows of 5 minutes, or ten of 1 minute, or rows as they came. */
const STEP_SECONDS = 600;
const RANGE_SECONDS = 4 * 3600;
const DAY_MS = 86_400_000;
const TOLERANCE = 1e-9;

let engine: TestEngine;
const to = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000);
const from = new Date(to.getTime() - RANGE_SECONDS * 1000);

beforeAll(async () => {
  engine = await startTestEngine();
  await writeDay(engine.writer, from, RANGE_SECONDS);
});
afterAll(() => engine.stop());

/** One query of each shape: those that differ in nothing but a name or a number's metric read the rollups in the same way. */
const targets = [
  ...new Map(
    loadDashboards().flatMap((dashboard) =>
      dashboard.panels.flatMap((panel) =>
        (panel.targets ?? [])
          .filter(({ rawSql }) => rawSql.includes(" AS tier"))
          .map((target) => {
            const name = `${dashboard.uid} ${panel.id} ${panel.title} ${target.refId}`;
            return [target.rawSql.replaceAll(/'[^']*'/g, "''"), { name, sql: target.rawSql }] as const;
          }),
      ),
    ),
  ).values(),
];

/** How every panel chooses its rollup. */
const CHOICE = /if\(step % 60 != 0, 0, roundDown\([^)]*\)\) AS tier/;

/** The query with its rollup named by hand; every panel chooses by the same line. */
function withTier(sql: string, tier: number): string {
  const chosen = expand(sql, { from, to, intervalMs: STEP_SECONDS * 1000 });
  const text = chosen.replace(CHOICE, `${tier} AS tier`);
  expect(text).not.toBe(chosen);
  return text;
}

async function answer(sql: string): Promise<unknown[][]> {
  const result = await engine.reader.query({ query: sql, format: "JSONCompactEachRow" });
  return (await result.json()) as unknown as unknown[][];
}

/** Rows in an order that does not hang on a last digit; numbers apart from the words. */
function sorted(rows: unknown[][]): unknown[][] {
  const key = (row: unknown[]): string =>
    JSON.stringify(row.map((cell) => (typeof cell === "number" ? Number(cell.toPrecision(6)) : cell)));
  return rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function expectEqual(found: unknown[][], truth: unknown[][]): void {
  expect(found.length).toBe(truth.length);
  const [left, right] = [sorted(found), sorted(truth)];
  for (const [i, row] of right.entries()) {
    for (const [j, cell] of row.entries()) {
      const other = left[i]?.[j];
      if (typeof cell !== "number") expect(other).toEqual(cell);
      else expect(Math.abs(Number(other) - cell)).toBeLessThanOrEqual(TOLERANCE * Math.max(1, Math.abs(cell)));
    }
  }
}

describe("a panel's answer from rollups is the one from the rows as they came", () => {
  it.each(targets)("$name", async ({ sql }) => {
    const raw = await answer(withTier(sql, 0));
    for (const tier of [60, 300]) expectEqual(await answer(withTier(sql, tier)), raw);
    // Nothing to compare would pass as well.
    if (!MAY_BE_EMPTY.test(sql)) expect(raw.length).toBeGreaterThan(0);
  });
});

/** What the day has nothing of: asyncio's loop and calls repeated within a request. */
const MAY_BE_EMPTY = /runtime = 'django' AND kind = 'event_loop'|calls \/ requests >= 5/;

describe("a panel's answer from hours is the one from the rows as they came", () => {
  it.each(targets)("$name", async ({ sql }) => {
    const hours = (tier: number): string =>
      expand(sql, { from, to, intervalMs: 3_600_000 }).replace(CHOICE, `${tier} AS tier`);
    expectEqual(await answer(hours(3600)), await answer(hours(0)));
  });
});

it("a range that reaches back to what only a rollup still has is read from that rollup", async () => {
  // Rows of three weeks ago whose raw days have been dropped, as the TTL drops them.
  const old = new Date(to.getTime() - 21 * DAY_MS);
  await engine.writer.command({
    query: `INSERT INTO resource_samples_1m (service, kind, name, instance, ts, runtime, exports, points, busy_sum, busy_n, capacity_sum, capacity_n, u_busy, u_capacity)
      SELECT 'shop-node', 'event_loop', 'main', 'i0', toDateTime(${old.getTime() / 1000} + 60 * number), 'node', 6, 18, 3, 6, 6, 6, 3, 6 FROM numbers(60)`,
  });
  const range = { from: old, to: new Date(old.getTime() + 3_600_000) };
  const chosen = async (): Promise<unknown> => {
    const sql = `${WITH_STEP}\nSELECT step, tier, (SELECT sum(exports) FROM tidemark.resource_windows WHERE $__timeFilter(ts) AND ${TIER}) AS exports`;
    return (await answer(expand(sql, { ...range, intervalMs: 1000 })))[0];
  };
  expect(await chosen()).toEqual([60, 60, 360]);
  // The same range while the rows are there is read as they came: its bucket is the export's period.
  const here = { from, to: new Date(from.getTime() + 3_600_000) };
  const sql = `${WITH_STEP}\nSELECT step, tier`;
  expect(await answer(expand(sql, { ...here, intervalMs: 1000 }))).toEqual([[10, 0]]);
});

const VIEWS = {
  resource_samples: "resource_windows",
  http_requests: "request_windows",
  request_phases: "phase_windows",
  query_timings: "query_windows",
  connection_memory: "connection_windows",
  samples: "sample_windows",
  exp_histograms: "exp_histogram_windows",
} as const satisfies Record<Table, string>;

describe("what panels read of a table and its rollups is what the view of its windows holds", () => {
  it.each(Object.entries(VIEWS) as [Table, string][])("%s as in %s", async (table, view) => {
    const columns = windowColumns(table).join(", ");
    // As text: a hash of values of which one is NULL is NULL.
    const summary = (source: string): string =>
      `SELECT window_seconds, count(), sum(cityHash64(toString(tuple(${columns})))) FROM ${source}
       GROUP BY window_seconds ORDER BY window_seconds`;
    const found = await answer(summary(windowRows(table, columns)));
    expect(found).toEqual(await answer(summary(`tidemark.${view}`)));
    expect(found.length).toBeGreaterThan(1);
  });
});
