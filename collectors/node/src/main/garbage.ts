import { constants, PerformanceObserver } from "node:perf_hooks";
import type { Control } from "../shared/control.ts";
import type { Histogram } from "../shared/histogram.ts";
import type { Guard } from "./guard.ts";
import type { SeriesTable } from "./series.ts";

const MS_PER_S = 1000;

const TYPES: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weakcb",
  2: "minor", // the minor mark-sweep collector; not among the constants
};

/** `v8js.gc.duration`: every pause. Returns a function that stops it. */
export function observeGarbageCollection(series: SeriesTable, control: Control, guard: Guard): () => void {
  const histograms = new Map<string, Histogram>();
  const observe = guard((list: { getEntries(): readonly { duration: number; detail?: unknown }[] }) => {
    for (const { duration, detail } of list.getEntries()) {
      const type = TYPES[(detail as { kind: number }).kind];
      if (type === undefined) continue;
      let histogram = histograms.get(type);
      if (histogram === undefined) {
        histogram = series.histogram("v8js.gc.duration", { "v8js.gc.type": type });
        histograms.set(type, histogram);
      }
      histogram.record(duration / MS_PER_S, control.epoch);
    }
  });
  const observer = new PerformanceObserver((list) => observe(list));
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}
