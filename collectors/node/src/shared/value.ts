export const VALUE_BYTES = 8;
export const SAMPLED_BYTES = 64;

/** One number in shared memory: one thread writes, another reads. */
export class Value {
  readonly #floats: Float64Array;

  constructor(buffer: ArrayBufferLike = new ArrayBuffer(VALUE_BYTES), byteOffset = 0) {
    this.#floats = new Float64Array(buffer, byteOffset, 1);
  }

  get current(): number {
    return this.#floats[0]!;
  }
  set current(value: number) {
    this.#floats[0] = value;
  }
  add(amount: number): void {
    this.#floats[0]! += amount;
  }
}

/** Mean and maximum of what was sampled in one export interval (epoch). */
export class Sampled {
  readonly #floats: Float64Array; // of even and odd epochs: epoch, sum, count, maximum

  constructor(buffer: ArrayBufferLike = new ArrayBuffer(SAMPLED_BYTES), byteOffset = 0) {
    this.#floats = new Float64Array(buffer, byteOffset, 8);
  }

  sample(value: number, epoch: number): void {
    const floats = this.#floats;
    const at = (epoch & 1) * 4;
    if (floats[at] !== epoch) {
      floats[at + 1] = 0;
      floats[at + 2] = 0;
      floats[at + 3] = value;
      floats[at] = epoch;
    }
    floats[at + 1]! += value;
    floats[at + 2]! += 1;
    if (value > floats[at + 3]!) floats[at + 3] = value;
  }

  /** Undefined when the epoch had no sample: absent, not zero. */
  read(epoch: number): { mean: number; max: number } | undefined {
    const at = (epoch & 1) * 4;
    const count = this.#floats[at + 2]!;
    if (this.#floats[at] !== epoch || count === 0) return undefined;
    return { mean: this.#floats[at + 1]! / count, max: this.#floats[at + 3]! };
  }
}
