import { expect, it } from "vitest";
import { rowsOf } from "../src/rows.ts";

const meta = [
  { name: "service", type: "String" },
  { name: "value", type: "Nullable(Float64)" },
];

it("takes the number called value and makes labels of the rest", () => {
  expect(rowsOf({ meta, data: [["shop", 1.5]] })).toEqual([{ labels: { service: "shop" }, value: 1.5 }]);
});

it("treats NULL and what is not a number as absent, and an empty label as none", () => {
  const data = [
    ["shop", null],
    ["blog", "nan"],
    ["", 2],
  ];
  expect(rowsOf({ meta, data })).toEqual([{ labels: {}, value: 2 }]);
});

it("refuses a query without a value, with text for a value, and with the same labels twice", () => {
  expect(() => rowsOf({ meta: [{ name: "service", type: "String" }], data: [] })).toThrow(
    'no column "value", only service',
  );
  expect(() => rowsOf({ meta: [{ name: "value", type: "String" }], data: [] })).toThrow(
    '"value" is String, expected a number',
  );
  const twice = [
    ["shop", 1],
    ["shop", 2],
  ];
  expect(() => rowsOf({ meta, data: twice })).toThrow('two rows have the labels {"service":"shop"}');
});
