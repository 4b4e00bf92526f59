import { describe, expect, it } from "vitest";
import { parseTimeExpression } from "../../src/grafana/time-range.ts";

const NOW = new Date(2026, 10, 21, 14, 35, 12, 345).getTime();
const at = (...parts: [number, number, number, number, number, number, number?]) => new Date(...parts).getTime();

describe("parseTimeExpression", () => {
  it.each([
    ["now", false, NOW],
    ["now-15m", false, NOW - 900_000],
    ["now+1h-30s", false, NOW + 3_570_000],
    ["now/d", false, at(2026, 10, 21, 0, 0, 0)],
    ["now/d", true, at(2026, 10, 21, 23, 59, 59, 999)],
    ["now-1d/d", false, at(2026, 10, 20, 0, 0, 0)],
    ["now/w", false, at(2026, 10, 16, 0, 0, 0)],
    ["now-1M/M", false, at(2026, 9, 1, 0, 0, 0)],
    ["1795219200000", false, 1_795_219_200_000],
    ["2026-11-21T00:00:00Z", false, 1_795_219_200_000],
    ["2026-11-21 04:05:06", false, at(2026, 10, 21, 4, 5, 6)],
  ])("reads %s (round up: %s)", (text, up, wanted) => {
    expect(parseTimeExpression(text, NOW, up)).toBe(wanted);
  });

  it.each(["", "yesterday", "now-", "now-5x", "now/"])("refuses %j", (text) => {
    expect(parseTimeExpression(text, NOW)).toBeUndefined();
  });
});
