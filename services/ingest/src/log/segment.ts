import { decodeFrame, type Frame, findMagic } from "./frame.ts";

/** A segment file begins with: "TDML", version (4 bytes), id of the log (16 bytes), number of the segment (8 bytes). */
export const SEGMENT_HEADER_BYTES = 32;
const MAGIC = "TDML";
const VERSION = 1;

export interface SegmentContent {
  readonly logId: string;
  readonly frames: readonly Frame[];
  /** Where the last intact frame ends. */
  readonly end: number;
  /** Bytes after the last intact frame: a write that kill -9 or a full disk cut short. */
  readonly tornBytes: number;
  /** Bytes between intact frames, or a header, that cannot be read: the disk or somebody changed them. */
  readonly damagedBytes: number;
}

export function segmentHeader(logId: string, number: number): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32LE(VERSION, 4);
  header.write(logId.replaceAll("-", ""), 8, "hex");
  header.writeBigUInt64LE(BigInt(number), 24);
  return header;
}

/**
 * Every intact frame of a segment. The same bytes give the same frames, so that an insert of them can be repeated.
 * `fallbackId` stands in for the log's id when the header cannot be read.
 */
export function readSegment(file: Buffer, fallbackId: string): SegmentContent {
  const intact =
    file.length >= SEGMENT_HEADER_BYTES && file.toString("latin1", 0, 4) === MAGIC && file.readUInt32LE(4) === VERSION;
  const frames: Frame[] = [];
  let damagedBytes = intact || file.length < SEGMENT_HEADER_BYTES ? 0 : SEGMENT_HEADER_BYTES;
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
  return {
    logId: intact ? uuid(file.toString("hex", 8, 24)) : fallbackId,
    frames,
    end,
    tornBytes: file.length - end,
    damagedBytes,
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
