/** Reads a ClickHouse `Native` block at protocol revision 0 back into rows: what the ingest's columns write. */
export function readBlock(bytes: Buffer): Record<string, unknown>[] {
  const reader = new Reader(bytes);
  const columns = reader.varint();
  const rows = reader.varint();
  const out: Record<string, unknown>[] = Array.from({ length: rows }, () => ({}));
  for (let c = 0; c < columns; c++) {
    const name = reader.text();
    const type = reader.text();
    reader.prefix(type);
    for (const [i, value] of reader.values(type, rows).entries()) out[i]![name] = value;
  }
  if (reader.pos !== bytes.length) throw new Error(`${bytes.length - reader.pos} bytes behind the block`);
  return out;
}

/** The arguments of `Name(...)`, split at the commas outside of parentheses; undefined for another type. */
function argumentsOf(type: string, name: string): string[] | undefined {
  if (!type.startsWith(`${name}(`)) return undefined;
  const parts: string[] = [];
  let depth = 0;
  let from = name.length + 1;
  for (let i = from; i < type.length; i++) {
    if (type[i] === "(") depth++;
    else if ((type[i] === "," && depth === 0) || (type[i] === ")" && depth-- === 0)) {
      parts.push(type.slice(from, i).trim());
      from = i + 1;
    }
  }
  return parts;
}

class Reader {
  pos = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.pos++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  text(): string {
    const length = this.varint();
    this.pos += length;
    return new TextDecoder("utf-8", { fatal: true }).decode(this.bytes.subarray(this.pos - length, this.pos));
  }

  prefix(type: string): void {
    for (const name of ["Array", "Map", "Nullable"])
      for (const inner of argumentsOf(type, name) ?? []) this.prefix(inner);
    if (type === "LowCardinality(String)" && this.u64() !== 1n) throw new Error("another version of LowCardinality");
  }

  values(type: string, rows: number): unknown[] {
    const times = <T>(n: number, read: () => T) => Array.from({ length: n }, read);
    const list = argumentsOf(type, "Array");
    const map = argumentsOf(type, "Map");
    if (list !== undefined || map !== undefined) {
      const ends = times(rows, () => Number(this.u64()));
      const total = ends.at(-1) ?? 0;
      const items = this.values((list ?? map)![0]!, total);
      const values = map === undefined ? [] : this.values(map[1]!, total);
      return ends.map((end, i) => {
        const start = i === 0 ? 0 : ends[i - 1]!;
        if (map === undefined) return items.slice(start, end);
        return items.slice(start, end).map((key, k) => [key, values[start + k]]);
      });
    }
    const nullable = argumentsOf(type, "Nullable");
    if (nullable !== undefined) {
      const nulls = times(rows, () => this.bytes[this.pos++] === 1);
      return this.values(nullable[0]!, rows).map((value, i) => (nulls[i] ? null : value));
    }
    if (type === "LowCardinality(String)") {
      if (rows === 0) return [];
      const width = 1 << Number(this.u64() & 0xffn);
      const words = times(Number(this.u64()), () => this.text());
      if (Number(this.u64()) !== rows) throw new Error("as many indices as rows");
      return times(rows, () => {
        this.pos += width;
        return words[this.bytes.readUIntLE(this.pos - width, width)];
      });
    }
    if (type === "String") return times(rows, () => this.text());
    if (type === "Float64") return times(rows, () => this.bytes.readDoubleLE(this.skip(8)));
    if (/^(U?Int64|DateTime64)/.test(type)) return times(rows, () => this.u64());
    if (/^(Int8|Enum8)/.test(type)) return times(rows, () => this.bytes.readInt8(this.pos++));
    if (/^(UInt8|Bool)/.test(type)) return times(rows, () => this.bytes[this.pos++]);
    if (type === "Int32") return times(rows, () => this.bytes.readInt32LE(this.skip(4)));
    if (/^(UInt32|DateTime)/.test(type)) return times(rows, () => this.bytes.readUInt32LE(this.skip(4)));
    if (type === "Int16") return times(rows, () => this.bytes.readInt16LE(this.skip(2)));
    if (type === "UInt16") return times(rows, () => this.bytes.readUInt16LE(this.skip(2)));
    throw new Error(`no reader of ${type}`);
  }

  private u64(): bigint {
    return this.bytes.readBigUInt64LE(this.skip(8));
  }

  /** Moves on, and returns where it was. */
  private skip(bytes: number): number {
    this.pos += bytes;
    return this.pos - bytes;
  }
}
