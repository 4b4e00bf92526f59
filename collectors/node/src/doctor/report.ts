import type { Window } from "./inbox.ts";

/** What was injected, as those saw it who waited. Seconds. */
export interface Truth {
  readonly count: number;
  readonly mean: number;
  readonly max: number;
}
/** One wait: when it ended, Unix milliseconds, and how long it was, seconds. */
export interface Wait {
  readonly endedMs: number;
  readonly seconds: number;
}
export interface PoolReport extends Window {
  readonly waits: readonly Wait[];
}
export interface StallReport extends PoolReport {
  /** Name of the function that blocks. */
  readonly culprit: string;
}
export interface QueryReport extends PoolReport {
  readonly duration: Truth;
  readonly repeats: number;
  readonly capacity: number;
}

/** What the throw-away program injected. */
export interface Report {
  readonly pool: PoolReport;
  readonly stall: StallReport;
  readonly requests: Truth;
  /** Undefined where there is no driver. */
  readonly query: QueryReport | undefined;
}
