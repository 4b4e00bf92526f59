/** One call on a stack. */
export interface Frame {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What the application's thread was doing at one moment. */
export interface Description {
  /** On the process's monotonic clock, in milliseconds. */
  readonly atMs: number;
  /** Innermost first. */
  readonly frames: readonly Frame[];
  readonly route: string | undefined;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
}
