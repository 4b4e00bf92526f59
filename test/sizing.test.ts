import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sizingFigures, sizingTable } from "./support/sizing.ts";
import { ROOT } from "./support/tidemark.ts";

test("the sizing page has the figures of the benchmark page: else run node test/bench/run.mjs sizing", () => {
  const page = readFileSync(join(ROOT, "docs", "sizing.md"), "utf8");
  expect(/<!-- sizing -->\n([\s\S]*?)\n<!-- \/sizing -->/.exec(page)?.[1]).toBe(sizingTable());
});

test("the arithmetic: 10 processes of 50 points per second at 2 s, 5 bytes each", () => {
  const table = sizingTable({ pointsPerProcessSecond: 50, bytesPerPoint: 5 });
  expect(table).toContain("are 100.0 points per export; 5 bytes per point.");
  expect(table).toContain("| 10 | 100 | 8.6 million | 43 MB | 0.6 GB |");
});

test("a benchmark page without the figures is an error", () => {
  expect(() => sizingFigures("<!-- bench:storage -->\n<!-- /bench:storage -->")).toThrow(/has no .*points per process/);
});
