import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readMigrations } from "../src/migrations.ts";
import { schemaPage } from "../src/schema-page.ts";
import { TABLES } from "../src/tables.ts";

const page = readFileSync(fileURLToPath(new URL("../../../docs/schema.md", import.meta.url)), "utf8");

test("docs/schema.md is what the migrations say: npm run generate -w @tidemark/store", () => {
  expect(page).toBe(schemaPage(readMigrations()));
});

test("docs/schema.md has every table and view", () => {
  for (const table of Object.values(TABLES)) {
    if (table === TABLES.schemaMigrations) continue;
    expect([table, page.includes(`## ${table}\n`) || page.includes(`| \`${table}\` |`)]).toEqual([table, true]);
  }
});
