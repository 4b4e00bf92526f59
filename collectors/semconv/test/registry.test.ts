import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { POINT_ATTRIBUTES } from "../src/attributes.ts";
import { METRICS } from "../src/metrics.ts";
import { pythonModule, referencePage } from "../src/render.ts";

const attributeNames = new Set<string>(POINT_ATTRIBUTES.map(({ name }) => name));

describe("the registry", () => {
  it("names each metric once", () => {
    const names = METRICS.map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it("uses OpenTelemetry's form of names: lower case, dots, no unit and no total", () => {
    for (const { name } of METRICS) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/);
      expect(name).not.toMatch(/(_seconds|_bytes|_total|\.total)$/);
    }
  });

  it("measures in seconds, bytes, ratios or counted things", () => {
    for (const { name, unit } of METRICS) expect(unit, name).toMatch(/^(s|By|1|\{[a-z_]+\})$/);
  });

  it("knows every attribute its metrics use", () => {
    for (const { name, attributes } of METRICS) {
      for (const attribute of attributes) expect(attributeNames, `${name} uses ${attribute}`).toContain(attribute);
    }
  });

  it("is what the Python constants and the reference page say", () => {
    const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
    expect(read("collectors/django/src/tidemark_django/semconv.py")).toBe(pythonModule());
    expect(read("docs/metrics.md")).toBe(referencePage());
  });
});
