import { describe, expect, it } from "vitest";
import { formatText } from "../../client/units.ts";

describe("formatText", () => {
  it.each<[number, string, number | null, string]>([
    [0.0123, "s", null, "12.3 ms"],
    [0, "s", null, "0 s"],
    [0.0000005, "s", null, "500 ns"],
    [75, "s", null, "1.25 min"],
    [7200, "s", null, "2 hours"],
    [1500, "ms", null, "1.5 s"],
    [0.5, "ms", null, "500 µs"],
    [1024, "bytes", null, "1 KiB"],
    [1_572_864, "bytes", null, "1.5 MiB"],
    [1000, "decbytes", null, "1 kB"],
    [0.8, "percentunit", null, "80%"],
    [0.12345, "percentunit", 1, "12.3%"],
    [42.5, "percent", null, "42.5%"],
    [20.4, "reqps", null, "20.4 req/s"],
    [12_300, "reqps", null, "12.3 K req/s"],
    [1_234_567, "short", null, "1.23 Mil"],
    [3, "none", null, "3"],
    [3.14159, "none", 2, "3.14"],
    [90, "dtdurations", null, "1m 30s"],
    [-0.002, "s", null, "-2 ms"],
    [5, "suffix:threads", null, "5 threads"],
    [5, "widgets", null, "5 widgets"],
  ])("shows %d in %s (decimals %s) as %s", (value, unit, decimals, wanted) => {
    expect(formatText(value, unit, decimals)).toBe(wanted);
  });
});
