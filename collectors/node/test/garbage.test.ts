import { constants, type PerformanceObserver } from "node:perf_hooks";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { GarbageCollections } from "../src/main/garbage.ts";
import { createGuard } from "../src/main/guard.ts";
import { SeriesTable } from "../src/main/series.ts";
import { Control } from "../src/shared/control.ts";
import { Histogram, HistogramReader } from "../src/shared/histogram.ts";

const PAUSE_MS = 0.25;
const TICKS_PER_SECOND = 4;

/** Stands in for V8: tells of collections only while it is asked to. */
const v8 = vi.hoisted(() => ({ told: (_entries: readonly object[]) => {}, observed: false }));
vi.mock("node:perf_hooks", async (original) => ({
  ...(await original<typeof import("node:perf_hooks")>()),
  PerformanceObserver: class implements Pick<PerformanceObserver, "observe" | "disconnect" | "takeRecords"> {
    constructor(told: (list: { getEntries(): readonly object[] }) => void) {
      v8.told = (entries) => told({ getEntries: () => entries });
    }
    observe() {
      v8.observed = true;
    }
    disconnect() {
      v8.observed = false;
    }
    takeRecords() {
      return [];
    }
  },
}));

describe("garbage collections", () => {
  let series: SeriesTable;
  let collections: GarbageCollections;
  beforeEach(() => {
    const control = new Control();
    series = new SeriesTable(control);
    collections = new GarbageCollections(series, control, createGuard(control));
  });

  /** Lets some seconds pass with so many collections each; returns the share of the time that was observed. */
  function pass(seconds: number, perSecond: number): number {
    let ticks = 0;
    for (let tick = 0; tick < seconds * TICKS_PER_SECOND; tick++) {
      if (v8.observed) {
        ticks += 1;
        const entry = { duration: PAUSE_MS, detail: { kind: constants.NODE_PERFORMANCE_GC_MINOR } };
        v8.told(Array.from({ length: perSecond / TICKS_PER_SECOND }, () => entry));
      }
      collections.tick();
    }
    return ticks / (seconds * TICKS_PER_SECOND);
  }
  function told() {
    const { metric, attributes, buffer, byteOffset } = series.definitions[0]!;
    expect(metric).toBe("v8js.gc.duration");
    expect(attributes).toEqual({ "v8js.gc.type": "minor" });
    return new HistogramReader(new Histogram(buffer, byteOffset)).read(1)!;
  }

  it("are told every one while they are fewer than 48 a second", () => {
    expect(pass(100, 44)).toBe(1);
    expect(told().count).toBe(4400);
  });

  it("are observed a quarter of the time when they are more frequent; what is seen counts four times", () => {
    expect(pass(1, 200)).toBe(1);
    expect(pass(99, 200)).toBe(0.25);
    const { count, sum } = told();
    expect(count).toBe(20_000);
    expect(sum).toBeCloseTo((20_000 * PAUSE_MS) / 1000);
  });

  it("are told every one again when they have become rare", () => {
    pass(10, 200);
    expect(pass(1, 4)).toBe(0.25);
    expect(pass(10, 4)).toBe(1);
    expect(told().count).toBe(2000 + 4 + 40);
  });

  it("are left alone once the agent has stopped", () => {
    collections.stop();
    expect(v8.observed).toBe(false);
  });
});
