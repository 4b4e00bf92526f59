import { Bytes, type Column, Dictionary, Fixed, List, Optional, Text, Words } from "./columns.ts";

const MAX_VARINT_BYTES = 10;

/** A table's rows while one request is decoded: named columns, written out as one `Native` block. */
export class Table<C extends Record<string, Column> = Record<string, Column>> {
  readonly name: string;
  readonly columns: C;
  private readonly entries: [string, Column][];
  /** OTLP points, spans or log records that the rows are made of. */
  points = 0;

  constructor(name: string, columns: C) {
    this.name = name;
    this.columns = columns;
    this.entries = Object.entries(columns);
  }

  get rows(): number {
    return this.entries[0]![1].rows;
  }

  /** Columns that the block has, in its order: the column list of the INSERT. */
  get columnNames(): string[] {
    return this.entries.map(([name]) => name);
  }

  /** The block. Throws when a column is longer or shorter than the first: a defect of ours, never of the input. */
  block(): Buffer {
    const rows = this.rows;
    let size = 2 * MAX_VARINT_BYTES;
    for (const [name, column] of this.entries)
      size += 2 * MAX_VARINT_BYTES + name.length + column.type.length + column.size;
    // Sized before it is written, so that it is neither grown nor copied.
    const out = new Bytes(size);
    out.varint(this.entries.length);
    out.varint(rows);
    for (const [name, column] of this.entries) {
      if (column.rows !== rows) throw new Error(`${this.name}.${name} has ${column.rows} rows of ${rows}`);
      out.text(name);
      out.text(column.type);
      column.prefix(out);
      column.values(out);
    }
    return out.done();
  }

  clear(): void {
    for (const [, column] of this.entries) column.clear();
    this.points = 0;
  }
}

export const words = () => new Words();
export const text = () => new Text();
export const float = () => new Fixed("Float64", 8);
export const optionalFloat = () => new Optional(float());
export const u64 = () => new Fixed("UInt64", 8);
export const optionalU64 = () => new Optional(u64());
export const millis = () => new Fixed("DateTime64(3, 'UTC')", 8);
export const nanos = () => new Fixed("DateTime64(9)", 8);
export const seconds = () => new Fixed("DateTime('UTC')", 4);
export const fixed = (type: string, width: number) => new Fixed(type, width);
export const list = <T extends Column>(items: T) => new List(items);
export const labels = () => new Dictionary(new Words(), new Text());
export const buckets4 = () => new Dictionary(new Fixed("Int16", 2), u64());
