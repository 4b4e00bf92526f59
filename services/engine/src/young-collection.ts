import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const EVERY_BYTES = 8 * 1024 * 1024;

type Collect = (options: { type: "minor" }) => void;

/**
 * The chunks of a body lie outside of V8's heap, 64 KiB each, and are garbage once written. V8 frees them with the small
 * objects that stand for them, and those only when its young heap is full of them: after far more bytes than are in use.
 * A young collection asked for every {@link EVERY_BYTES} lowered the peak of the engine's memory under full load by 30 to
 * 36 MB of 445 to 479 MB.
 */
export class YoungCollection {
  private readonly collect: Collect;
  private since = 0;

  constructor() {
    setFlagsFromString("--expose-gc");
    this.collect = runInNewContext("gc") as Collect;
  }

  /** Counts bytes that were allocated outside of the heap and are garbage now. */
  allocated(bytes: number): void {
    this.since += bytes;
    if (this.since < EVERY_BYTES) return;
    this.since = 0;
    this.collect({ type: "minor" });
  }
}
