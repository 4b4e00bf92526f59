import { createStoreClient, type StoreClient } from "@tidemark/store";
import { type Database, DatabaseError, type QueryResult } from "./database.ts";
import type { Column } from "./frames/columns.ts";

export interface ClickHouseOptions {
  url: string;
  /** Seconds. */
  queryTimeout: number;
  maxRows: number;
}

const MS_PER_S = 1000;
/** At most so many panels ask at once: a wall of panels must not starve the ingest. */
const MAX_CONCURRENT = 6;
const NETWORK_CODES = new Set(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EPIPE", "EAI_AGAIN", "EHOSTUNREACH"]);
const READONLY_CODE = "164";
const SERVER_TIMEOUT_CODE = "159";
const DENIED_CODES = new Set(["192", "193", "194", "497", "516"]);

/** ClickHouse (or the embedded engine) as a Database, through the store's read-only client. */
export function openClickHouse(options: ClickHouseOptions): Database {
  const client = createStoreClient(options.url, {
    readOnly: true,
    application: "tidemark-viewer",
    maxOpenConnections: MAX_CONCURRENT,
  });
  const slot = limiter(MAX_CONCURRENT);
  // A profile with readonly = 1 refuses every setting; then the server's own limits and our abort stand alone.
  let mayLimit = true;
  const run = async (sql: string): Promise<QueryResult> => {
    try {
      return await ask(client, sql, options, mayLimit);
    } catch (error) {
      if (!mayLimit || (error as { code?: string }).code !== READONLY_CODE) throw databaseError(error, options);
      mayLimit = false;
      return ask(client, sql, options, mayLimit).catch((again: unknown) => {
        throw databaseError(again, options);
      });
    }
  };
  return {
    query: (sql) => slot(() => run(sql)),
    async ping() {
      await run("SELECT 1");
    },
    close: () => client.close(),
  };
}

async function ask(client: StoreClient, sql: string, options: ClickHouseOptions, limit: boolean): Promise<QueryResult> {
  const result = await client.query({
    query: sql,
    format: "JSONCompactEachRowWithNamesAndTypes",
    clickhouse_settings: limit ? { max_execution_time: options.queryTimeout } : {},
    abort_signal: AbortSignal.timeout((options.queryTimeout + 1) * MS_PER_S),
  });
  const zone = result.response_headers["x-clickhouse-timezone"];
  return collect(result.stream() as unknown as RowStream, typeof zone === "string" ? zone : "UTC", options.maxRows);
}

type RowStream = AsyncIterable<{ json(): unknown }[]> & { destroy(): void };

/** Reads names, types and rows, and stops reading at the cap. */
async function collect(stream: RowStream, timezone: string, maxRows: number): Promise<QueryResult> {
  let names: string[] | undefined;
  let types: string[] | undefined;
  const rows: unknown[][] = [];
  let truncated = false;
  for await (const chunk of stream) {
    for (const row of chunk) {
      const values = row.json() as unknown[];
      if (!names) names = values as string[];
      else if (!types) types = values as string[];
      else if (rows.length < maxRows) rows.push(values);
      else truncated = true;
    }
    if (truncated) break;
  }
  if (truncated) stream.destroy();
  const columns: Column[] = (names ?? []).map((name, i) => ({ name, type: types?.[i] ?? "String" }));
  return { columns, rows, truncated, timezone };
}

function databaseError(error: unknown, { url, queryTimeout }: ClickHouseOptions): DatabaseError {
  const { code, message = String(error), name } = error as { code?: string; message?: string; name?: string };
  if (code === SERVER_TIMEOUT_CODE || name === "TimeoutError" || /timeout|aborted/i.test(message)) {
    const hint = "Choose a shorter time range, or raise TIDEMARK_VIEWER_QUERY_TIMEOUT.";
    return new DatabaseError("VIEWER_QUERY_TIMEOUT", `The query took longer than ${queryTimeout} s`, hint);
  }
  if ((code && NETWORK_CODES.has(code)) || /socket hang up|ECONN/.test(message)) {
    const place = new URL(url);
    const hint = "Start it (npm start), or set TIDEMARK_CLICKHOUSE_URL. This page tries again by itself.";
    return new DatabaseError("VIEWER_DATABASE_UNREACHABLE", `ClickHouse at ${place.host} does not answer`, hint);
  }
  if (code && DENIED_CODES.has(code)) {
    const hint = "Check the user and the password in TIDEMARK_CLICKHOUSE_URL.";
    return new DatabaseError("VIEWER_DATABASE_DENIED", message, hint);
  }
  const hint = "The panel's SQL was refused. Are the migrations in place (tidemark migrate)?";
  return new DatabaseError("VIEWER_QUERY_FAILED", message, hint);
}

/** Runs at most `limit` tasks at once, the others in order of arrival. */
function limiter(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let active = 0;
  return async (task) => {
    if (active >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else active++;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else active--;
    }
  };
}
