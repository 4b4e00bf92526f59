/** Protocol-buffer wire types. Source: protobuf.dev, "Encoding". */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const GROUP_START = 3;
export const GROUP_END = 4;
export const FIXED32 = 5;

const MAX_NESTING = 100;
const TWO_32 = 4294967296;

/** The body is not a legal protocol-buffer message; `offset` says where reading stopped. */
export class MalformedBody extends Error {
  readonly offset: number;
  constructor(reason: string, offset: number) {
    super(`${reason} at byte ${offset}`);
    this.offset = offset;
  }
}

/**
 * A cursor over protocol-buffer bytes that allocates nothing while it reads.
 *
 * Every method takes the `end` of the message it reads in and throws MalformedBody rather than read past it. 64-bit
 * values are left in `lo` and `hi` (unsigned 32-bit halves) besides the return value, which is exact up to 2^53.
 */
export class Wire {
  readonly bytes: Buffer;
  readonly view: DataView;
  pos = 0;
  lo = 0;
  hi = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(reason: string): never {
    throw new MalformedBody(reason, this.pos);
  }

  /** Next tag: `field number << 3 | wire type`. Field 0 and wire types 6 and 7 are malformed. */
  tag(end: number): number {
    const first = this.bytes[this.pos]!;
    if (first < 0x80 && this.pos < end) {
      if (first < 8 || (first & 7) > FIXED32) this.fail("illegal field tag");
      this.pos++;
      return first;
    }
    const tag = this.varint(end);
    if (tag < 8 || tag >= TWO_32 || (tag & 7) > FIXED32) this.fail("illegal field tag");
    return tag;
  }

  varint(end: number): number {
    const bytes = this.bytes;
    let pos = this.pos;
    if (pos >= end) this.fail("truncated varint");
    let byte = bytes[pos++]!;
    if (byte < 0x80) {
      this.pos = pos;
      this.lo = byte;
      this.hi = 0;
      return byte;
    }
    let lo = byte & 0x7f;
    let hi = 0;
    let shift = 7;
    for (;;) {
      if (pos >= end) this.fail("truncated varint");
      byte = bytes[pos++]!;
      const bits = byte & 0x7f;
      if (shift < 28) lo |= bits << shift;
      else if (shift === 28) {
        lo |= bits << 28;
        hi = bits >>> 4;
      } else if (shift < 63) hi |= bits << (shift - 32);
      else if (shift === 63) hi |= bits << 31;
      else this.fail("varint longer than 10 bytes");
      if (byte < 0x80) break;
      shift += 7;
    }
    this.pos = pos;
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
    return this.hi * TWO_32 + this.lo;
  }

  /** Reads a length prefix and returns where the value ends; `pos` is left at its first byte. */
  span(end: number): number {
    const length = this.varint(end);
    const stop = this.pos + length;
    if (stop > end) this.fail("length runs past the end of its message");
    return stop;
  }

  fixed64(end: number): void {
    if (this.pos + 8 > end) this.fail("truncated 64-bit value");
    this.lo = this.view.getUint32(this.pos, true);
    this.hi = this.view.getUint32(this.pos + 4, true);
    this.pos += 8;
  }

  double(end: number): number {
    if (this.pos + 8 > end) this.fail("truncated 64-bit value");
    const value = this.view.getFloat64(this.pos, true);
    this.pos += 8;
    return value;
  }

  fixed32(end: number): number {
    if (this.pos + 4 > end) this.fail("truncated 32-bit value");
    const value = this.view.getUint32(this.pos, true);
    this.pos += 4;
    return value;
  }

  /** Skips the value of a field that nobody reads: unknown fields are legal, groups included. */
  skip(tag: number, end: number, depth = 0): void {
    switch (tag & 7) {
      case VARINT:
        this.varint(end);
        return;
      case FIXED64:
        this.pos += 8;
        break;
      case BYTES:
        this.pos = this.span(end);
        return;
      case GROUP_START: {
        if (depth >= MAX_NESTING) this.fail("groups nested too deep");
        const closing = (tag & ~7) | GROUP_END;
        for (;;) {
          if (this.pos >= end) this.fail("group without end");
          const inner = this.tag(end);
          if (inner === closing >>> 0) return;
          if ((inner & 7) === GROUP_END) this.fail("end of a group that was not begun");
          this.skip(inner, end, depth + 1);
        }
      }
      case GROUP_END:
        this.fail("end of a group that was not begun");
        break;
      default:
        this.pos += 4;
    }
    if (this.pos > end) this.fail("truncated value");
  }
}

/**
 * The occurrences of one embedded message as one: `ranges` are start and end, pairwise. Protobuf merges what is sent
 * several times where one is expected, which is what their bytes in a row mean.
 * Source: protobuf.dev, "Encoding", "Last One Wins".
 */
export function joined(wire: Wire, ranges: readonly number[]): Wire {
  const parts: Buffer[] = [];
  for (let i = 0; i < ranges.length; i += 2) parts.push(wire.bytes.subarray(ranges[i], ranges[i + 1]));
  return new Wire(Buffer.concat(parts));
}

/** Nanoseconds (two unsigned halves) to whole milliseconds, exactly: 2^32 ns = 4294 ms + 967296 ns. */
export function nanosToMillis(lo: number, hi: number): number {
  return hi * 4294 + Math.floor((hi * 967296 + lo) / 1e6);
}

export function unsigned(lo: number, hi: number): number {
  return hi * TWO_32 + lo;
}

/** Two's complement halves to the decimal text of the signed number. */
export function signedText(lo: number, hi: number): string {
  const value = (hi | 0) * TWO_32 + lo;
  return Number.isSafeInteger(value) ? String(value) : ((BigInt(hi | 0) << 32n) | BigInt(lo)).toString();
}
