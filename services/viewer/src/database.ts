import type { Column } from "./frames/columns.ts";

export interface QueryResult {
  columns: Column[];
  rows: unknown[][];
  /** The row cap was reached; more rows exist. */
  truncated: boolean;
  /** Zone of DateTime columns that name none (IANA). */
  timezone: string;
}

/** Where the panels' rows come from. Errors are DatabaseError. */
export interface Database {
  query(sql: string): Promise<QueryResult>;
  /** Resolves when ClickHouse answers `SELECT 1`; rejects with DatabaseError otherwise. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export type DatabaseErrorCode =
  | "VIEWER_DATABASE_UNREACHABLE"
  | "VIEWER_QUERY_FAILED"
  | "VIEWER_QUERY_TIMEOUT"
  | "VIEWER_DATABASE_DENIED";

/** A query that gave no rows. `message` is ClickHouse's own text; `hint` says what to do. */
export class DatabaseError extends Error {
  readonly code: DatabaseErrorCode;
  readonly hint: string;
  constructor(code: DatabaseErrorCode, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}
