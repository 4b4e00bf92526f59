import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { repeatPanels, sections } from "../../client/layout.ts";
import { readPlace, writePlace } from "../../client/location.ts";
import { isSafeHref } from "../../client/markdown.ts";
import { reduce } from "../../client/reduce.ts";

const ROOM = fileURLToPath(new URL("../..", import.meta.url));
const BUDGET_BYTES = 120 * 1024;

describe("the page", () => {
  it("is sound by its own compiler settings", () => {
    const compiler = fileURLToPath(new URL("../../../../node_modules/.bin/tsc", import.meta.url));
    execFileSync(compiler, ["-p", "client/tsconfig.json"], { cwd: ROOM, stdio: "pipe" });
  });

  it("weighs at most 120 KB, compressed", () => {
    const folder = mkdtempSync(join(tmpdir(), "tidemark-viewer-page-"));
    execFileSync(process.execPath, ["scripts/bundle.mjs", folder], { cwd: ROOM });
    const files = ["index.html", "app.js", "app.css", "icon.svg"];
    const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(join(folder, file))).length, 0);
    rmSync(folder, { recursive: true });
    expect(bytes).toBeLessThan(BUDGET_BYTES);
  });

  it("keeps everything it shows in its address", () => {
    const search = "?from=now-1h&to=now&var-service=a&var-service=b&refresh=5s&theme=light&viewPanel=panel-4&kiosk";
    const place = readPlace({ pathname: "/d/tidemark-compare/any-slug", search });
    expect(place).toMatchObject({ uid: "tidemark-compare", vars: { service: ["a", "b"] }, viewPanel: 4, kiosk: true });
    const url = new URL(writePlace(place), "http://x");
    expect(readPlace(url)).toEqual(place);
    expect(readPlace({ pathname: "/", search: "?var-service=All" }).vars).toEqual({ service: ["$__all"] });
  });

  it("splits a dashboard at its rows, also closed ones", () => {
    const panel = (id: number, y: number) => ({ id, type: "stat", gridPos: { x: 0, y, w: 4, h: 4 } });
    const result = sections([
      { id: 9, type: "row", gridPos: { x: 0, y: 10, w: 24, h: 1 }, collapsed: true, panels: [panel(4, 11)] },
      panel(1, 0),
      { id: 8, type: "row", gridPos: { x: 0, y: 4, w: 24, h: 1 } },
      panel(2, 5),
    ]);
    expect(result.map(({ row, collapsed, panels }) => [row?.id, collapsed, panels.map(({ id }) => id)])).toEqual([
      [undefined, false, [1]],
      [8, false, [2]],
      [9, true, [4]],
    ]);
  });

  it("repeats a panel for each value and moves what is below", () => {
    const placed = repeatPanels(
      [
        { id: 1, type: "stat", repeat: "service", maxPerRow: 2, gridPos: { x: 0, y: 0, w: 24, h: 4 } },
        { id: 2, type: "stat", gridPos: { x: 0, y: 4, w: 24, h: 4 } },
      ],
      () => ["a", "b", "c"],
    );
    expect(placed.map(({ panel, scope }) => [panel.gridPos, scope.service])).toEqual([
      [{ x: 0, y: 0, w: 12, h: 4 }, "a"],
      [{ x: 12, y: 0, w: 12, h: 4 }, "b"],
      [{ x: 0, y: 4, w: 12, h: 4 }, "c"],
      [{ x: 0, y: 8, w: 24, h: 4 }, undefined],
    ]);
  });

  it("follows safe addresses only", () => {
    expect(["https://a.b", "/d/x", "#top", "?a=1"].every(isSafeHref)).toBe(true);
    expect(["javascript:alert(1)", "data:text/html,x", "//evil", " javascript:x"].some(isSafeHref)).toBe(false);
  });

  it("reduces as Grafana does", () => {
    const values = [1, null, 4, 3, null];
    expect(["lastNotNull", "last", "max", "mean", "sum", "range", "count"].map((calc) => reduce(values, calc))).toEqual(
      [3, null, 4, 8 / 3, 8, 3, 5],
    );
    expect(reduce([null], "max")).toBeNull();
  });
});
