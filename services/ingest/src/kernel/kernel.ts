import { randomBytes } from "node:crypto";
import type { Wire } from "../otlp/wire.ts";
import { MODULE_BASE64 } from "./module.ts";

/** Memory that the series of the kernel's table may take. */
const BYTES_PER_SERIES = 256;
const LEAST_TABLE_BYTES = 1 << 20;
const MOST_TABLE_BYTES = 1 << 28;

/** What is used of WebAssembly, which Node's own type declarations do not have. */
interface WebAssemblyGlobal {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> };
}
const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyGlobal }).WebAssembly;

interface Functions {
  readonly memory: { readonly buffer: ArrayBuffer };
  setSeed(seed: bigint): void;
  resetSeries(bytes: number): number;
  beginMetric(context: number, seconds: boolean): void;
  remember(at: number, length: number, idLo: number, idHi: number, due: number, digits: number): number;
  expire(entry: number): void;
  beginRequest(now: number, earliest: number, latest: number): void;
  whyStopped(): number;
  takeNumbers: Walk;
  takeHistograms: Walk;
  takeExponentials: Walk;
  silentPoints(): number;
  numberRows(): number;
  histogramRows(): number;
  exponentialRows(): number;
  boundItems(): number;
  bucketItems(): number;
  positiveItems(): number;
  negativeItems(): number;
  clearNumbers(): void;
  clearHistograms(): void;
  clearExponentials(): void;
  takeSpans: Walk;
  spanRows(): number;
  parentBytes(): number;
  stateBytes(): number;
  messageBytes(): number;
  labelItems(): number;
  labelBytes(): number;
  eventItems(): number;
  eventLabelItems(): number;
  eventLabelBytes(): number;
  droppedLabels(): number;
  clearSpans(): void;
  wordsFull(more: number): number;
  resetWords(): void;
}

/** What the kernel asks for: see `kernel/host.ts`. Addresses are those of its memory. */
export interface Host {
  ruleOfKey(at: number, length: number): number;
  ruleOfName(at: number, length: number): number;
  makeValue(key: number, keyLength: number, at: number, end: number, span: number, spanEnd: number): number;
}

/** Walks messages from one address to another; `more` says that they go on behind the window. */
export type Walk = (from: number, end: number, more: boolean) => number;

const DONE = 0;
const ODD = 1;
const CUT = 2;

/**
 * The hot path in WebAssembly (source: `services/ingest/kernel`): a run of data points of known series becomes rows
 * without a call or an object per point, with 64-bit integers and unaligned words that JavaScript does not have.
 *
 * It takes the usual and leaves everything else to the walkers in `otlp/`: a series seen for the first time, unknown
 * fields, other encodings, what will be rejected, what is malformed. Whatever it takes becomes the row that the walkers
 * would have made. The request is read through a window, so its size does not decide how much memory is held.
 */
export class Kernel {
  readonly functions: Functions;
  /** Where a region of `kernel/memory.ts` lies. */
  readonly layout: (name: string) => number;
  /** Empties the columns into the tables; the window may only move after that. */
  private readonly flush: () => void;
  /** Rows made here since the start. */
  rows = 0;
  private readonly tableBytes: number;
  private readonly input: number;
  private readonly windowBytes: number;
  private body: Uint8Array = new Uint8Array(0);
  /** What is walked now. */
  wire!: Wire;
  private windowStart = 0;
  private windowEnd = 0;
  private memoryBytes = new Uint8Array(0);
  /** Changes whenever entries lose their meaning. */
  private generation = 0;

  constructor(maxSeries: number, flush: () => void, host: Host) {
    const { exports } = new Instance(compiled(), { host });
    this.functions = exports as unknown as Functions;
    this.layout = (name) => {
      const found = exports[name] as { readonly value: number } | undefined;
      if (found === undefined) throw new Error(`the kernel has no ${name}`);
      return found.value;
    };
    this.flush = flush;
    this.input = this.layout("INPUT");
    this.windowBytes = this.layout("WINDOW_BYTES");
    this.tableBytes = Math.min(MOST_TABLE_BYTES, Math.max(LEAST_TABLE_BYTES, maxSeries * BYTES_PER_SERIES));
    this.functions.setSeed(randomBytes(8).readBigInt64LE());
    this.forget();
    this.functions.resetWords();
  }

  /** Text at an address. */
  text(at: number, length: number): string {
    return Buffer.from(this.functions.memory.buffer, at, length).toString("utf8");
  }

  /** Where in the body a byte of the window lies. */
  inBody(address: number): number {
    return address - this.input + this.windowStart;
  }

  /** The kernel's memory as it is now: growing replaces it. */
  get bytes(): Uint8Array {
    if (this.memoryBytes.length === 0) this.memoryBytes = new Uint8Array(this.functions.memory.buffer);
    return this.memoryBytes;
  }

  /** To be called for every request; times in ms since 1970. */
  begin(body: Uint8Array, now: number, earliest: number, latest: number): void {
    this.body = body;
    this.windowStart = 0;
    this.windowEnd = 0;
    this.functions.beginRequest(now, Math.max(0, Math.ceil(earliest)), Math.floor(latest));
  }

  /** The request is not needed any more. */
  end(): void {
    this.body = new Uint8Array(0);
    this.windowEnd = 0;
  }

  /** Walks on from the wire's position, and leaves it at the first field that somebody else has to read, or at `end`. */
  walk(walk: Walk, wire: Wire, end: number): void {
    let pos = wire.pos;
    this.wire = wire;
    while (pos < end) {
      if (pos < this.windowStart || pos >= this.windowEnd) this.load(pos);
      const shift = this.input - this.windowStart;
      const stop = Math.min(end, this.windowEnd);
      pos = walk(pos + shift, stop + shift, stop < end) - shift;
      if (pos === stop) continue;
      const why = this.functions.whyStopped();
      // Longer than a window: not for us.
      if (why === ODD || (why === CUT && pos === this.windowStart)) break;
      if (why === CUT) this.load(pos);
      else if (why !== DONE) this.flush();
    }
    wire.pos = pos;
  }

  /**
   * Lets the points of a series be taken here from now on, by the bytes of their attributes in the body. Returns how to
   * let its next point pass to the walkers again; `undefined` when the bytes are not at hand.
   */
  remember(
    start: number,
    end: number,
    series: { readonly idLo: number; readonly idHi: number; readonly digits: number },
    dueMs: number,
  ): (() => void) | undefined {
    // No attributes lie nowhere.
    const shift = start === end ? this.input : this.input - this.windowStart;
    if (start < end && (start < this.windowStart || end > this.windowEnd)) return undefined;
    const { idLo, idHi, digits } = series;
    const entry = this.functions.remember(start + shift, end - start, idLo, idHi, dueMs, digits) >>> 0;
    if (entry === 0) {
      this.forget();
      return undefined;
    }
    const { generation } = this;
    return () => {
      if (generation === this.generation) this.functions.expire(entry);
    };
  }

  /** Every series is unknown again. */
  forget(): void {
    this.generation++;
    if (this.functions.resetSeries(this.tableBytes) === 0) throw new Error("no memory for the kernel");
  }

  private load(pos: number): void {
    this.flush();
    const end = Math.min(this.body.length, pos + this.windowBytes);
    this.bytes.set(this.body.subarray(pos, end), this.input);
    this.windowStart = pos;
    this.windowEnd = end;
  }
}

let module: object | undefined;

function compiled(): object {
  module ??= new Module(Buffer.from(MODULE_BASE64, "base64"));
  return module;
}
