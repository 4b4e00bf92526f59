import { describe, expect, it } from "vitest";
import { marks } from "../../client/panels/chart.ts";
import type { Annotation } from "../../src/routes/view.ts";

function region(source: string, time: number, timeEnd: number, color = "#8e8e8e"): Annotation {
  return { source, color, time, timeEnd, title: `${source} ${time}`, text: "", tags: [] };
}

describe("marks", () => {
  const phases = [region("phases", 0, 10_000), region("phases", 10_000, 20_000)];

  it("makes bands of regions that follow each other, and one strip of alerts that lie on each other", () => {
    const red = "#e02f44";
    const alerts = [
      region("alerts", 5000, 9000, red),
      region("alerts", 2000, 7000, red),
      region("alerts", 15_000, 20_000, red),
    ];
    expect(marks([...phases, ...alerts])).toEqual({
      bands: phases,
      strips: [
        { color: red, time: 2000, timeEnd: 9000 },
        { color: red, time: 15_000, timeEnd: 20_000 },
      ],
    });
  });

  it("paints no bands where the regions of the first source overlap", () => {
    const { bands, strips } = marks([region("a", 0, 10_000), region("a", 3000, 12_000)]);
    expect(bands).toEqual([]);
    expect(strips).toEqual([{ color: "#8e8e8e", time: 0, timeEnd: 12_000 }]);
  });

  it("keeps colours apart", () => {
    expect(marks([...phases, region("b", 0, 5000, "red"), region("b", 1000, 4000, "orange")]).strips).toHaveLength(2);
  });
});
