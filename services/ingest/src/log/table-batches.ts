import type { Block } from "../rows/decoder.ts";
import { TABLE_ORDER, type TableName } from "../rows/tables.ts";
import type { Frame } from "./frame.ts";
import type { SegmentContent } from "./segment.ts";

const JOIN_BYTES = 128 * 1024;

/** The rows of one table of a segment: one insert. */
export interface TableBatch {
  readonly table: TableName;
  /** Whole `Native` blocks in the order of the log, small ones joined. */
  readonly body: readonly Buffer[];
  readonly rows: number;
  readonly points: number;
}

type Frames = Pick<SegmentContent, "frames">;

/** The blocks of a segment by table, in the order of TABLE_ORDER and, within a table, of the log. */
export function batches({ frames }: Frames): TableBatch[] {
  const parts = new Map<number, Block[]>();
  for (const frame of frames) {
    for (const block of frame.blocks) {
      const part = parts.get(block.table);
      if (part === undefined) parts.set(block.table, [block]);
      else part.push(block);
    }
  }
  return TABLE_ORDER.flatMap((table, index) => {
    const part = parts.get(index);
    if (part === undefined) return [];
    let rows = 0;
    let points = 0;
    for (const block of part) {
      rows += block.rows;
      points += block.points;
    }
    return [{ table, body: [...pieces(part)], rows, points }];
  });
}

/** Large blocks stay where they are in memory; small ones are copied together, as each piece is a write to a socket. */
function* pieces(blocks: readonly Block[]): Generator<Buffer> {
  let small: Buffer[] = [];
  let smallBytes = 0;
  for (const { bytes } of blocks) {
    if (bytes.length < JOIN_BYTES) {
      small.push(bytes);
      smallBytes += bytes.length;
    }
    if (smallBytes > 0 && (bytes.length >= JOIN_BYTES || smallBytes >= JOIN_BYTES)) {
      yield Buffer.concat(small, smallBytes);
      small = [];
      smallBytes = 0;
    }
    if (bytes.length >= JOIN_BYTES) yield bytes;
  }
  if (smallBytes > 0) yield Buffer.concat(small, smallBytes);
}

/** What an insert of one table of a segment is known by: repeated under it, the same bytes are stored once. */
export function tokenOf(logId: string, segment: number, table: TableName): string {
  return `${logId}:${segment}:${table}`;
}

/** The frames of a segment with the blocks of one table only. */
export function framesOf({ frames }: Frames, table: TableName): Frame[] {
  const index = TABLE_ORDER.indexOf(table);
  return frames.flatMap((frame) => {
    const blocks = frame.blocks.filter((block) => block.table === index);
    return blocks.length === 0 ? [] : [{ ...frame, blocks }];
  });
}

/** Points in a segment, or in some of its tables. */
export function pointsIn({ frames }: Frames, tables?: ReadonlySet<string>): number {
  let points = 0;
  for (const frame of frames) {
    for (const block of frame.blocks) {
      if (tables === undefined || tables.has(TABLE_ORDER[block.table] ?? "")) points += block.points;
    }
  }
  return points;
}
