/** Unanswered event-loop probes that are tracked one by one; a power of two. */
export const PROBE_SLOTS = 256;
export const MAX_HEAP_SPACES = 16;
export const DELAY_STATISTICS = ["min", "max", "mean", "stddev", "p50", "p90", "p99"] as const;

const INTS = 16 + PROBE_SLOTS;
const FLOATS = 32 + PROBE_SLOTS + 2 * MAX_HEAP_SPACES;

/** Bytes of the block that the application thread and the agent's worker share. */
export const CONTROL_BYTES = 8 * FLOATS + 4 * INTS;

const READY = 0;
const FLUSHED = 1;
const EPOCH = 2;
const EXPORT_FAILING = 3;
const TICKS = 4;
const HEAP_SPACES = 5;
const BUSY_EPOCH = 6; // and 7
const DELAY_EPOCH = 8;
const ERRORS = 9;
const DROPPED_SERIES = 10;
const CAPTURING = 11;
const INSPECTED = 12;
const ENDING = 13;
const SEQUENCES = 16;

const TICK_MS = 0;
const ACTIVE_MS = 1;
const IDLE_MS = 2;
const BUSY_MAX = 3; // and 4
const DELAYS = 8;
const ANSWERED_MS = 32;
const HEAP = ANSWERED_MS + PROBE_SLOTS;

/**
 * Fixed-place numbers shared by the application thread and the worker. Each number has one writer. The application
 * thread never waits here, except for the bounded flush at exit.
 */
export class Control {
  readonly #floats: Float64Array;
  readonly #ints: Int32Array;
  readonly buffer: SharedArrayBuffer;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CONTROL_BYTES)) {
    this.buffer = buffer;
    this.#floats = new Float64Array(buffer, 0, FLOATS);
    this.#ints = new Int32Array(buffer, 8 * FLOATS, INTS);
  }

  /** Number of the export interval; the worker starts a new one before it reads. Starts at 1. */
  get epoch(): number {
    return this.#ints[EPOCH]! + 1;
  }

  nextEpoch(): void {
    this.#ints[EPOCH]! += 1;
  }

  // Worker's state
  get ready(): boolean {
    return Atomics.load(this.#ints, READY) === 1;
  }
  set ready(value: boolean) {
    Atomics.store(this.#ints, READY, value ? 1 : 0);
  }
  get exportFailing(): boolean {
    return Atomics.load(this.#ints, EXPORT_FAILING) === 1;
  }
  set exportFailing(value: boolean) {
    Atomics.store(this.#ints, EXPORT_FAILING, value ? 1 : 0);
  }
  /** Whether an inspector session is connected to the application's thread, or about to be. */
  get capturing(): boolean {
    return Atomics.load(this.#ints, CAPTURING) === 1;
  }
  set capturing(value: boolean) {
    Atomics.store(this.#ints, CAPTURING, value ? 1 : 0);
    if (!value) Atomics.notify(this.#ints, CAPTURING);
  }
  /** Blocks the caller while a session is connected, at most `timeoutMs`. */
  awaitCaptured(timeoutMs: number): void {
    Atomics.wait(this.#ints, CAPTURING, 1, timeoutMs);
  }
  /** Whether the process is about to end: from then on no session may be connected. */
  get ending(): boolean {
    return Atomics.load(this.#ints, ENDING) === 1;
  }
  set ending(value: boolean) {
    Atomics.store(this.#ints, ENDING, value ? 1 : 0);
  }
  /** Whether somebody may be debugging the process. */
  get inspected(): boolean {
    return Atomics.load(this.#ints, INSPECTED) === 1;
  }
  set inspected(value: boolean) {
    Atomics.store(this.#ints, INSPECTED, value ? 1 : 0);
  }
  /** Blocks the caller until the worker has flushed, at most `timeoutMs`. */
  awaitFlush(timeoutMs: number): void {
    Atomics.wait(this.#ints, FLUSHED, 0, timeoutMs);
  }
  announceFlush(): void {
    Atomics.store(this.#ints, FLUSHED, 1);
    Atomics.notify(this.#ints, FLUSHED);
  }

  // Event-loop probes: the application thread answers, the worker reads
  answer(sequence: number, nowMs: number): void {
    const slot = sequence & (PROBE_SLOTS - 1);
    this.#floats[ANSWERED_MS + slot] = nowMs;
    Atomics.store(this.#ints, SEQUENCES + slot, sequence);
  }
  answeredAt(sequence: number): number | undefined {
    const slot = sequence & (PROBE_SLOTS - 1);
    if (Atomics.load(this.#ints, SEQUENCES + slot) !== sequence) return undefined;
    return this.#floats[ANSWERED_MS + slot];
  }

  // The application thread's tick
  tick(nowMs: number, activeMs: number, idleMs: number, busyShare: number): void {
    const epoch = this.epoch;
    const half = epoch & 1;
    if (this.#ints[BUSY_EPOCH + half] !== epoch) {
      this.#floats[BUSY_MAX + half] = busyShare;
      this.#ints[BUSY_EPOCH + half] = epoch;
    } else if (busyShare > this.#floats[BUSY_MAX + half]!) this.#floats[BUSY_MAX + half] = busyShare;
    this.#floats[ACTIVE_MS] = activeMs;
    this.#floats[IDLE_MS] = idleMs;
    this.#floats[TICK_MS] = nowMs;
    Atomics.add(this.#ints, TICKS, 1);
  }
  lastTick(): { nowMs: number; activeMs: number; idleMs: number } | undefined {
    if (Atomics.load(this.#ints, TICKS) === 0) return undefined;
    return { nowMs: this.#floats[TICK_MS]!, activeMs: this.#floats[ACTIVE_MS]!, idleMs: this.#floats[IDLE_MS]! };
  }
  busyMax(epoch: number): number | undefined {
    const half = epoch & 1;
    return this.#ints[BUSY_EPOCH + half] === epoch ? this.#floats[BUSY_MAX + half] : undefined;
  }

  // Delay of the loop's own timer, once per epoch
  setDelays(epoch: number, seconds: readonly number[]): void {
    this.#floats.set(seconds, DELAYS);
    Atomics.store(this.#ints, DELAY_EPOCH, epoch);
  }
  get delayEpoch(): number {
    return Atomics.load(this.#ints, DELAY_EPOCH);
  }
  delays(): readonly number[] {
    return [...this.#floats.subarray(DELAYS, DELAYS + DELAY_STATISTICS.length)];
  }

  // Heap spaces, in the order in which V8 lists them
  setHeapSpace(index: number, usedBytes: number, sizeBytes: number): void {
    this.#floats[HEAP + 2 * index] = usedBytes;
    this.#floats[HEAP + 2 * index + 1] = sizeBytes;
    if (index >= this.#ints[HEAP_SPACES]!) this.#ints[HEAP_SPACES] = index + 1;
  }
  heapSpaces(): readonly { used: number; size: number }[] {
    return Array.from({ length: this.#ints[HEAP_SPACES]! }, (_, index) => ({
      used: this.#floats[HEAP + 2 * index]!,
      size: this.#floats[HEAP + 2 * index + 1]!,
    }));
  }

  // The agent's own losses in the application thread
  countError(): void {
    this.#ints[ERRORS]! += 1;
  }
  get errors(): number {
    return this.#ints[ERRORS]!;
  }
  countDroppedSeries(): void {
    this.#ints[DROPPED_SERIES]! += 1;
  }
  get droppedSeries(): number {
    return this.#ints[DROPPED_SERIES]!;
  }
}
