import { describe, expect, it } from "vitest";
import { fieldType, parseTime, toFrame } from "../../src/frames/columns.ts";

describe("columns", () => {
  it.each([
    ["LowCardinality(Nullable(String))", "string"],
    ["Nullable(Float64)", "number"],
    ["UInt64", "number"],
    ["Decimal(18, 3)", "number"],
    ["DateTime", "time"],
    ["DateTime64(3, 'UTC')", "time"],
    ["Nullable(DateTime64(9))", "time"],
    ["Date", "time"],
    ["Bool", "boolean"],
    ["Enum8('a' = 1)", "string"],
    ["Map(String, String)", "other"],
  ])("reads %s as %s", (type, wanted) => {
    expect(fieldType(type)).toBe(wanted);
  });

  it.each([
    ["2026-11-21 00:00:00.123", "UTC", 1_795_219_200_123],
    ["2026-11-21 01:00:00", "Europe/Berlin", 1_795_219_200_000],
    ["2026-07-01 02:00:00", "Europe/Berlin", Date.UTC(2026, 6, 1)],
    ["2026-11-21", "UTC", 1_795_219_200_000],
    ["2026-11-21T00:00:00Z", "Europe/Berlin", 1_795_219_200_000],
  ])("reads the time %s in %s", (text, zone, wanted) => {
    expect(parseTime(text, zone)).toBe(wanted);
  });

  it("refuses what is no time", () => {
    expect(() => parseTime("soon", "UTC")).toThrow(RangeError);
  });

  it("takes the column's zone before the server's, quoted numbers as numbers and infinity as missing", () => {
    const frame = toFrame(
      "A",
      [
        { name: "t", type: "DateTime('UTC')" },
        { name: "n", type: "UInt64" },
        { name: "f", type: "Float64" },
        { name: "m", type: "Map(String, String)" },
      ],
      [["2026-11-21 00:00:00", "18446744073709551615", "inf", { a: "b" }]],
      "Asia/Tokyo",
    );
    expect(frame.fields.map((field) => field.values[0])).toEqual([
      1_795_219_200_000,
      18446744073709552000,
      null,
      '{"a":"b"}',
    ]);
  });
});
