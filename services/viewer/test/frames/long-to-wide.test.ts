import { describe, expect, it } from "vitest";
import type { Frame } from "../../src/frames/frame.ts";
import { longToWide, seriesShape } from "../../src/frames/long-to-wide.ts";

function long(rows: [time: number | null, service: string | null, value: number | null, second?: number][]): Frame {
  const two = rows.some((row) => row.length > 3);
  return {
    refId: "A",
    name: "A",
    fields: [
      { name: "time", type: "time", values: rows.map((row) => row[0]) },
      { name: "service", type: "string", values: rows.map((row) => row[1]) },
      { name: "value", type: "number", values: rows.map((row) => row[2]) },
      ...(two ? [{ name: "again", type: "number" as const, values: rows.map((row) => row[3] ?? null) }] : []),
    ],
  };
}

describe("longToWide", () => {
  it("makes a column of every label and null where a series has no row", () => {
    const wide = longToWide(
      long([
        [1000, "b", 1],
        [2000, "a", 2],
        [2000, "b", 3],
        [3000, "a", 4],
      ]),
    );
    expect(wide.fields.map(({ name, labels, values }) => ({ name, labels, values }))).toEqual([
      { name: "time", labels: undefined, values: [1000, 2000, 3000] },
      { name: "value", labels: { service: "a" }, values: [null, 2, 4] },
      { name: "value", labels: { service: "b" }, values: [1, 3, null] },
    ]);
  });

  it("sorts columns by name, then by label", () => {
    const wide = longToWide(
      long([
        [1, "b", 1, 10],
        [1, "a", 2, 20],
      ]),
    );
    expect(wide.fields.slice(1).map(({ name, labels }) => `${name} ${labels?.service}`)).toEqual([
      "again a",
      "again b",
      "value a",
      "value b",
    ]);
  });

  it("lets the later of two rows with the same time and label win, and takes null text as empty", () => {
    const wide = longToWide(
      long([
        [1, null, 1],
        [1, null, 2],
      ]),
    );
    expect(wide.fields[1]).toMatchObject({ labels: { service: "" }, values: [2] });
  });

  it("keeps a null value a null", () => {
    expect(longToWide(long([[1, "a", null]])).fields[1]!.values).toEqual([null]);
  });

  it("refuses times that do not ascend, a null time and a frame without text", () => {
    expect(() =>
      longToWide(
        long([
          [2, "a", 1],
          [1, "a", 1],
        ]),
      ),
    ).toThrow(/sorted ascending/);
    expect(() => longToWide(long([[null, "a", 1]]))).toThrow(/null time/);
    const wide: Frame = { ...long([[1, "a", 1]]) };
    wide.fields.splice(1, 1);
    expect(seriesShape(wide)).toBe("wide");
    expect(() => longToWide(wide)).toThrow(/got wide series/);
  });
});
