import { expect, it } from "vitest";
import { grafanaInterval, parseInterval } from "../src/interval.ts";

it.each([
  [5 * 60, 1000, 0, 200],
  [15 * 60, 1000, 5000, 5000],
  [3600, 1000, 5000, 5000],
  [6 * 3600, 1000, 5000, 20_000],
  [24 * 3600, 1000, 5000, 60_000],
  [7 * 86_400, 1000, 5000, 600_000],
])("a range of %d s over %d points, at least %d ms, is drawn every %d ms", (seconds, points, min, expected) => {
  expect(grafanaInterval(seconds * 1000, points, min)).toBe(expected);
});

it("reads a panel's interval", () => {
  expect(["5s", ">2m", "500ms", "1h"].map(parseInterval)).toEqual([5000, 120_000, 500, 3_600_000]);
  expect(() => parseInterval("soon")).toThrow("not an interval: soon");
});
