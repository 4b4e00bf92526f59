import type { StoreClient } from "@tidemark/store";
import { rowsOf } from "./replay.ts";

export interface TableSize {
  readonly table: string;
  readonly rows: number;
  readonly parts: number;
  /** Everything of the active parts: data, marks, primary index, checksums. */
  readonly bytes: number;
}

export interface ColumnSize {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  readonly codec: string;
  readonly bytes: number;
  readonly uncompressed: number;
}

const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(", ");

/** Bytes on disk of the active parts of tables; tables without rows are left out. */
export async function tableSizes(client: StoreClient, tables: readonly string[]): Promise<TableSize[]> {
  const found = await rowsOf<Record<"table" | "rows" | "parts" | "bytes", string>>(
    client,
    `SELECT table, sum(rows) AS rows, count() AS parts, sum(bytes_on_disk) AS bytes FROM system.parts
     WHERE active AND database = currentDatabase() AND table IN (${quoted(tables)}) GROUP BY table ORDER BY bytes DESC`,
  );
  return found.map(({ table, rows, parts, bytes }) => ({
    table,
    rows: Number(rows),
    parts: Number(parts),
    bytes: Number(bytes),
  }));
}

export async function optimize(client: StoreClient, tables: readonly string[]): Promise<void> {
  for (const table of tables) await client.command({ query: `OPTIMIZE TABLE ${table} FINAL` });
}

/**
 * Compressed bytes of every column. ClickHouse tells them of wide parts only, and small parts are compact; so each
 * table is copied into one wide part of a table made `AS` it, which is dropped again.
 */
export async function columnSizes(client: StoreClient, tables: readonly string[]): Promise<ColumnSize[]> {
  const sizes: ColumnSize[] = [];
  for (const table of tables) {
    const copy = `${table}_by_column`;
    const query = `CREATE TABLE ${copy} AS ${table} SETTINGS min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0`;
    await client.command({ query });
    await client.command({ query: `INSERT INTO ${copy} SELECT * FROM ${table}` });
    await optimize(client, [copy]);
    sizes.push(...(await sizesOfWide(client, copy)).map((size) => ({ ...size, table })));
    await client.command({ query: `DROP TABLE ${copy}` });
  }
  return sizes.sort((a, b) => b.bytes - a.bytes);
}

/** Columns of a table whose parts are wide. */
export async function sizesOfWide(client: StoreClient, table: string): Promise<ColumnSize[]> {
  const found = await rowsOf<Record<"column" | "type" | "codec" | "bytes" | "uncompressed", string>>(
    client,
    `SELECT p.column AS column, any(p.type) AS type, any(c.compression_codec) AS codec,
            sum(p.column_data_compressed_bytes) AS bytes, sum(p.column_data_uncompressed_bytes) AS uncompressed
     FROM system.parts_columns AS p
     INNER JOIN (SELECT name, compression_codec FROM system.columns WHERE database = currentDatabase() AND table = '${table}') AS c
       ON c.name = p.column
     WHERE p.active AND p.database = currentDatabase() AND p.table = '${table}' GROUP BY p.column`,
  );
  return found.map(({ column, type, codec, bytes, uncompressed }) => ({
    table,
    column,
    type,
    codec,
    bytes: Number(bytes),
    uncompressed: Number(uncompressed),
  }));
}
