import { constants, PerformanceObserver } from "node:perf_hooks";
import type { Control } from "../shared/control.ts";
import type { Histogram } from "../shared/histogram.ts";
import type { Guard } from "./guard.ts";
import type { SeriesTable } from "./series.ts";

const MS_PER_S = 1000;
/** Collections in one 250 ms tick from which on one tick of four is observed. */
const FREQUENT = 12;
const TICKS_PER_GROUP = 4;

const TYPES: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weakcb",
  2: "minor", // the minor mark-sweep collector; not among the constants
};

type Entries = readonly { readonly duration: number; readonly detail?: unknown }[];

/**
 * `v8js.gc.duration`: every pause, while they are fewer than 48 a second. To be told of one costs this thread 50 to
 * 100 us, a third of what a small collection takes, and garbage that only a major one removes. Where they are more
 * frequent, one tick of each four is observed, drawn at random, and what it sees counts four times.
 */
export class GarbageCollections {
  readonly #series: SeriesTable;
  readonly #control: Control;
  readonly #histograms = new Map<string, Histogram>();
  readonly #observer: PerformanceObserver;
  #observing = false;
  /** Collections that each observed one stands for. */
  #weight = 1;
  #seen = 0;
  #place = 0;
  #drawn = 0;

  constructor(series: SeriesTable, control: Control, guard: Guard) {
    this.#series = series;
    this.#control = control;
    const record = guard((entries: Entries) => this.#record(entries));
    this.#observer = new PerformanceObserver((list) => record(list.getEntries()));
    this.#observe(true);
  }

  /** To be called every 250 ms. */
  tick(): void {
    if (this.#observing) this.#record(this.#observer.takeRecords());
    this.#place = (this.#place + 1) % TICKS_PER_GROUP;
    if (this.#place === 0) {
      // Known from the group before, so that what is observed does not depend on what it sees.
      this.#weight = this.#isFrequent() ? TICKS_PER_GROUP : 1;
      this.#seen = 0;
      this.#drawn = Math.floor(Math.random() * TICKS_PER_GROUP);
    }
    this.#observe(this.#weight === 1 || this.#place === this.#drawn);
  }

  stop(): void {
    this.#observe(false);
  }

  #isFrequent(): boolean {
    return this.#seen * this.#weight >= FREQUENT * TICKS_PER_GROUP;
  }

  #observe(on: boolean): void {
    if (on === this.#observing) return;
    this.#observing = on;
    if (on) this.#observer.observe({ entryTypes: ["gc"] });
    else this.#observer.disconnect();
  }

  #record(entries: Entries): void {
    this.#seen += entries.length;
    for (const { duration, detail } of entries) {
      const type = TYPES[(detail as { kind: number }).kind];
      if (type === undefined) continue;
      let histogram = this.#histograms.get(type);
      if (histogram === undefined) {
        histogram = this.#series.histogram("v8js.gc.duration", { "v8js.gc.type": type });
        this.#histograms.set(type, histogram);
      }
      histogram.record(duration / MS_PER_S, this.#control.epoch, this.#weight);
    }
  }
}
