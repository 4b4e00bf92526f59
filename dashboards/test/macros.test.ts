import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ALL, expand, expandConditionalAll, expandTimeMacros, expandVariables, MacroError } from "../src/macros.ts";

interface Golden {
  readonly sql: string;
  readonly from: string;
  readonly to: string;
  readonly intervalMs: number;
  readonly expanded?: string;
  readonly error?: string;
}

/** Recorded from the plugin's own Go code. */
const golden = JSON.parse(
  readFileSync(new URL("./fixtures/clickhouse-plugin-macros.json", import.meta.url), "utf8"),
) as readonly Golden[];

describe("time macros", () => {
  it.each(golden)(
    "expands as the plugin does: $sql ($from, $intervalMs ms)",
    ({ sql, from, to, intervalMs, expanded, error }) => {
      const run = () => expandTimeMacros(sql, { from: new Date(from), to: new Date(to), intervalMs });
      if (expanded === undefined) expect(run).toThrow(error);
      else expect(run()).toBe(expanded);
    },
  );
});

describe("$__conditionalAll", () => {
  const sql = `WHERE $__conditionalAll(a IN (\${a:singlequote}), $a) AND $__conditionalAll(b IN (\${b:singlequote}), $b)`;

  it("keeps the condition of a variable that has a value and drops the others", () => {
    expect(expandConditionalAll(sql, { a: ["x"], b: ALL })).toBe(`WHERE a IN (\${a:singlequote}) AND 1=1`);
    expect(expandConditionalAll(sql, { a: [], b: [""] })).toBe("WHERE 1=1 AND 1=1");
    expect(expandConditionalAll(sql, {})).toBe("WHERE 1=1 AND 1=1");
  });

  it("refuses a call without a variable", () => {
    expect(() => expandConditionalAll("$__conditionalAll(a = 1)", {})).toThrow(MacroError);
    expect(() => expandConditionalAll("$__conditionalAll(a = 1, $a", {})).toThrow(MacroError);
  });
});

describe("variables", () => {
  it("quotes values so that none can leave its literal", () => {
    expect(expandVariables(`IN (\${v:singlequote})`, { v: ["it's", "a\\", "b"] })).toBe(
      String.raw`IN ('it\'s','a\\','b')`,
    );
    expect(expandVariables(`IN (\${v:sqlstring})`, { v: ["it's"] })).toBe("IN ('it''s')");
    expect(expandVariables(`IN (\${v:singlequote})`, {})).toBe("IN ('')");
  });

  it("does not read a replacement pattern in a value", () => {
    expect(expandVariables(`\${v:singlequote}`, { v: ["$&$1"] })).toBe("'$&$1'");
  });

  it("refuses an unknown format", () => {
    expect(() => expandVariables(`\${v:shell}`, { v: ["a"] })).toThrow(`unknown variable format in \${v:shell}`);
  });
});

it("expands conditions, variables and time in Grafana's order", () => {
  const sql = `SELECT $__interval_s WHERE $__timeFilter(ts) AND $__conditionalAll(s IN (\${s:singlequote}), $s)`;
  const context = { from: new Date(0), to: new Date(60_000), intervalMs: 5000, variables: { s: ["a"] } };
  expect(expand(sql, context)).toBe("SELECT 5 WHERE ts >= toDateTime(0) AND ts <= toDateTime(60) AND s IN ('a')");
});
