import { createStoreClient, TABLES } from "@tidemark/store";
import type { AlertEvent } from "./events.ts";
import type { Table } from "./rows.ts";

const MS_PER_S = 1000;
const INSERT_TIMEOUT_MS = 10_000;
const OPEN_TIMEOUT_MS = 10_000;

export interface Database {
  /** Runs a rule's query. Rejects when ClickHouse does not answer, or answers with an exception. */
  query(sql: string, timeoutMs: number, signal: AbortSignal): Promise<Table>;
  /** What `alert_events` believes to go on: the last event of each label set that has not ended. */
  open(): Promise<AlertEvent[]>;
  /** Stores rows of `alert_events`; the same rows under the same token are stored once. */
  insert(rows: readonly AlertEvent[], token: string): Promise<void>;
  close(): Promise<void>;
}

/** ClickHouse, server or embedded, by URL. Connects when it is first used, so that it may come up later. */
export function openDatabase(url: string): Database {
  const client = createStoreClient(url, { application: "tidemark-alerts", maxOpenConnections: 16 });
  return {
    async query(sql, timeoutMs, signal) {
      const result = await client.query({
        query: sql,
        format: "JSONCompact",
        abort_signal: signal,
        clickhouse_settings: {
          max_execution_time: Math.ceil(timeoutMs / MS_PER_S),
          output_format_json_quote_64bit_integers: 0,
        },
      });
      const { meta, data } = await result.json<unknown[]>();
      return { meta: meta ?? [], data };
    },
    async open() {
      const result = await client.query({
        query: `SELECT * FROM ${TABLES.alertsCurrent}`,
        format: "JSONEachRow",
        abort_signal: AbortSignal.timeout(OPEN_TIMEOUT_MS),
      });
      return result.json<AlertEvent>();
    },
    async insert(rows, token) {
      await client.insert({
        table: TABLES.alertEvents,
        values: rows,
        format: "JSONEachRow",
        abort_signal: AbortSignal.timeout(INSERT_TIMEOUT_MS),
        clickhouse_settings: { insert_deduplication_token: token },
      });
    },
    close: () => client.close(),
  };
}
