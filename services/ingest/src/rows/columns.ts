const FIRST_CAPACITY = 256;
const TWO_32 = 4294967296;

/** Bytes that grow. */
export class Bytes {
  buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength);
  length = 0;

  reserve(extra: number): void {
    const needed = this.length + extra;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
    this.view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.length++] = value;
  }

  varint(value: number): void {
    this.reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.buffer[this.length++] = rest;
  }

  u32(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }

  u64(lo: number, hi: number): void {
    this.reserve(8);
    this.view.setUint32(this.length, lo, true);
    this.view.setUint32(this.length + 4, hi, true);
    this.length += 8;
  }

  /** A whole number, negative ones in two's complement; exact up to 2^53. */
  integer(value: number): void {
    const hi = Math.floor(value / TWO_32);
    this.u64(value - hi * TWO_32, hi);
  }

  f64(value: number): void {
    this.reserve(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  text(value: string): void {
    const length = value.length;
    if (length < 64) {
      this.reserve(length + 1);
      const at = this.length;
      const buffer = this.buffer;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code >= 0x80) break;
        buffer[at + 1 + i] = code;
      }
      if (i === length) {
        buffer[at] = length;
        this.length = at + 1 + length;
        return;
      }
    }
    const size = Buffer.byteLength(value);
    this.varint(size);
    this.reserve(size);
    this.length += this.buffer.write(value, this.length, size, "utf8");
  }

  raw(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.reserve(size);
    if (size < 32) for (let i = 0; i < size; i++) this.buffer[this.length + i] = source[start + i]!;
    else this.buffer.set(source.subarray(start, end), this.length);
    this.length += size;
  }

  append(other: Bytes): void {
    this.raw(other.buffer, 0, other.length);
  }

  done(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

/**
 * One column of a ClickHouse `Native` block at protocol revision 0: a prefix that only LowCardinality has, then the
 * values. Source: ClickHouse documentation, "Native" format, and its `SerializationLowCardinality`.
 */
export interface Column {
  readonly type: string;
  readonly rows: number;
  prefix(out: Bytes): void;
  values(out: Bytes): void;
  clear(): void;
}

export class Fixed implements Column {
  readonly type: string;
  readonly width: number;
  readonly bytes = new Bytes();

  constructor(type: string, width: number) {
    this.type = type;
    this.width = width;
  }
  get rows(): number {
    return this.bytes.length / this.width;
  }
  prefix(): void {}
  values(out: Bytes): void {
    out.append(this.bytes);
  }
  clear(): void {
    this.bytes.length = 0;
  }
}

export class Text implements Column {
  readonly type = "String";
  readonly bytes = new Bytes();
  rows = 0;

  push(value: string): void {
    this.bytes.text(value);
    this.rows++;
  }
  /** Copies UTF-8 bytes as they are. */
  pushRaw(source: Uint8Array, start: number, end: number): void {
    this.bytes.varint(end - start);
    this.bytes.raw(source, start, end);
    this.rows++;
  }
  prefix(): void {}
  values(out: Bytes): void {
    out.append(this.bytes);
  }
  clear(): void {
    this.bytes.length = 0;
    this.rows = 0;
  }
}

const DICTIONARY_VERSION = 1;
const HAS_ADDITIONAL_KEYS = 1 << 9;

/** `LowCardinality(String)`: every distinct text once, and a number per row. */
export class Words implements Column {
  readonly type = "LowCardinality(String)";
  private readonly numbers = new Map<string, number>();
  private readonly dictionary = new Text();
  private indices = new Uint32Array(FIRST_CAPACITY);
  rows = 0;

  /** The number of a text in this block, to be pushed any number of times. */
  intern(value: string): number {
    let number = this.numbers.get(value);
    if (number === undefined) {
      number = this.numbers.size;
      this.numbers.set(value, number);
      this.dictionary.push(value);
    }
    return number;
  }
  pushNumber(number: number): void {
    if (this.rows === this.indices.length) {
      const grown = new Uint32Array(this.rows * 2);
      grown.set(this.indices);
      this.indices = grown;
    }
    this.indices[this.rows++] = number;
  }
  push(value: string): void {
    this.pushNumber(this.intern(value));
  }
  prefix(out: Bytes): void {
    out.integer(DICTIONARY_VERSION);
  }
  values(out: Bytes): void {
    if (this.rows === 0) return;
    const size = this.numbers.size;
    const widthCode = size <= 0x100 ? 0 : size <= 0x10000 ? 1 : 2;
    out.integer(HAS_ADDITIONAL_KEYS | widthCode);
    out.integer(size);
    this.dictionary.values(out);
    out.integer(this.rows);
    const width = 1 << widthCode;
    out.reserve(this.rows * width);
    const { buffer, view } = out;
    let at = out.length;
    for (let i = 0; i < this.rows; i++, at += width) {
      const index = this.indices[i]!;
      if (width === 1) buffer[at] = index;
      else if (width === 2) view.setUint16(at, index, true);
      else view.setUint32(at, index, true);
    }
    out.length = at;
  }
  clear(): void {
    this.numbers.clear();
    this.dictionary.clear();
    this.rows = 0;
  }
}

/** `Nullable(T)` of a fixed-width T. */
export class Optional implements Column {
  readonly type: string;
  readonly inner: Fixed;
  private readonly nulls = new Bytes();

  constructor(inner: Fixed) {
    this.type = `Nullable(${inner.type})`;
    this.inner = inner;
  }
  get rows(): number {
    return this.nulls.length;
  }
  pushFloat(value: number | undefined): void {
    this.nulls.byte(value === undefined ? 1 : 0);
    this.inner.bytes.f64(value ?? 0);
  }
  pushInteger(value: number | undefined): void {
    this.nulls.byte(value === undefined ? 1 : 0);
    this.inner.bytes.integer(value ?? 0);
  }
  prefix(): void {}
  values(out: Bytes): void {
    out.append(this.nulls);
    this.inner.values(out);
  }
  clear(): void {
    this.nulls.length = 0;
    this.inner.clear();
  }
}

/** `Array(T)`: push the items into `items`, then `close()` the row. */
export class List<T extends Column> implements Column {
  readonly type: string;
  readonly items: T;
  private readonly offsets = new Bytes();

  constructor(items: T) {
    this.type = `Array(${items.type})`;
    this.items = items;
  }
  get rows(): number {
    return this.offsets.length / 8;
  }
  close(): void {
    this.offsets.integer(this.items.rows);
  }
  prefix(out: Bytes): void {
    this.items.prefix(out);
  }
  values(out: Bytes): void {
    out.append(this.offsets);
    this.items.values(out);
  }
  clear(): void {
    this.offsets.length = 0;
    this.items.clear();
  }
}

/** `Map(K, V)`: push keys and values, then `close()` the row. */
export class Dictionary<K extends Column, V extends Column> implements Column {
  readonly type: string;
  readonly keys: K;
  readonly items: V;
  private readonly offsets = new Bytes();

  constructor(keys: K, items: V) {
    this.type = `Map(${keys.type}, ${items.type})`;
    this.keys = keys;
    this.items = items;
  }
  get rows(): number {
    return this.offsets.length / 8;
  }
  close(): void {
    this.offsets.integer(this.keys.rows);
  }
  prefix(out: Bytes): void {
    this.keys.prefix(out);
    this.items.prefix(out);
  }
  values(out: Bytes): void {
    out.append(this.offsets);
    this.keys.values(out);
    this.items.values(out);
  }
  clear(): void {
    this.offsets.length = 0;
    this.keys.clear();
    this.items.clear();
  }
}
