import { crc32 } from "node:zlib";
import type { Block } from "../rows/decoder.ts";

/**
 * A frame is what one request adds to the log, whole or not at all:
 *
 * | bytes | what |
 * |---|---|
 * | 4 | "TDMF" |
 * | 4 | length of the payload |
 * | 4 | CRC-32 of the payload |
 * | 4 | CRC-32 of the 12 bytes before: a length that can be trusted tells a torn write from damage |
 * | payload: 16 | digest of the request, to know it again when it is sent twice |
 * | 4 | number of blocks |
 * | 16 each | table, rows, points, bytes |
 * | ... | the blocks, `Native` format |
 *
 * All numbers are little-endian and unsigned, 32 bits.
 */
export const FRAME_HEADER_BYTES = 16;
const CHECKED_HEADER_BYTES = 12;
const MAGIC = 0x464d4454;
export const DIGEST_BYTES = 16;
const BLOCK_HEADER_BYTES = 16;
const MIN_PAYLOAD_BYTES = DIGEST_BYTES + 4;

export interface Frame {
  readonly digest: string;
  readonly points: number;
  readonly rows: number;
  readonly blocks: readonly Block[];
}

export function encodeFrame(digest: Buffer, blocks: readonly Block[]): Buffer[] {
  const head = Buffer.alloc(FRAME_HEADER_BYTES + MIN_PAYLOAD_BYTES + blocks.length * BLOCK_HEADER_BYTES);
  digest.copy(head, FRAME_HEADER_BYTES, 0, DIGEST_BYTES);
  let at = head.writeUInt32LE(blocks.length, FRAME_HEADER_BYTES + DIGEST_BYTES);
  let length = head.length - FRAME_HEADER_BYTES;
  for (const block of blocks) {
    at = head.writeUInt32LE(block.table, at);
    at = head.writeUInt32LE(block.rows, at);
    at = head.writeUInt32LE(block.points, at);
    at = head.writeUInt32LE(block.bytes.length, at);
    length += block.bytes.length;
  }
  let crc = crc32(head.subarray(FRAME_HEADER_BYTES));
  for (const block of blocks) crc = crc32(block.bytes, crc);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(length, 4);
  head.writeUInt32LE(crc, 8);
  head.writeUInt32LE(crc32(head.subarray(0, CHECKED_HEADER_BYTES)), CHECKED_HEADER_BYTES);
  return [head, ...blocks.map((block) => block.bytes)];
}

/** The frame at `at` and where the next one starts, or undefined when there is no whole, intact frame there. */
export function decodeFrame(file: Buffer, at: number): { frame: Frame; next: number } | undefined {
  const length = frameLength(file, at);
  if (length === undefined) return undefined;
  const start = at + FRAME_HEADER_BYTES;
  const end = start + length;
  if (length < MIN_PAYLOAD_BYTES || end > file.length) return undefined;
  if (crc32(file.subarray(start, end)) !== file.readUInt32LE(at + 8)) return undefined;
  const count = file.readUInt32LE(start + DIGEST_BYTES);
  let header = start + MIN_PAYLOAD_BYTES;
  let data = header + count * BLOCK_HEADER_BYTES;
  if (data > end) return undefined;
  const blocks: Block[] = [];
  let points = 0;
  let rows = 0;
  for (let i = 0; i < count; i++, header += BLOCK_HEADER_BYTES) {
    const size = file.readUInt32LE(header + 12);
    if (data + size > end) return undefined;
    const block: Block = {
      table: file.readUInt32LE(header),
      rows: file.readUInt32LE(header + 4),
      points: file.readUInt32LE(header + 8),
      bytes: file.subarray(data, data + size),
    };
    blocks.push(block);
    points += block.points;
    rows += block.rows;
    data += size;
  }
  return { frame: { digest: file.toString("hex", start, start + DIGEST_BYTES), points, rows, blocks }, next: end };
}

/** True for what a write that was cut short leaves at the end of a file: the beginning of one frame. */
export function isTorn(file: Buffer, at: number): boolean {
  const length = frameLength(file, at);
  if (length !== undefined) return at + FRAME_HEADER_BYTES + length > file.length;
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(MAGIC, 0);
  const rest = file.subarray(at);
  return rest.length < FRAME_HEADER_BYTES && rest.subarray(0, 4).equals(magic.subarray(0, Math.min(4, rest.length)));
}

/** The length of the payload that an intact header at `at` tells. */
function frameLength(file: Buffer, at: number): number | undefined {
  if (at + FRAME_HEADER_BYTES > file.length || file.readUInt32LE(at) !== MAGIC) return undefined;
  const checked = file.subarray(at, at + CHECKED_HEADER_BYTES);
  return crc32(checked) === file.readUInt32LE(at + CHECKED_HEADER_BYTES) ? file.readUInt32LE(at + 4) : undefined;
}

/** Where the next frame magic is at or after `from`; -1 for nowhere. */
export function findMagic(file: Buffer, from: number): number {
  return file.indexOf("TDMF", from, "latin1");
}
