/** One call on a stack. */
export interface Frame {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Where the function itself begins: by this a source map knows its name. */
  readonly functionLine?: number | undefined;
  readonly functionColumn?: number | undefined;
}

/** A request that is being served. Times on the process's monotonic clock, in milliseconds. */
export interface RequestInFlight {
  readonly route: string | undefined;
  readonly method: string;
  readonly traceId: string | undefined;
  readonly startMs: number;
}

/** The requests that are being served, less the one whose code runs. */
export interface RequestsInFlight {
  readonly count: number;
  /** When they started and the place of their route in `routes`, of five hundred at most. */
  readonly startsMs: readonly number[];
  readonly routeIndexes: readonly number[];
  /** null: no route is known. */
  readonly routes: readonly (string | null)[];
  /** The ten that started first. */
  readonly oldest: readonly RequestInFlight[];
}

/** What the application's thread was doing at one moment. Times on the process's monotonic clock, in milliseconds. */
export interface Description {
  readonly atMs: number;
  /** Innermost first. */
  readonly frames: readonly Frame[];
  readonly route: string | undefined;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly inFlight: RequestsInFlight;
  /** How long the loop has been active since its last 250 ms tick, and when that was; absent before the first one. */
  readonly sinceTick: { readonly tickMs: number; readonly activeMs: number } | undefined;
  /** How long taking all this held the thread up. */
  readonly heldMs: number;
}
