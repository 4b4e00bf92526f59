import { isUtf8 } from "node:buffer";

/** Bytes and the same bytes as a view: what `Wire` is. */
export interface Source {
  readonly bytes: Buffer;
  readonly view: DataView;
}

const FIRST_CAPACITY = 256;
/** A buffer of a column may stay this large between requests. */
const KEPT_BYTES = 1024 * 1024;
const TWO_32 = 4294967296;

/** Bytes that grow. */
export class Bytes {
  buffer: Buffer;
  view: DataView;
  length = 0;

  constructor(capacity = FIRST_CAPACITY) {
    this.buffer = Buffer.allocUnsafeSlow(capacity);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength);
  }

  /**
   * Forgets what was written. A buffer that one large request has left behind, and of which the next ones use less than a quarter, is
   * halved each time: the largest value that ever came to each of a hundred columns must not stay in memory for good.
   */
  clear(): void {
    const { length } = this.buffer;
    if (length > KEPT_BYTES && this.length < length / 4) this.replace(Buffer.allocUnsafeSlow(length / 2));
    this.length = 0;
  }

  reserve(extra: number): void {
    const needed = this.length + extra;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.replace(grown);
  }

  private replace(buffer: Buffer): void {
    this.buffer = buffer;
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
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
    if (value >= 0 && value < TWO_32) {
      this.reserve(8);
      this.view.setUint32(this.length, value, true);
      this.view.setInt32(this.length + 4, 0, true);
      this.length += 8;
      return;
    }
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

  /**
   * Copies a short run of bytes, a word at a time: cheaper than a call out of JavaScript up to some hundred bytes.
   * Returns the bits that any of its bytes has: `& 0x80` says whether all of them are ASCII.
   */
  run(source: DataView, start: number, end: number): number {
    this.reserve(end - start);
    const { view } = this;
    let at = this.length;
    let pos = start;
    let bits = 0;
    for (; pos + 4 <= end; pos += 4, at += 4) {
      const word = source.getInt32(pos, true);
      bits |= word;
      view.setInt32(at, word, true);
    }
    bits |= (bits >>> 16) | (bits >>> 8) | (bits >>> 24);
    for (; pos < end; pos++, at++) {
      const byte = source.getUint8(pos);
      bits |= byte;
      view.setUint8(at, byte);
    }
    this.length = at;
    return bits;
  }

  /** Appends a run of its own bytes again, that many times. */
  repeat(start: number, end: number, times: number): void {
    const size = end - start;
    this.reserve(size * times);
    if (times === 1) {
      this.run(this.view, start, end);
      return;
    }
    const { buffer } = this;
    let { length } = this;
    for (let i = 0; i < times; i++, length += size) buffer.copyWithin(length, start, end);
    this.length = length;
  }

  /** Appends 64-bit numbers, each `base` more than in `source`. Sums are below 2^32. */
  ends(source: Uint8Array, from: number, count: number, base: number): void {
    const start = this.length;
    this.raw(source, from, from + count * 8);
    if (base === 0) return;
    const { view } = this;
    for (let at = start; at < this.length; at += 8) view.setUint32(at, view.getUint32(at, true) + base, true);
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
  /** Bytes that `prefix` and `values` will write, or a few more. */
  readonly size: number;
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
  get size(): number {
    return this.bytes.length;
  }
  prefix(): void {}
  values(out: Bytes): void {
    out.append(this.bytes);
  }
  clear(): void {
    this.bytes.clear();
  }
}

export class Text implements Column {
  readonly type = "String";
  readonly bytes = new Bytes();
  rows = 0;

  get size(): number {
    return this.bytes.length;
  }

  push(value: string): void {
    this.bytes.text(value);
    this.rows++;
  }
  pushTimes(value: string, times: number): void {
    if (times === 0) return;
    const start = this.bytes.length;
    this.push(value);
    this.bytes.repeat(start, this.bytes.length, times - 1);
    this.rows += times - 1;
  }
  /** Appends rows that are written already: of each its length and its bytes. */
  appendRows(source: Uint8Array, from: number, end: number, rows: number): void {
    this.bytes.raw(source, from, end);
    this.rows += rows;
  }
  /** Copies a protobuf string; bytes that are not UTF-8 become U+FFFD, so that no row breaks a reader downstream. */
  pushRaw(source: Source, start: number, end: number): void {
    const { bytes } = this;
    const size = end - start;
    if (size >= LONG_RUN) {
      if (isUtf8(source.bytes.subarray(start, end))) {
        bytes.varint(size);
        bytes.raw(source.bytes, start, end);
      } else bytes.text(source.bytes.toString("utf8", start, end));
      this.rows++;
      return;
    }
    const before = bytes.length;
    bytes.byte(size);
    if ((bytes.run(source.view, start, end) & 0x80) !== 0 && !isUtf8(source.bytes.subarray(start, end))) {
      bytes.length = before;
      bytes.text(source.bytes.toString("utf8", start, end));
    }
    this.rows++;
  }
  /** The bytes in lower-case hexadecimal; empty when all of them are zero: ids as the OpenTelemetry exporter has them. */
  pushId(source: Source, start: number, end: number): void {
    const { bytes } = this;
    const size = end - start;
    this.rows++;
    if (size >= LONG_RUN / 2) {
      const zero = source.bytes.subarray(start, end).every((byte) => byte === 0);
      bytes.text(zero ? "" : source.bytes.toString("hex", start, end));
      return;
    }
    bytes.reserve(1 + 2 * size);
    const { view } = bytes;
    let at = bytes.length + 1;
    let bits = 0;
    for (let pos = start; pos < end; pos++, at += 2) {
      const byte = source.bytes[pos]!;
      bits |= byte;
      view.setUint16(at, HEX[byte]!, true);
    }
    if (bits === 0) bytes.byte(0);
    else {
      bytes.view.setUint8(bytes.length, 2 * size);
      bytes.length = at;
    }
  }
  prefix(): void {}
  values(out: Bytes): void {
    out.append(this.bytes);
  }
  clear(): void {
    this.bytes.clear();
    this.rows = 0;
  }
}

/** Bytes from which on a native copy is cheaper than a loop, and the length in front of a text takes a second byte. */
const LONG_RUN = 128;
/** Two lower-case hexadecimal digits of every byte, as they lie in memory. */
const HEX = Uint16Array.from({ length: 256 }, (_, byte) => {
  const digits = byte.toString(16).padStart(2, "0");
  return digits.charCodeAt(0) | (digits.charCodeAt(1) << 8);
});

const DICTIONARY_VERSION = 1;
/** Version, kind of the indices, sizes of the dictionary and the indices. */
const WORDS_HEADER_BYTES = 4 * 8;
const REMEMBERED = 1024;
const NO_BYTES = new Uint8Array(0);
const LONGEST_REMEMBERED = 128;
const HAS_ADDITIONAL_KEYS = 1 << 9;

/** A text by its bytes, its rule, and its number in the block of that generation. */
export interface Remembered {
  readonly raw: Uint8Array;
  readonly value: string;
  /** What `ruleOf` said of the text: 0 for nothing special. */
  readonly rule: number;
  number: number;
  generation: number;
}

/** `LowCardinality(String)`: every distinct text once, and a number per row. */
export class Words implements Column {
  readonly type = "LowCardinality(String)";
  private readonly numbers = new Map<string, number>();
  private readonly dictionary = new Text();
  /** The text pushed last, which is often the next one too. */
  private lastValue: string | undefined;
  private lastNumber = 0;
  /** Texts by a hash of their bytes, kept over blocks; of two with one hash the later one stays. */
  private readonly remembered: (Remembered | undefined)[] = new Array(REMEMBERED).fill(undefined);
  /** Changes with every block: numbers mean nothing in another one. */
  generation = 0;
  private indices = new Uint32Array(FIRST_CAPACITY);
  /** Asked once for each text that is remembered; its answer comes back with the text. */
  ruleOf: (value: string) => number = () => 0;
  rows = 0;

  /** The number of a text in this block, to be pushed any number of times. */
  intern(value: string): number {
    if (value === this.lastValue) return this.lastNumber;
    let number = this.numbers.get(value);
    if (number === undefined) {
      number = this.numbers.size;
      this.numbers.set(value, number);
      this.dictionary.push(value);
    }
    this.lastValue = value;
    this.lastNumber = number;
    return number;
  }
  /** Pushes a protobuf string: one whose bytes came before is not made a string again. */
  pushRaw(source: Source, start: number, end: number): void {
    this.pushKnown(this.find(source, start, end));
  }
  /** The text of a protobuf string, remembered unless it is long, to be pushed or not. */
  find(source: Source, start: number, end: number): Remembered {
    const { bytes } = source;
    const size = end - start;
    if (size > LONGEST_REMEMBERED) {
      const value = bytes.toString("utf8", start, end);
      return { raw: NO_BYTES, value, rule: this.ruleOf(value), number: 0, generation: -1 };
    }
    let hash = size;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    hash = (hash ^ (hash >>> 15)) & (REMEMBERED - 1);
    let known = this.remembered[hash];
    if (known === undefined || !sameBytes(known.raw, bytes, start, end)) {
      const value = bytes.toString("utf8", start, end);
      const raw = Uint8Array.from(bytes.subarray(start, end));
      known = { raw, value, rule: this.ruleOf(value), number: 0, generation: -1 };
      this.remembered[hash] = known;
    }
    return known;
  }
  pushKnown(known: Remembered): void {
    if (known.generation !== this.generation) {
      known.number = this.intern(known.value);
      known.generation = this.generation;
    }
    this.pushNumber(known.number);
  }
  /** Pushes the rows `start` to `end` again, that many times. */
  repeat(start: number, end: number, times: number): void {
    const size = end - start;
    this.reserve(size * times);
    const { indices } = this;
    let { rows } = this;
    for (let i = 0; i < times; i++, rows += size) indices.copyWithin(rows, start, end);
    this.rows = rows;
  }
  get size(): number {
    return WORDS_HEADER_BYTES + this.dictionary.size + (this.rows << this.widthCode);
  }
  /** Logarithm of the bytes of one index. */
  private get widthCode(): number {
    const { size } = this.numbers;
    return size <= 0x100 ? 0 : size <= 0x10000 ? 1 : 2;
  }
  /** Makes room for as many rows more. */
  reserve(rows: number): void {
    const needed = this.rows + rows;
    if (needed <= this.indices.length) return;
    const grown = new Uint32Array(Math.max(needed, this.indices.length * 2));
    grown.set(this.indices);
    this.indices = grown;
  }
  pushNumber(number: number): void {
    if (this.rows === this.indices.length) this.reserve(1);
    this.indices[this.rows++] = number;
  }
  push(value: string): void {
    this.pushNumber(this.intern(value));
  }
  pushTimes(value: string, times: number): void {
    const number = this.intern(value);
    this.reserve(times);
    this.indices.fill(number, this.rows, this.rows + times);
    this.rows += times;
  }
  prefix(out: Bytes): void {
    out.integer(DICTIONARY_VERSION);
  }
  values(out: Bytes): void {
    if (this.rows === 0) return;
    const size = this.numbers.size;
    const { widthCode } = this;
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
    this.lastValue = undefined;
    this.generation++;
    this.rows = 0;
  }
}

/** `Nullable(T)` of a fixed-width T. */
export class Optional implements Column {
  readonly type: string;
  readonly inner: Fixed;
  readonly nulls = new Bytes();

  constructor(inner: Fixed) {
    this.type = `Nullable(${inner.type})`;
    this.inner = inner;
  }
  get rows(): number {
    return this.nulls.length;
  }
  get size(): number {
    return this.nulls.length + this.inner.size;
  }
  pushFloat(value: number | undefined): void {
    this.nulls.byte(value === undefined ? 1 : 0);
    this.inner.bytes.f64(value ?? 0);
  }
  /** NULL for anything that is no finite number. */
  pushFinite(value: number): void {
    // Infinities and NaN are the only numbers whose difference with themselves is not 0.
    const isNull = value - value !== 0;
    this.nulls.byte(isNull ? 1 : 0);
    this.inner.bytes.f64(isNull ? 0 : value);
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
    this.nulls.clear();
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
  get size(): number {
    return this.offsets.length + this.items.size;
  }
  close(): void {
    this.offsets.integer(this.items.rows);
  }
  /** Closes rows whose items are about to be pushed, by where each ends among those: 64-bit numbers in `source`. */
  appendEnds(source: Uint8Array, from: number, rows: number): void {
    this.offsets.ends(source, from, rows, this.items.rows);
  }
  prefix(out: Bytes): void {
    this.items.prefix(out);
  }
  values(out: Bytes): void {
    out.append(this.offsets);
    this.items.values(out);
  }
  clear(): void {
    this.offsets.clear();
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
  get size(): number {
    return this.offsets.length + this.keys.size + this.items.size;
  }
  close(): void {
    this.offsets.integer(this.keys.rows);
  }
  /** Closes rows of `size` items each, which are about to be pushed. */
  closeTimes(rows: number, size: number): void {
    let end = this.keys.rows;
    for (let i = 0; i < rows; i++) {
      end += size;
      this.offsets.integer(end);
    }
  }
  /** As `List.appendEnds`. */
  appendEnds(source: Uint8Array, from: number, rows: number): void {
    this.offsets.ends(source, from, rows, this.keys.rows);
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
    this.offsets.clear();
    this.keys.clear();
    this.items.clear();
  }
}

export function sameBytes(raw: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = raw.length;
  if (length !== end - start) return false;
  for (let i = 0; i < length; i++) if (raw[i] !== bytes[start + i]) return false;
  return true;
}
