import { setTimeout as sleep } from "node:timers/promises";
import type { ClosedSegment, DurableLog, Insertable } from "../log/durable-log.ts";
import { batches, type TableBatch, tokenOf } from "../log/table-batches.ts";
import { COLUMN_NAMES, type TableName } from "../rows/tables.ts";
import { type ClickHouse, ClickHouseError } from "./clickhouse.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;
/** A refused insert is tried this often: what is refused now may pass after a migration. */
const PERMANENT_ATTEMPTS = 5;
const PARALLEL_INSERTS = 4;
/** Tables that come first in TABLE_ORDER and that rows of the others refer to. */
const REFERRED_TO: ReadonlySet<TableName> = new Set(["series", "query_statements"]);

export interface WriterEvents {
  readonly inserted: (table: TableName, rows: number, points: number, seconds: number) => void;
  /** An insert failed and will be tried again after `delayMs`. */
  readonly failed: (table: TableName, error: Error, attempt: number, delayMs: number) => void;
  /** ClickHouse refused the rows for good; they are kept in `path`. */
  readonly setAside: (table: TableName, error: Error, points: number, path: string) => void;
  /** ClickHouse takes inserts again after failures. */
  readonly recovered: () => void;
}

/**
 * Inserts closed segments into ClickHouse, oldest first, one insert per table, several tables of a segment at once.
 *
 * A segment is marked done after all of its tables are in. Whatever dies in between, the same bytes go out again under
 * the same token, so every row is in exactly once.
 */
export class BatchWriter {
  private readonly log: DurableLog;
  private readonly clickhouse: ClickHouse;
  private readonly events: WriterEvents;
  private readonly abort = new AbortController();
  private running: Promise<void> | undefined;
  private readonly failing = new Set<TableName>();
  busy = false;

  constructor(log: DurableLog, clickhouse: ClickHouse, events: WriterEvents) {
    this.log = log;
    this.clickhouse = clickhouse;
    this.events = events;
  }

  /** ClickHouse took the last insert that was tried of every table. */
  get healthy(): boolean {
    return this.failing.size === 0;
  }

  start(): void {
    this.running ??= this.run();
  }

  /** Ends after the insert under way, or at once when it does not come back. What is not inserted stays in the log. */
  async stop(): Promise<void> {
    this.abort.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.abort;
    for (;;) {
      const segment = await this.log.nextClosed(signal);
      if (segment === undefined) return;
      this.busy = true;
      try {
        await this.insertSegment(segment, signal);
      } catch (error) {
        if (signal.aborted) return;
        // Reading the log or marking it failed: the disk's trouble may pass.
        this.events.failed("series", error as Error, 1, LONGEST_DELAY_MS);
        await sleep(LONGEST_DELAY_MS, undefined, { signal }).catch(() => {});
      } finally {
        this.busy = false;
      }
    }
  }

  private async insertSegment(segment: ClosedSegment, signal: AbortSignal): Promise<void> {
    const content = await this.log.read(segment);
    let inserted = 0;
    const waiting = batches(content);
    const insertNext = async (): Promise<void> => {
      const batch = waiting.shift()!;
      if (await this.insert(segment, content, batch, signal)) inserted += batch.points;
    };
    // What rows refer to goes in before them.
    while (waiting.length > 0 && REFERRED_TO.has(waiting[0]!.table)) await insertNext();
    const insertRest = async (): Promise<void> => {
      while (waiting.length > 0) await insertNext();
    };
    // None may still be under way when the segment is marked or given up: all are waited for, failed ones too.
    const ended = await Promise.allSettled(Array.from({ length: PARALLEL_INSERTS }, insertRest));
    for (const each of ended) if (each.status === "rejected") throw each.reason;
    await this.log.markDone(segment, inserted);
  }

  /** Returns false when ClickHouse refused the rows for good and they were set aside. */
  private async insert(
    segment: ClosedSegment,
    content: Insertable,
    batch: TableBatch,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { table, body, rows, points } = batch;
    const token = tokenOf(content.logId, segment.number, table);
    let delay = FIRST_DELAY_MS;
    let refused = 0;
    for (let attempt = 1; ; attempt++) {
      const started = performance.now();
      try {
        await this.clickhouse.insert(table, COLUMN_NAMES.get(table)!, body, token, signal);
        this.events.inserted(table, rows, points, (performance.now() - started) / 1000);
        if (this.failing.delete(table) && this.healthy) this.events.recovered();
        return true;
      } catch (error) {
        if (signal.aborted) throw error;
        if (error instanceof ClickHouseError && error.permanent && ++refused >= PERMANENT_ATTEMPTS) {
          this.failing.delete(table);
          const path = await this.log.setAside(segment, content, table);
          this.events.setAside(table, error, points, path);
          return false;
        }
        if (error instanceof ClickHouseError && error.permanent) this.failing.delete(table);
        else this.failing.add(table);
        this.events.failed(table, error as Error, attempt, delay);
        await sleep(delay * (0.5 + Math.random() / 2), undefined, { signal });
        delay = Math.min(LONGEST_DELAY_MS, delay * 2);
      }
    }
  }
}
