import type { StoreClient } from "@tidemark/store";
import { rowsOf } from "./replay.ts";
import { optimize, sizesOfWide } from "./storage-size.ts";

/** Chains that are tried on every column whose type takes them. */
const CODECS = [
  "LZ4",
  "ZSTD(1)",
  "ZSTD(3)",
  "ZSTD(6)",
  "Delta, ZSTD(1)",
  "Delta, ZSTD(3)",
  "DoubleDelta, ZSTD(1)",
  "T64, ZSTD(1)",
  "T64, ZSTD(3)",
  "Delta, T64, ZSTD(1)",
  "Delta, T64, ZSTD(3)",
  "GCD, T64, ZSTD(3)",
  "Gorilla, ZSTD(1)",
  "FPC, ZSTD(1)",
] as const;

export interface CodecTrial {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  /** What the table has now. */
  readonly codec: string;
  /** Compressed bytes of the column under each chain; a chain the type does not take is missing. */
  readonly bytes: Readonly<Record<string, number>>;
}

export interface OrderTrial {
  readonly table: string;
  readonly order: string;
  readonly bytes: number;
}

/** Every column of the tables under every chain, each in one wide part, and a row of no codec change first. */
export async function tryCodecs(client: StoreClient, tables: readonly string[]): Promise<CodecTrial[]> {
  const trials: CodecTrial[] = [];
  for (const table of tables) {
    const current = await columnsOf(client, table);
    const bytes = new Map<string, Record<string, number>>(current.map(({ name }) => [name, {}]));
    for (const codec of CODECS) {
      const copy = "codec_trial";
      await client.command({ query: `DROP TABLE IF EXISTS ${copy} SYNC` });
      await wideCopy(client, table, copy);
      const changed = new Set<string>();
      for (const { name, type } of current) {
        if (await takes(client, copy, name, type, codec)) changed.add(name);
      }
      await client.command({ query: `INSERT INTO ${copy} SELECT * FROM ${table}` });
      await optimize(client, [copy]);
      for (const { column, bytes: size } of await sizesOfWide(client, copy)) {
        if (changed.has(column)) bytes.get(column)![codec] = size;
      }
    }
    await client.command({ query: "DROP TABLE codec_trial SYNC" });
    trials.push(
      ...current.map(({ name, type, codec }) => ({ table, column: name, type, codec, bytes: bytes.get(name)! })),
    );
  }
  return trials;
}

/** Bytes of the whole table under other sorting keys, its codecs as they are. */
export async function tryOrders(
  client: StoreClient,
  orders: Readonly<Record<string, readonly string[]>>,
): Promise<OrderTrial[]> {
  const trials: OrderTrial[] = [];
  for (const [table, keys] of Object.entries(orders)) {
    const [row] = await rowsOf<{ key: string }>(
      client,
      `SELECT sorting_key AS key FROM system.tables WHERE database = currentDatabase() AND name = '${table}'`,
    );
    for (const order of [row?.key ?? "", ...keys]) {
      await client.command({ query: "DROP TABLE IF EXISTS order_trial SYNC" });
      const columns = (await columnsOf(client, table)).map(
        ({ name, type, codec }) => `\`${name}\` ${type} ${codec === "" ? "" : codec}`,
      );
      await client.command({
        query: `CREATE TABLE order_trial (${columns.join(", ")}) ENGINE = MergeTree ORDER BY (${order}) SETTINGS min_bytes_for_wide_part = 0`,
      });
      await client.command({ query: `INSERT INTO order_trial SELECT * FROM ${table}` });
      await optimize(client, ["order_trial"]);
      const sizes = await sizesOfWide(client, "order_trial");
      trials.push({ table, order, bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0) });
      await client.command({ query: "DROP TABLE order_trial SYNC" });
    }
  }
  return trials;
}

async function wideCopy(client: StoreClient, table: string, copy: string): Promise<void> {
  await client.command({
    query: `CREATE TABLE ${copy} AS ${table} SETTINGS min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0`,
  });
}

/** Sets the column's codec where its type takes it: ClickHouse refuses the others. */
async function takes(client: StoreClient, table: string, column: string, type: string, codec: string) {
  try {
    await client.command({ query: `ALTER TABLE ${table} MODIFY COLUMN \`${column}\` ${type} CODEC(${codec})` });
    return true;
  } catch (error) {
    if (/BAD_ARGUMENTS|ILLEGAL_CODEC|is not applicable|ILLEGAL_SYNTAX|codec/i.test((error as Error).message))
      return false;
    throw error;
  }
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly codec: string;
}

function columnsOf(client: StoreClient, table: string): Promise<Column[]> {
  return rowsOf<Column>(
    client,
    `SELECT name, type, compression_codec AS codec FROM system.columns
     WHERE database = currentDatabase() AND table = '${table}' AND default_kind != 'ALIAS' ORDER BY position`,
  );
}
