import { crc32 } from "node:zlib";
import { decodeFrame, type Frame, findMagic, isTorn } from "./frame.ts";

/**
 * A segment file begins with: "TDML", version (4 bytes), id of the log (16 bytes), number of the segment (8 bytes),
 * CRC-32 of these 32 bytes. Frames follow. Numbers are little-endian.
 */
export const SEGMENT_HEADER_BYTES = 36;
const MAGIC = "TDML";
const VERSION = 2;
const CHECKED_BYTES = 32;

export interface SegmentContent {
  /** First part of the tokens its rows are inserted under; undefined when the header cannot be read. */
  readonly logId: string | undefined;
  readonly number: number | undefined;
  readonly frames: readonly Frame[];
  /** Where the last intact frame ends. */
  readonly end: number;
  /** Bytes of the beginning of one more frame: a write that kill -9 or a full disk cut short. Nobody was told it is kept. */
  readonly tornBytes: number;
  /** Bytes that should be a header or a frame and cannot be read: the disk or somebody changed them. */
  readonly damagedBytes: number;
}

export function segmentHeader(logId: string, number: number): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32LE(VERSION, 4);
  header.write(logId.replaceAll("-", ""), 8, "hex");
  header.writeBigUInt64LE(BigInt(number), 24);
  header.writeUInt32LE(crc32(header.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
  return header;
}

/** Every intact frame of a segment. The same bytes give the same frames, so that an insert of them can be repeated. */
export function readSegment(file: Buffer): SegmentContent {
  const whole = file.length >= SEGMENT_HEADER_BYTES;
  const intact =
    whole &&
    file.toString("latin1", 0, 4) === MAGIC &&
    file.readUInt32LE(4) === VERSION &&
    crc32(file.subarray(0, CHECKED_BYTES)) === file.readUInt32LE(CHECKED_BYTES);
  const frames: Frame[] = [];
  let damagedBytes = intact || !whole ? 0 : SEGMENT_HEADER_BYTES;
  let at = SEGMENT_HEADER_BYTES;
  let end = Math.min(at, file.length);
  while (at < file.length) {
    const read = decodeFrame(file, at);
    if (read !== undefined) {
      frames.push(read.frame);
      at = read.next;
      end = at;
      continue;
    }
    const next = nextIntact(file, at + 1);
    if (next === -1) break;
    damagedBytes += next - at;
    at = next;
  }
  const tail = file.length - end;
  const torn = tail > 0 && isTorn(file, end);
  return {
    logId: intact ? uuid(file.toString("hex", 8, 24)) : undefined,
    number: intact ? Number(file.readBigUInt64LE(24)) : undefined,
    frames,
    end,
    tornBytes: torn ? tail : 0,
    damagedBytes: damagedBytes + (torn ? 0 : tail),
  };
}

function nextIntact(file: Buffer, from: number): number {
  for (let at = findMagic(file, from); at !== -1; at = findMagic(file, at + 1)) {
    if (decodeFrame(file, at) !== undefined) return at;
  }
  return -1;
}

function uuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
