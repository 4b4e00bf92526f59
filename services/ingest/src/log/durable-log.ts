import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { LogDirectory, LogFull, LogLocked, LogUnwritable, Stopping } from "../errors.ts";
import type { Block } from "../rows/decoder.ts";
import type { TableName } from "../rows/tables.ts";
import { keepCorrupt, listFiles, SUFFIX_DONE, SUFFIX_WAITING, segmentName, writeDurably } from "./files.ts";
import { encodeFrame } from "./frame.ts";
import { lockDirectory } from "./lock.ts";
import { recover } from "./recovery.ts";
import { readSegment, SEGMENT_HEADER_BYTES, type SegmentContent, segmentHeader } from "./segment.ts";
import { type LogState, readState, runOf, syncDirectory, withRun, writeState } from "./state.ts";
import { framesOf, pointsIn } from "./table-batches.ts";

export interface LogOptions {
  readonly directory: string;
  /** A segment is closed when it holds this many rows or bytes, whatever the writer does. */
  readonly segmentRows: number;
  readonly segmentBytes: number;
  /** How long an inserted segment is kept to know repeated requests again after a crash, in ms. */
  readonly keepDoneMs: number;
  /** Bytes of not yet inserted segments beyond which nothing more is taken. */
  readonly quotaBytes: number;
  readonly now: () => number;
  /** Called for everything an operator should know of: damage, torn tails, files set aside. */
  readonly report: (event: string, details: Record<string, unknown>) => void;
  /** Called with the duration of every fdatasync that acknowledges requests, in seconds. */
  readonly synced?: (seconds: number) => void;
}

/** A closed segment that waits to be inserted. */
export interface ClosedSegment {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  readonly points: number;
  /** When its first frame was written, in ms. */
  readonly since: number;
}

/** What is to be inserted of a closed segment. */
export interface Insertable extends SegmentContent {
  /** First part of its tokens. */
  readonly logId: string;
}

export interface DoneSegment extends ClosedSegment {
  readonly doneAt: number;
  readonly insertedPoints: number;
}

interface OpenSegment {
  readonly number: number;
  readonly path: string;
  readonly file: FileHandle;
  readonly since: number;
  bytes: number;
  rows: number;
  points: number;
}

interface Pending {
  readonly buffers: Buffer[];
  readonly bytes: number;
  readonly rows: number;
  readonly points: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const MAX_DONE_BYTES = 256 * 1024 * 1024;
const RETIRE_EVERY_MS = 5000;
const MS_PER_S = 1000;
/** Buffers up to this size are joined to one write; larger ones are handed to writev as they are. */
const JOIN_BYTES = 256 * 1024;
/** A segment that cannot be read is tried this often, then set aside: what comes after it must not wait for ever. */
const READ_ATTEMPTS = 5;
const NOTHING = Buffer.alloc(0);

/**
 * Append-only log in one directory. `append` resolves after fdatasync; appends that arrive meanwhile share the next one
 * (group commit). What its files are called is in `files.ts`.
 */
export class DurableLog {
  private readonly options: LogOptions;
  private readonly unlock: () => Promise<void>;
  private state: LogState;
  private closed: ClosedSegment[] = [];
  private done: DoneSegment[] = [];
  private current: OpenSegment | undefined;
  private pending: Pending[] = [];
  private pendingBytes = 0;
  private nextNumber = 1;
  private logId = "";
  private working: Promise<void> | undefined;
  private closeRequested = false;
  private stopped = false;
  private retiring: Promise<void> | undefined;
  private retiredAt = 0;
  private waiters: (() => void)[] = [];
  /** Digests of requests that were found in the log at start: their senders may not know that they succeeded. */
  recovered: readonly string[] = [];
  /** Points in the log's life so far, over restarts. */
  acknowledgedPoints: number;
  insertedPoints: number;
  setAsidePoints = 0;
  /** Since this process started: segments that were found damaged, and points known to have been in what is lost. */
  damagedSegments = 0;
  lostPoints = 0;
  /** Another process has taken the directory: nothing is taken or inserted any more. */
  lockLost = false;
  private readFailures = 0;
  /** Segments are inserted one at a time, so that one buffer does for all. */
  private readBuffer = NOTHING;
  /** Segments that were reported and kept aside: a repeated read says nothing new. */
  private readonly knownDamaged = new Set<number>();

  private constructor(options: LogOptions, unlock: () => Promise<void>, state: LogState) {
    this.options = options;
    this.unlock = unlock;
    this.state = state;
    this.acknowledgedPoints = state.acknowledgedPoints;
    this.insertedPoints = state.insertedPoints;
  }

  /** Locks the directory and finds what an earlier run left. Throws LogLocked or LogDirectory. */
  static async open(options: LogOptions): Promise<DurableLog> {
    let unlock: (() => Promise<void>) | undefined;
    try {
      await mkdir(options.directory, { recursive: true });
      let log: DurableLog | undefined;
      unlock = await lockDirectory(options.directory, () => log?.loseLock());
      const { state, torn } = await readState(options.directory);
      if (torn) options.report("state_unreadable", { totals: "start again at what is still in the log" });
      log = new DurableLog(options, unlock, state);
      await log.recover();
      return log;
    } catch (error) {
      await unlock?.();
      if (error instanceof LogLocked) throw error;
      throw new LogDirectory(options.directory, (error as Error).message);
    }
  }

  /** Bytes that wait to be inserted, the open segment included. */
  get queuedBytes(): number {
    let bytes = (this.current?.bytes ?? 0) + this.pendingBytes;
    for (const segment of this.closed) bytes += segment.bytes;
    return bytes;
  }

  get quotaBytes(): number {
    return this.options.quotaBytes;
  }

  get closedSegments(): number {
    return this.closed.length;
  }

  /** When the oldest frame that is not inserted was written, in ms; undefined when all is inserted. */
  get oldestWaiting(): number | undefined {
    return this.closed[0]?.since ?? this.current?.since;
  }

  get full(): boolean {
    return this.queuedBytes >= this.options.quotaBytes;
  }

  /** Adds one request. Resolves when it is on disk; rejects with LogFull, LogUnwritable or Stopping, and kept nothing. */
  async append(digest: Buffer, blocks: readonly Block[]): Promise<void> {
    if (this.stopped) throw new Stopping();
    const buffers = encodeFrame(digest, blocks);
    let bytes = 0;
    for (const buffer of buffers) bytes += buffer.length;
    if (this.queuedBytes + bytes > this.options.quotaBytes) {
      throw new LogFull(String(this.queuedBytes), String(this.options.quotaBytes));
    }
    let rows = 0;
    let points = 0;
    for (const block of blocks) {
      rows += block.rows;
      points += block.points;
    }
    return new Promise((resolve, reject) => {
      this.pending.push({ buffers, bytes, rows, points, resolve, reject });
      this.pendingBytes += bytes;
      this.work();
    });
  }

  /** Closes the open segment, if it holds anything, so that it can be inserted. */
  async closeSegment(): Promise<void> {
    if (this.current === undefined && this.pending.length === 0) return;
    this.closeRequested = true;
    this.work();
    await this.working;
  }

  /** The oldest closed segment, waiting for one if need be; undefined once the signal is aborted. */
  async nextClosed(signal: AbortSignal): Promise<ClosedSegment | undefined> {
    while (this.closed.length === 0) {
      if (signal.aborted) return undefined;
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        signal.addEventListener("abort", wake);
        this.waiters.push(wake);
      });
    }
    return signal.aborted ? undefined : this.closed[0];
  }

  /**
   * What is to be inserted of a closed segment. Damage, also of the file as a whole, is reported and kept aside, and the
   * intact frames are returned, good until the next call. Throws while reading fails and may yet succeed.
   */
  async read(segment: ClosedSegment): Promise<Insertable> {
    const file = await this.readFile(segment);
    // What lies behind was never acknowledged: a write that failed and could not be cut off.
    const content = readSegment((file ?? NOTHING).subarray(0, segment.bytes));
    const lost = segment.points - pointsIn(content);
    const damaged = content.damagedBytes + content.tornBytes > 0 || lost > 0;
    if (damaged && file !== undefined && !this.knownDamaged.has(segment.number)) {
      const copy = await keepCorrupt(segment.path, segment.number, this.options.directory);
      this.damaged("segment_damaged", segment, lost, { keptFrames: content.frames.length, copy });
    }
    return { ...content, logId: content.logId ?? runOf(this.state, segment.number) ?? this.logId };
  }

  /** Keeps rows that ClickHouse refuses for good, for a person to look at and to replay. */
  async setAside(segment: ClosedSegment, content: Insertable, table: TableName): Promise<string> {
    const path = join(this.options.directory, `${segmentName(segment.number)}.${table}.bad`);
    const frames = framesOf(content, table);
    const digest = (hex: string) => Buffer.from(hex, "hex");
    await writeDurably(path, [
      segmentHeader(content.logId, segment.number),
      ...frames.flatMap((frame) => encodeFrame(digest(frame.digest), frame.blocks)),
    ]);
    this.setAsidePoints += pointsIn({ frames });
    return path;
  }

  /** How many files of rows are kept for a person to look at: refused by ClickHouse, and damaged. */
  async keptAside(): Promise<{ bad: number; corrupt: number }> {
    const files = await listFiles(this.options.directory);
    const count = (kind: string) => files.filter((file) => file.kind === kind).length;
    return { bad: count("bad"), corrupt: count("corrupt") };
  }

  /** Marks the oldest closed segment as inserted, `insertedPoints` of its points. */
  async markDone(segment: ClosedSegment, insertedPoints: number): Promise<void> {
    const index = this.closed.indexOf(segment);
    // The directory was lost meanwhile: its new owner marks it.
    if (index === -1) return;
    const path = segment.path.slice(0, -SUFFIX_WAITING.length) + SUFFIX_DONE;
    await rename(segment.path, path).catch((error: NodeJS.ErrnoException) => {
      // It was gone, and reported, before it could be inserted.
      if (error.code !== "ENOENT") throw error;
    });
    this.closed.splice(index, 1);
    this.done.push({ ...segment, path, insertedPoints, doneAt: this.options.now() });
    this.insertedPoints += insertedPoints;
    this.retire(false);
  }

  /** Refuses new requests, writes those it has taken and closes the open segment. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.working;
    await this.closeSegment();
  }

  /** Gives the directory back. */
  async close(): Promise<void> {
    await this.stop();
    await this.retiring;
    await this.unlock();
  }

  private work(): void {
    this.working ??= this.run().finally(() => {
      this.working = undefined;
      if (this.pending.length > 0 || this.closeRequested) this.work();
    });
  }

  private async run(): Promise<void> {
    while (this.pending.length > 0 || this.closeRequested) {
      if (this.pending.length > 0) await this.commit();
      const { current } = this;
      const full =
        current !== undefined &&
        (current.rows >= this.options.segmentRows || current.bytes >= this.options.segmentBytes);
      if (full || this.closeRequested) await this.finishSegment();
    }
  }

  private async commit(): Promise<void> {
    const batch = this.pending;
    this.pending = [];
    let bytes = 0;
    for (const item of batch) bytes += item.bytes;
    try {
      this.current ??= await this.openSegment();
      const segment = this.current;
      await writeAll(
        segment.file,
        batch.flatMap((item) => item.buffers),
        bytes,
        segment.bytes,
      );
      const syncing = performance.now();
      await segment.file.datasync();
      this.options.synced?.((performance.now() - syncing) / MS_PER_S);
      segment.bytes += bytes;
      for (const item of batch) {
        segment.rows += item.rows;
        segment.points += item.points;
        this.acknowledgedPoints += item.points;
        item.resolve();
      }
    } catch (error) {
      await this.cutTail();
      this.retire(true);
      for (const item of batch) item.reject(new LogUnwritable((error as Error).message));
    } finally {
      this.pendingBytes -= bytes;
    }
  }

  /** After a failed write: nothing of it may stay, its senders are told that it failed. */
  private async cutTail(): Promise<void> {
    const segment = this.current;
    if (segment === undefined) return;
    try {
      await segment.file.truncate(segment.bytes);
      await segment.file.datasync();
    } catch (error) {
      this.options.report("log_tail_not_cut", { segment: segment.number, error: (error as Error).message });
      this.closeRequested = true;
    }
  }

  private async openSegment(): Promise<OpenSegment> {
    const number = this.nextNumber++;
    const path = join(this.options.directory, segmentName(number) + SUFFIX_WAITING);
    const file = await open(path, "wx");
    try {
      const header = segmentHeader(this.logId, number);
      await writeAll(file, [header], header.length, 0);
      await syncDirectory(this.options.directory);
    } catch (error) {
      await file.close();
      await unlink(path).catch(() => {});
      throw error;
    }
    return { number, path, file, since: this.options.now(), bytes: SEGMENT_HEADER_BYTES, rows: 0, points: 0 };
  }

  private async finishSegment(): Promise<void> {
    this.closeRequested = false;
    const segment = this.current;
    if (segment === undefined) return;
    await segment.file.close().catch((error: Error) => {
      this.options.report("log_close_failed", { segment: segment.number, error: error.message });
    });
    const { number, path, bytes, points, since } = segment;
    // Not before: what is neither open nor closed would not be counted as waiting.
    this.current = undefined;
    if (points === 0 && segment.rows === 0) {
      await unlink(path).catch(() => {});
      return;
    }
    this.closed.push({ number, path, bytes, points, since });
    this.wake();
  }

  private wake(): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }

  /**
   * Removes inserted segments that are old enough; their counts move into the state file first. When the disk is full
   * their space is worth more than their age: `atOnce` takes all but one.
   */
  private retire(atOnce: boolean): void {
    const now = this.options.now();
    if (this.retiring !== undefined || (!atOnce && now - this.retiredAt < RETIRE_EVERY_MS)) return;
    let bytes = this.done.reduce((sum, segment) => sum + segment.bytes, 0);
    const old: DoneSegment[] = [];
    for (const segment of this.done) {
      const due = now - segment.doneAt > this.options.keepDoneMs || bytes > MAX_DONE_BYTES;
      if (!due && !(atOnce && segment !== this.done.at(-1))) break;
      bytes -= segment.bytes;
      old.push(segment);
    }
    this.done.splice(0, old.length);
    this.retiredAt = now;
    if (old.length === 0) return;
    this.retiring = this.remove(old)
      .catch((error: Error) => {
        this.done.unshift(...old);
        this.options.report("log_retire_failed", { error: error.message });
      })
      .finally(() => {
        this.retiring = undefined;
      });
  }

  private async remove(segments: readonly DoneSegment[]): Promise<void> {
    const state = { ...this.state };
    for (const segment of segments) {
      state.retiredThrough = Math.max(state.retiredThrough, segment.number);
      state.acknowledgedPoints += segment.points;
      state.insertedPoints += segment.insertedPoints;
    }
    try {
      await writeState(this.options.directory, state);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC" || !this.hasNewerThan(state.retiredThrough)) throw error;
      // A full disk must not keep what would free it. A newer segment's number keeps these from being used again; a
      // crash right here would only cost their counts.
      await unlink(segments[0]!.path);
      await writeState(this.options.directory, state);
    }
    this.state = state;
    for (const segment of segments) {
      await unlink(segment.path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
  }

  private hasNewerThan(number: number): boolean {
    return this.current !== undefined || this.closed.length > 0 || (this.done.at(-1)?.number ?? 0) > number;
  }

  private async recover(): Promise<void> {
    const { closed, done, digests, nextNumber, damaged } = await recover(this.options, this.state);
    this.closed = closed;
    this.done = done;
    this.recovered = digests;
    this.nextNumber = nextNumber;
    this.damagedSegments = damaged.length;
    for (const number of damaged) this.knownDamaged.add(number);
    for (const { points } of closed) this.acknowledgedPoints += points;
    for (const { points, insertedPoints } of done) {
      this.acknowledgedPoints += points;
      this.insertedPoints += insertedPoints;
    }
    this.logId = randomUUID();
    this.state = withRun(this.state, nextNumber, this.logId);
    // On a full disk the log is emptied first; the state is written when its first segments are retired.
    await writeState(this.options.directory, this.state).catch((error: Error) => {
      this.options.report("state_not_written", { error: error.message });
    });
  }

  /** Undefined for a file that is gone, or cannot be read however often it is tried. */
  private async readFile(segment: ClosedSegment): Promise<Buffer | undefined> {
    try {
      const file = await this.readInto(segment.path);
      this.readFailures = 0;
      return file;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && ++this.readFailures < READ_ATTEMPTS) throw error;
      this.readFailures = 0;
      const copy =
        code === "ENOENT" ? undefined : await keepCorrupt(segment.path, segment.number, this.options.directory);
      const event = code === "ENOENT" ? "segment_missing" : "segment_unreadable";
      this.damaged(event, segment, segment.points, { error: message, copy });
      return undefined;
    }
  }

  /** The bytes of a file, in a buffer that the next file is read into. */
  private async readInto(path: string): Promise<Buffer> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (this.readBuffer.length < size) this.readBuffer = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(size)));
      let length = 0;
      while (length < size) {
        const { bytesRead } = await file.read(this.readBuffer, length, size - length, length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return this.readBuffer.subarray(0, length);
    } finally {
      await file.close();
    }
  }

  private damaged(event: string, segment: ClosedSegment, lostPoints: number, details: Record<string, unknown>): void {
    this.knownDamaged.add(segment.number);
    this.damagedSegments++;
    this.lostPoints += lostPoints;
    this.options.report(event, { segment: segment.number, lostPoints, ...details });
  }

  private loseLock(): void {
    this.lockLost = true;
    this.stopped = true;
    // The segments are the other process's now.
    this.closed = [];
    this.options.report("lock_lost", { directory: this.options.directory });
  }
}

async function writeAll(file: FileHandle, buffers: Buffer[], bytes: number, position: number): Promise<void> {
  const whole = bytes <= JOIN_BYTES ? [Buffer.concat(buffers, bytes)] : buffers;
  const { bytesWritten } = await file.writev(whole, position);
  // A full disk shows as a short write before it shows as an error.
  if (bytesWritten !== bytes) throw new Error(`wrote ${bytesWritten} of ${bytes} bytes: no space left`);
}
