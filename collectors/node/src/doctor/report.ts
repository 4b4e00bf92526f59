import type { Window } from "./inbox.ts";

/** What was injected, as those saw it who waited. Seconds. */
export interface Truth {
  readonly count: number;
  readonly mean: number;
  readonly max: number;
}
export interface PoolReport extends Window {
  readonly wait: Truth;
}
export interface StallReport extends Window {
  readonly wait: Truth;
  /** Name of the function that blocks. */
  readonly culprit: string;
}
export interface QueryReport extends Window {
  readonly wait: Truth;
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
