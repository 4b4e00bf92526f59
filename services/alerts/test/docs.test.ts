import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { withTable } from "../src/docs/page.ts";
import { rulesTable } from "../src/docs/rules-table.ts";
import { buildSelfMetrics } from "../src/self-metrics.ts";

const page = readFileSync(new URL("../../../docs/alerts.md", import.meta.url), "utf8");

it("docs/alerts.md holds the rules as their source has them (npm run generate -w @tidemark/alerts)", () => {
  expect(page).toBe(withTable(page, rulesTable()));
});

it("docs/alerts.md names every variable the evaluator reads, and no other", () => {
  const source = new URL("../src/", import.meta.url);
  const files = readdirSync(source, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".ts"));
  const read = new Set(
    files.flatMap(
      (name) => readFileSync(new URL(name, source), "utf8").match(/env\.TIDEMARK_[A-Z_]+|"TIDEMARK_[A-Z_]+"/g) ?? [],
    ),
  );
  const names = new Set([...read].map((name) => name.replace("env.", "").replaceAll('"', "")));
  const told = new Set([...page.matchAll(/^\| `(TIDEMARK_[A-Z_]+)`/gm)].map(([, name]) => name));
  expect([...told].sort()).toEqual([...names].sort());
});

it("docs/alerts.md names every metric of the evaluator", async () => {
  const metrics = await buildSelfMetrics().registry.getMetricsAsJSON();
  expect(metrics.map(({ name }) => name).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
