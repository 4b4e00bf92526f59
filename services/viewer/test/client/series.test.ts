import { describe, expect, it } from "vitest";
import type { DisplayField } from "../../client/fields.ts";
import { align, stack } from "../../client/series.ts";

function field(times: number[], values: (number | null)[], custom: Record<string, unknown> = {}): DisplayField {
  const frame = { refId: "A", name: "A", fields: [{ name: "time", type: "time" as const, values: times }] };
  return {
    frame,
    refId: "A",
    rawName: "v",
    name: "v",
    type: "number",
    labels: {},
    values,
    config: {},
    custom,
    index: 0,
    color: "#000",
  };
}

describe("align", () => {
  it("puts frames on one time axis; where a frame has no row a line passes over, where it has null it breaks", () => {
    const { times, columns } = align([field([1000, 3000], [1, 3]), field([1000, 2000, 3000], [1, null, 3])]);
    expect(times).toEqual([1, 2, 3]);
    expect(columns).toEqual([
      [1, undefined, 3],
      [1, null, 3],
    ]);
  });

  it("passes over gaps that are short enough", () => {
    const times = [0, 5000, 10_000, 15_000, 20_000, 25_000];
    const values = [1, null, 2, null, null, 3];
    expect(align([field(times, values, { spanNulls: 10_000 })]).columns[0]).toEqual([1, undefined, 2, null, null, 3]);
    expect(align([field(times, values, { spanNulls: true })]).columns[0]).toEqual([
      1,
      undefined,
      2,
      undefined,
      undefined,
      3,
    ]);
  });
});

describe("stack", () => {
  const stacking = { stacking: { mode: "normal", group: "A" } };
  it("adds up each group and says which column is below", () => {
    const result = stack(
      align([field([0, 1000], [1, 2], stacking), field([0, 1000], [10, null], stacking), field([0, 1000], [7, 7])]),
    );
    expect(result.columns).toEqual([
      [1, 2],
      [11, 2],
      [7, 7],
    ]);
    expect(result.below).toEqual([undefined, 0, undefined]);
  });

  it("makes shares of the whole", () => {
    const percent = { stacking: { mode: "percent", group: "A" } };
    expect(stack(align([field([0], [1], percent), field([0], [3], percent)])).columns).toEqual([[0.25], [1]]);
  });
});
