const INITIAL_BYTES = 64 * 1024;
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/**
 * Writes protocol buffers. Only what OTLP needs; nested messages are written in place and their length is put before
 * them afterwards. Source: protobuf.dev, Encoding.
 */
export class ProtoWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;

  /** What was written, as a copy; the writer can be used again. */
  finish(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return bytes;
  }

  message(field: number, write: () => void): void {
    this.#varint((field << 3) | LENGTH);
    const start = this.#length;
    write();
    const size = this.#length - start;
    const prefix = varintBytes(size);
    this.#reserve(prefix);
    this.#buffer.copyWithin(start + prefix, start, this.#length);
    this.#length = start;
    this.#varint(size);
    this.#length += size;
  }

  string(field: number, value: string): void {
    const size = Buffer.byteLength(value);
    this.#varint((field << 3) | LENGTH);
    this.#varint(size);
    this.#reserve(size);
    this.#buffer.write(value, this.#length, "utf8");
    this.#length += size;
  }

  bytes(field: number, value: Uint8Array): void {
    this.#varint((field << 3) | LENGTH);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** Unsigned integer, below 2^53. */
  uint(field: number, value: number): void {
    this.#varint((field << 3) | VARINT);
    this.#varint(value);
  }

  /** Signed integer of 64 bits. */
  int64(field: number, value: number): void {
    this.#varint((field << 3) | VARINT);
    if (value >= 0) this.#varint(value);
    else {
      let rest = BigInt.asUintN(64, BigInt(value));
      this.#reserve(10);
      while (rest > 0x7fn) {
        this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
        rest >>= 7n;
      }
      this.#buffer[this.#length++] = Number(rest);
    }
  }

  /** Signed integer of 32 bits, zigzag. */
  sint32(field: number, value: number): void {
    this.#varint((field << 3) | VARINT);
    this.#varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  double(field: number, value: number): void {
    this.#varint((field << 3) | FIXED64);
    this.#reserve(8);
    this.#buffer.writeDoubleLE(value, this.#length);
    this.#length += 8;
  }

  fixed64(field: number, value: bigint): void {
    this.#varint((field << 3) | FIXED64);
    this.#reserve(8);
    this.#buffer.writeBigUInt64LE(value, this.#length);
    this.#length += 8;
  }

  fixed32(field: number, value: number): void {
    this.#varint((field << 3) | FIXED32);
    this.#reserve(4);
    this.#buffer.writeUInt32LE(value, this.#length);
    this.#length += 4;
  }

  packedUints(field: number, values: readonly number[]): void {
    this.message(field, () => {
      for (const value of values) this.#varint(value);
    });
  }

  #varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#length + bytes));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}
