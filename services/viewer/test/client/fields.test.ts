import { describe, expect, it } from "vitest";
import { displayFields, fillLink, show, toRegExp } from "../../client/fields.ts";
import type { Frame } from "../../src/frames/frame.ts";
import type { FieldConfig, FieldOverride, Panel } from "../../src/grafana/model.ts";

const same = (text: string) => text;

function panel(defaults: FieldConfig, overrides: FieldOverride[] = []): Panel {
  return { id: 1, type: "timeseries", fieldConfig: { defaults, overrides } };
}

function frame(refId: string, labels: Record<string, string>[]): Frame {
  return {
    refId,
    name: refId,
    fields: [
      { name: "time", type: "time", values: [1000] },
      ...labels.map((set) => ({ name: "p95", type: "number" as const, labels: set, values: [0.9] })),
    ],
  };
}

describe("displayFields", () => {
  it("names a series by its one label, by all labels, and by its frame where there are several", () => {
    const names = (frames: Frame[]) =>
      displayFields(panel({}), frames, "dark", same)
        .filter(({ type }) => type === "number")
        .map(({ name }) => name);
    expect(names([frame("A", [{ service: "a" }, { service: "b" }])])).toEqual(["p95 a", "p95 b"]);
    expect(names([frame("A", [{ service: "a", kind: "k" }])])).toEqual(['p95 {service="a", kind="k"}']);
    expect(names([frame("A", [{ service: "a" }]), frame("B", [{ service: "a" }])])).toEqual(["A p95 a", "B p95 a"]);
  });

  it("applies display names and overrides by name, expression and refId in their order", () => {
    const fields = displayFields(
      panel({ displayName: "${__field.labels.service}", unit: "s" }, [
        {
          matcher: { id: "byRegexp", options: "/^no/" },
          properties: [{ id: "color", value: { mode: "fixed", fixedColor: "#112233" } }],
        },
        {
          matcher: { id: "byName", options: "django" },
          properties: [
            { id: "custom.lineWidth", value: 3 },
            { id: "unit", value: "bytes" },
          ],
        },
        { matcher: { id: "byFrameRefID", options: "A" }, properties: [{ id: "decimals", value: 1 }] },
      ]),
      [frame("A", [{ service: "node" }, { service: "django" }])],
      "dark",
      same,
    );
    expect(fields[1]).toMatchObject({ name: "node", color: "#112233", config: { unit: "s", decimals: 1 } });
    expect(fields[2]).toMatchObject({ name: "django", custom: { lineWidth: 3 }, config: { unit: "bytes" } });
  });

  it("colours by threshold and shows mappings before units", () => {
    const config: FieldConfig = {
      unit: "percentunit",
      color: { mode: "thresholds" },
      thresholds: {
        mode: "absolute",
        steps: [
          { value: null, color: "#00ff00" },
          { value: 0.8, color: "#ff0000" },
        ],
      },
      mappings: [
        { type: "value", options: { "1": { text: "full", color: "#0000ff" } } },
        { type: "range", options: { from: 0.4, to: 0.5, result: { text: "half" } } },
        { type: "special", options: { match: "null", result: { text: "unknown" } } },
      ],
    };
    const field = displayFields(panel(config), [frame("A", [{ service: "a" }])], "dark", same)[1]!;
    expect(show(field, 0.9, "dark")).toMatchObject({ text: "90%", color: "#ff0000" });
    expect(show(field, 1, "dark")).toMatchObject({ text: "full", color: "#0000ff" });
    expect(show(field, 0.45, "dark")).toMatchObject({ text: "half", color: "#00ff00" });
    expect(show(field, null, "dark").text).toBe("unknown");
  });

  it("fills data links with labels, values and the time range, escaped", () => {
    const field = displayFields(panel({}), [frame("A", [{ service: "a&b" }])], "dark", same)[1]!;
    const url = "/d/x?var-service=${__field.labels.service}&v=${__value.raw}&t=${__value.time}&${__url_time_range}";
    expect(fillLink({ title: "", url }, field, 0, "from=now-1h&to=now", same)).toBe(
      "/d/x?var-service=a%26b&v=0.9&t=1000&from=now-1h&to=now",
    );
  });

  it("reads expressions in Grafana's form and survives broken ones", () => {
    expect(toRegExp("/node/i").test("Node p95")).toBe(true);
    expect(toRegExp("/(/").test("anything")).toBe(false);
  });
});
