import type { Block } from "../rows/decoder.ts";
import { TABLE_ORDER, type TableName } from "../rows/tables.ts";
import type { Frame } from "./frame.ts";
import type { SegmentContent } from "./segment.ts";

/** The rows of one table of a segment: one insert. */
export interface TableBatch {
  readonly table: TableName;
  readonly body: Buffer;
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
    return [{ table, body: Buffer.concat(part.map((block) => block.bytes)), rows, points }];
  });
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
