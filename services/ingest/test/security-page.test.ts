import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const ROOT = new URL("../../../", import.meta.url);
const PAGE = readFileSync(new URL("docs/security.md", ROOT), "utf8");
const FOLDERS = ["services/ingest/test/", "test/"];

/** The text of every test of the ingest and of the whole product. */
const TESTS = FOLDERS.flatMap((folder) =>
  readdirSync(new URL(folder, ROOT), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".test.ts") && !name.includes("node_modules"))
    .map((name) => readFileSync(new URL(folder + name, ROOT), "utf8")),
).join("\n");

/** Cells of the threats' rows: threat, what the ingest does, tests. */
const rows = PAGE.split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| threat"))
  .map((line) => line.slice(2, -2).split(" | "));

test("every threat of docs/security.md has an answer and names a test that exists", () => {
  expect(rows.length).toBeGreaterThan(30);
  for (const cells of rows) {
    expect(cells, cells[0]).toHaveLength(3);
    const titles = [...cells[2]!.matchAll(/`([^`]+)`/g)].map(([, title]) => title!);
    expect(titles.length, cells[0]).toBeGreaterThan(0);
    for (const title of titles) expect(TESTS.includes(`"${title}`), title).toBe(true);
  }
});

test("docs/security.md names every test of tokens, TLS and slow senders", () => {
  const unnamed = ["tokens", "tls", "slow-senders"].flatMap((name) => {
    const text = readFileSync(new URL(`security/${name}.test.ts`, import.meta.url), "utf8");
    return [...text.matchAll(/^ *test\("([^"]+)"/gm)].map(([, title]) => title!);
  });
  expect(unnamed.filter((title) => !PAGE.includes(title))).toEqual([]);
});
