const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

/** A decoded protobuf message: the values of each field number, as they lie in the message. */
export class Fields {
  readonly #values = new Map<number, (Buffer | bigint)[]>();

  /** @throws {RangeError} the bytes are no protobuf message. */
  constructor(message: Buffer) {
    let at = 0;
    const varint = (): bigint => {
      let value = 0n;
      for (let shift = 0n; shift < 64n; shift += 7n) {
        const byte = message.readUInt8(at++);
        value |= BigInt(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
      throw new RangeError("a varint has more than ten bytes");
    };
    const bytes = (length: number): Buffer => {
      at += length;
      if (at > message.length) throw new RangeError("a field ends behind its message");
      return message.subarray(at - length, at);
    };
    while (at < message.length) {
      const key = Number(varint());
      const values = this.#values.get(key >> 3) ?? [];
      this.#values.set(key >> 3, values);
      const type = key & 7;
      if (type === VARINT) values.push(varint());
      else if (type === FIXED_64) values.push(bytes(8));
      else if (type === BYTES) values.push(bytes(Number(varint())));
      else if (type === FIXED_32) values.push(bytes(4));
      else throw new RangeError(`wire type ${type} is unknown`);
    }
  }

  messages(field: number): Fields[] {
    return this.#buffers(field).map((value) => new Fields(value));
  }

  text(field: number): string | undefined {
    return this.#buffers(field)[0]?.toString();
  }

  double(field: number): number | undefined {
    return this.#buffers(field)[0]?.readDoubleLE();
  }

  fixed64(field: number): number | undefined {
    const value = this.#buffers(field)[0];
    return value === undefined ? undefined : Number(value.readBigUInt64LE());
  }

  varint(field: number): number | undefined {
    const value = this.#values.get(field)?.[0];
    return typeof value === "bigint" ? Number(BigInt.asIntN(64, value)) : undefined;
  }

  #buffers(field: number): Buffer[] {
    return (this.#values.get(field) ?? []).filter((value) => typeof value !== "bigint");
  }
}
