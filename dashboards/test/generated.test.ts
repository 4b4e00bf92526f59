import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadDashboards } from "../src/load.ts";
import { DASHBOARDS, PANELS } from "../src/panel-ids.ts";
import { renderFiles } from "../src/render.ts";
import { RULES } from "../src/rules/rules.ts";
import { outsideSubset } from "../src/subset.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const dashboards = loadDashboards();

describe("generated files", () => {
  it.each([...renderFiles()])("%s is what the source generates", (path, content) => {
    expect(readFileSync(ROOT + path, "utf8")).toBe(content);
  });

  it("are all dashboards in the folder", () => {
    const rendered = [...renderFiles().keys()].filter((path) => path.startsWith("dashboards/grafana/"));
    expect(
      readdirSync(`${ROOT}dashboards/grafana`)
        .map((name) => `dashboards/grafana/${name}`)
        .sort(),
    ).toEqual(rendered.sort());
  });
});

describe.each(dashboards)("$uid", (dashboard) => {
  const panels = dashboard.panels.filter((panel) => panel.type !== "row");

  it("stays inside what the built-in viewer draws", () => {
    expect(outsideSubset(dashboard)).toEqual([]);
  });

  it("asks a question in every title and says how to read the answer", () => {
    for (const panel of panels) {
      expect(panel.title).toMatch(/^[A-Z].*\?$/);
      expect(panel.description?.length ?? 0).toBeGreaterThan(40);
    }
  });

  it("has unique panel ids, a panel model version, a smallest interval", () => {
    const ids = dashboard.panels.map((panel) => panel.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every((id) => Number.isInteger(id) && id > 0)).toBe(true);
    for (const panel of panels)
      expect(panel).toMatchObject({
        interval: expect.stringMatching(/^(5|10)s$/),
        pluginVersion: expect.stringMatching(/^\d+\./),
      });
  });

  it("does not put one panel over another", () => {
    const taken = new Set<string>();
    for (const { gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`)).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
    }
  });

  it("starts at zero, has a unit, and bridges gaps in every chart", () => {
    for (const panel of panels.filter((each) => each.type === "timeseries")) {
      expect(panel.fieldConfig?.defaults).toMatchObject({
        min: 0,
        unit: expect.any(String),
        custom: { spanNulls: 30_000 },
      });
    }
  });

  it("never uses red or orange for a runtime", () => {
    for (const panel of panels) {
      for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
        if (!/node|django/.test(String(matcher.options))) continue;
        for (const { value } of properties) {
          const [r = 0, g = 0, b = 0] =
            String((value as { fixedColor?: string }).fixedColor)
              .match(/[0-9A-F]{2}/gi)
              ?.map((hex) => Number.parseInt(hex, 16)) ?? [];
          expect(r).toBeLessThan(Math.max(g, b));
        }
      }
    }
  });

  it("has the three variables, all on All, and both annotations", () => {
    expect(dashboard.templating.list.map(({ name, current }) => [name, current.value])).toEqual([
      ["runtime", "$__all"],
      ["service", "$__all"],
      ["instance", "$__all"],
    ]);
    expect(dashboard.annotations.list.filter((each) => each.enable).map((each) => each.name)).toEqual(
      expect.arrayContaining(["Phases and deployments", "Firing alerts"]),
    );
  });
});

describe("links from rules", () => {
  it("point at panels that exist", () => {
    for (const rule of RULES) {
      const dashboard = dashboards.find(({ uid }) => uid === rule.dashboard);
      expect(dashboard?.panels.some(({ id }) => id === rule.panelId)).toBe(true);
    }
    const ids = dashboards.flatMap(({ panels }) => panels.map(({ id }) => id));
    expect(ids).toEqual(expect.arrayContaining(Object.values(PANELS)));
    expect(dashboards.map(({ uid }) => uid).sort()).toEqual(Object.values(DASHBOARDS).sort());
  });

  it("name a section of the runbook", () => {
    const text = readFileSync(`${ROOT}dashboards/runbooks.md`, "utf8");
    const anchors = [...text.matchAll(/^## (.+)$/gm)].map(([, title]) =>
      (title ?? "")
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, "")
        .replaceAll(" ", "-"),
    );
    expect(RULES.map((rule) => rule.runbook.replace("dashboards/runbooks.md#", ""))).toEqual(anchors);
  });
});

describe("the alerting file", () => {
  const file = parse(readFileSync(`${ROOT}infra/grafana/provisioning/alerting/tidemark.yaml`, "utf8")) as {
    groups: { folder: string; interval: string; rules: Record<string, unknown>[] }[];
  };

  it("uses the names that Grafana's file parser reads", () => {
    const [group] = file.groups;
    expect(group).toMatchObject({ folder: "Tidemark alerts", interval: "10s" });
    for (const rule of group?.rules ?? []) {
      expect(String(rule.uid).length).toBeLessThanOrEqual(40);
      expect(rule).toMatchObject({
        condition: "C",
        execErrState: "Error",
        keepFiringFor: expect.stringMatching(/^\d+s$/),
        for: expect.stringMatching(/^\d+s$/),
        noDataState: expect.stringMatching(/^(OK|Alerting)$/),
      });
    }
    expect(group?.rules.length).toBe(RULES.length);
  });
});
