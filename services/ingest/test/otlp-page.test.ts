import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const PAGE = readFileSync(new URL("../../../docs/otlp.md", import.meta.url), "utf8");
const HERE = new URL("./", import.meta.url);
const TITLE = /^\s*(?:test|it)\((?:\s*)"((?:[^"\\]|\\.)+)"/gm;
/** Files that are about OTLP and nothing else: the page has every test of theirs. */
const OTLP_FILES = ["grpc.test.ts", "http.test.ts", "rates.test.ts", "otlp/json.test.ts"];

const titles = (file: string) =>
  [...readFileSync(new URL(file, HERE), "utf8").matchAll(TITLE)].map((match) => match[1]!);
/** Rows of the page's conformance tables: their cells. */
const rows = PAGE.split("\n")
  .filter((line) => line.startsWith("| ") && line.endsWith(" |") && !line.startsWith("| requirement"))
  .map((line) => line.slice(2, -2).split(" | "));
const named = rows.flatMap((cells) => [...(cells[3] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1]!));

test("every row of docs/otlp.md has its four cells and names a test", () => {
  expect(rows.length).toBeGreaterThan(40);
  for (const cells of rows) {
    expect(cells, cells.join(" | ")).toHaveLength(4);
    expect(cells[3], cells.join(" | ")).toMatch(/`[^`]+`/);
  }
});

test("every test that docs/otlp.md names exists", () => {
  const files = readdirSync(HERE, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
  const all = new Set(files.flatMap(titles));
  expect(named.filter((title) => !all.has(title))).toEqual([]);
});

test("docs/otlp.md names every test of OTLP over HTTP and gRPC, of its JSON, and of rates", () => {
  const missing = OTLP_FILES.flatMap(titles).filter((title) => !named.includes(title));
  expect(missing).toEqual([]);
});
