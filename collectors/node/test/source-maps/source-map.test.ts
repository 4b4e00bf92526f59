import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Frame } from "../../src/shared/description.ts";
import { lookUp } from "../../src/worker/source-map.ts";
import { SourceMaps } from "../../src/worker/source-maps.ts";
import { compile } from "./build.ts";

const frame = (file: string, line: number, column = 1): Frame => ({ function: "f", file, line, column });
const COLUMNS = 240;

describe("source maps", () => {
  let folder: string;
  let programs: Readonly<Record<string, string>>;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "source-maps-"));
    programs = await compile(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const mapOf = (program: string) => {
    if (existsSync(`${program}.map`)) return readFileSync(`${program}.map`);
    return Buffer.from(readFileSync(program, "utf8").split(";base64,").at(-1)!, "base64");
  };

  it("are read as Node.js reads them, at every place", () => {
    for (const program of Object.values(programs)) {
      const map = mapOf(program);
      const truth = new SourceMap(JSON.parse(map.toString()));
      const lines = readFileSync(program, "utf8").split("\n").slice(0, -1);
      const positions = lines.flatMap((text, line) =>
        Array.from({ length: Math.min(text.length, COLUMNS) }, (_, column) => ({ line: line + 1, column: column + 1 })),
      );
      const found = lookUp(map, positions.reverse()); // in no particular order
      let named = 0;
      for (const [index, { line, column }] of positions.entries()) {
        const entry = truth.findEntry(line - 1, column - 1);
        const known = "originalSource" in entry && entry.generatedLine === line - 1;
        const expected = known ? [entry.originalSource, entry.originalLine + 1, entry.originalColumn + 1] : undefined;
        const original = found[index];
        expect(original && [original.source, original.line, original.column], `${program}:${line}:${column}`).toEqual(
          expected,
        );
        if (original?.name !== undefined) named += 1;
      }
      expect(positions.length).toBeGreaterThan(400);
      if (program.includes("minified")) expect(named).toBeGreaterThan(10);
    }
  });

  it("leave frames alone whose file says nothing of a map, and Node's own", () => {
    const plain = join(folder, "plain.js");
    writeFileSync(plain, "console.log('sourceMappingURL=nothing.map')\n");
    const maps = new SourceMaps();
    const frames = [frame(plain, 1), frame("node:fs", 1), frame("", 0), frame("/nowhere/at-all.js", 1)];
    expect(maps.translate(frames)).toEqual(frames);
    expect(maps.failures).toBe(1); // the file that is not there
  });

  it.each([
    ["is missing", "nowhere.map", undefined],
    ["is no JSON", "broken.map", "not a map"],
    ["has sections", "sections.map", '{"version":3,"sections":[]}'],
    [
      "has places that are not in it",
      "odd.map",
      '{"version":3,"sources":[],"names":[],"mappings":"AAAA;!!!,gggggggggg"}',
    ],
    ["is inside and not whole", "data:application/json;base64,eyJ2ZXJza", undefined],
  ])("leave frames alone whose map %s", (_what, url, content) => {
    const file = join(folder, "broken.js");
    writeFileSync(file, `x;\n//# sourceMappingURL=${url}\n`);
    if (content !== undefined) writeFileSync(join(folder, url), content);
    const maps = new SourceMaps();
    expect(maps.translate([frame(file, 1), frame(file, 2)])).toEqual([frame(file, 1), frame(file, 2)]);
    expect(maps.failures).toBeLessThanOrEqual(1);
    maps.translate([frame(file, 1)]);
    expect(maps.failures).toBeLessThanOrEqual(1); // it is not tried again
  });

  it("name sources of a bundler by its own addresses, and others by their paths", () => {
    const file = join(folder, "packed.js");
    const sources = ["webpack://shop/./src/a.ts", "../src/b.ts"];
    const map = JSON.stringify({ version: 3, sourceRoot: "", sources, names: [], mappings: "AAAA;ACAA" }, null, 2);
    writeFileSync(file, `x\ny\n//# sourceMappingURL=data:application/json;charset=utf-8,${encodeURIComponent(map)}`);
    const translated = new SourceMaps().translate([frame(file, 1), frame(file, 2)]);
    expect(translated.map((one) => one.file)).toEqual([sources[0], join(folder, "../src/b.ts")]);
  });
});
