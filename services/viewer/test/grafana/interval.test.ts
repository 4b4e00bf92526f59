import { grafanaInterval } from "@tidemark/dashboards";
import { roundInterval } from "@tidemark/dashboards/interval";
import { describe, expect, it } from "vitest";
import { durationMs, panelInterval } from "../../src/grafana/interval.ts";

describe("panelInterval", () => {
  it.each([
    [900_000, 600, "5s", 5000],
    [900_000, 600, null, 2000],
    [3_600_000, 600, "5s", 5000],
    [86_400_000, 600, "5s", 120_000],
    [7 * 86_400_000, 1000, "10s", 600_000],
    [60_000, 1000, undefined, 50],
  ])("gives a range of %i ms at %i points with minimum %s an interval of %i ms", (range, points, low, wanted) => {
    expect(panelInterval(range, points, low)).toBe(wanted);
  });

  it("agrees with the dashboards' own ladder at every step", () => {
    for (let range = 1000; range < 3e11; range *= 1.07) {
      expect(panelInterval(range, 500, "1ms"), `range ${range}`).toBe(grafanaInterval(range, 500, 1));
    }
  });

  it("ends at a year", () => {
    expect(roundInterval(4e9)).toBe(31_536_000_000);
  });

  it("reads Grafana's durations and refuses others", () => {
    expect(["10s", ">5m", "250ms", "1h", "2d"].map(durationMs)).toEqual([10_000, 300_000, 250, 3_600_000, 172_800_000]);
    expect(["", "now", "5", "auto"].map(durationMs)).toEqual([undefined, undefined, undefined, undefined]);
  });
});
