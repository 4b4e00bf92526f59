import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ConfigSchema, completeConfig } from "../src/config.ts";
import * as errors from "../src/errors.ts";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");

test("the README lists every error with its HTTP status, and no other", () => {
  const rows = [...README.matchAll(/^\| `(TDM_INGEST_\w+)` \| (\d+|at start) \|/gm)].map((row) => [row[1], row[2]]);
  const codes = Object.values(errors).map((Type) => {
    const error = new Type();
    const atStart = /^TDM_INGEST_(LOG_LOCKED|LOG_DIRECTORY|BAD_TOKENS_FILE|BAD_TLS|BAD_CONFIG)$/.test(error.code);
    return [error.code, atStart ? "at start" : String(error.statusCode)];
  });
  expect(rows.sort()).toEqual(codes.sort());
});

test("the README lists every setting with its default, and no other", () => {
  const rows = [...README.matchAll(/^\| `(TIDEMARK_\w+)` \| (?:`([^`]*)`)? ?\|/gm)].map((row) => [
    row[1],
    row[2] ?? "",
  ]);
  const defaults = completeConfig({}) as Record<string, unknown>;
  const settings = Object.entries(ConfigSchema.properties).map(([name, schema]) => [
    (schema as unknown as { title: string }).title,
    String(defaults[name] ?? ""),
  ]);
  expect(rows.sort()).toEqual(settings.sort());
});
