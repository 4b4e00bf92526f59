const LEAST_BYTES = 256 * 1024;
const LARGEST_BYTES = 4 * 1024 * 1024;
const KEPT_BYTES = 16 * 1024 * 1024;

/**
 * Buffers for whole bodies, used again: the pages of a fresh one of some hundred kilobytes cost more than the copy into it.
 * Sizes are powers of two; larger bodies than 4 MiB get a buffer of their own.
 */
export class BodyBuffers {
  private readonly free = new Map<number, Buffer[]>();
  private kept = 0;
  private readonly lent = new WeakSet<ArrayBufferLike>();

  /** The chunks one after the other; `give` the buffer back when nothing reads it any more. */
  join(chunks: readonly Buffer[], length: number): Buffer {
    if (length > LARGEST_BYTES) return Buffer.concat(chunks, length);
    let size = LEAST_BYTES;
    while (size < length) size *= 2;
    const found = this.free.get(size)?.pop();
    if (found !== undefined) this.kept -= size;
    const buffer = found ?? Buffer.allocUnsafeSlow(size);
    this.lent.add(buffer.buffer);
    let at = 0;
    for (const chunk of chunks) at += chunk.copy(buffer, at);
    return buffer.subarray(0, length);
  }

  /** Takes back what `join` returned; any other buffer is left to the garbage collector. */
  give(body: Buffer): void {
    if (!this.lent.delete(body.buffer)) return;
    const size = body.buffer.byteLength;
    if (this.kept + size > KEPT_BYTES) return;
    const whole = Buffer.from(body.buffer);
    const same = this.free.get(size);
    if (same === undefined) this.free.set(size, [whole]);
    else same.push(whole);
    this.kept += size;
  }
}
