import { readFile, rename, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { COLUMN_NAMES, type TableName } from "../rows/tables.ts";
import { ClickHouse } from "../writer/clickhouse.ts";
import { type LogFile, listFiles, parseName } from "./files.ts";
import { ownerOf } from "./lock.ts";
import { readSegment } from "./segment.ts";
import { readState, runOf } from "./state.ts";
import { batches, type TableBatch, tokenOf } from "./table-batches.ts";

/**
 * ClickHouse knows the tokens of the last 10,000 inserts of a table. Segments this close to the newest one of their
 * directory are known still, even with ten ingests that write at the same pace.
 */
const SURELY_KNOWN_SEGMENTS = 1000;

export interface ReplayOptions {
  /** `http://user:password@host:port/database` */
  readonly clickhouseUrl: string;
  /** Only says what it would insert. */
  readonly dryRun?: boolean;
  /** Also what ClickHouse may have stored long ago and forgotten that it has: then it is there twice. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  /** Told of each insert, before it is made. */
  readonly onInsert?: (file: string, batch: Omit<TableBatch, "body">) => void;
}

/** What became of one file. */
export interface Replayed {
  readonly file: string;
  readonly inserted: Readonly<Record<string, number>>;
  readonly points: number;
  /** Bytes in it that cannot be read. */
  readonly damagedBytes: number;
  /** Where the file is now. */
  readonly path: string;
}

/** A file that is not replayed, with a sentence that says why. Nothing of it was inserted. */
export class ReplayRefused extends Error {
  override readonly name = "ReplayRefused";
  readonly file: string;
  constructor(file: string, reason: string) {
    super(`${file}: ${reason}`);
    this.file = file;
  }
}

/**
 * Inserts the rows of files of a log: `.bad` when the cause of their refusal is gone, `.log` of an ingest that is gone,
 * `.done` and `.corrupt` for a ClickHouse that lost them. Every insert has the token it had, or would have had, from the
 * ingest: what ClickHouse has is stored once however often this is repeated. A `.bad` file is renamed to `.replayed`
 * after that. Throws ReplayRefused, ClickHouseError or a network error; the files before the failing one are in.
 */
export async function replayFiles(files: readonly string[], options: ReplayOptions): Promise<Replayed[]> {
  const plans = [];
  for (const file of files) plans.push(await plan(resolve(file), options.force === true));
  const clickhouse = new ClickHouse(options.clickhouseUrl);
  const signal = options.signal ?? new AbortController().signal;
  const results: Replayed[] = [];
  try {
    for (const { path, file, logId, parts, damagedBytes } of plans) {
      const inserted: Record<string, number> = {};
      let points = 0;
      for (const { table, body, rows, points: inPart } of parts) {
        options.onInsert?.(file.name, { table, rows, points: inPart });
        const token = tokenOf(logId, file.number, table);
        if (!options.dryRun) await clickhouse.insert(table, COLUMN_NAMES.get(table)!, body, token, signal);
        inserted[table] = rows;
        points += inPart;
      }
      let kept = path;
      if (file.kind === "bad" && !options.dryRun) {
        kept = path.replace(/\.bad$/, ".replayed");
        await rename(path, kept);
      }
      results.push({ file: file.name, inserted, points, damagedBytes, path: kept });
    }
  } finally {
    await clickhouse.close();
  }
  return results;
}

interface Plan {
  readonly path: string;
  readonly file: LogFile;
  readonly logId: string;
  readonly parts: readonly TableBatch[];
  readonly damagedBytes: number;
}

/** Reads and judges one file; all files are judged before anything of the first is inserted. */
async function plan(path: string, force: boolean): Promise<Plan> {
  const directory = dirname(path);
  const file = parseName(basename(path));
  if (file === undefined) {
    throw new ReplayRefused(
      path,
      "this is not the name of a segment, like 000000000012.otel_logs.bad or 000000000012.log",
    );
  }
  const known = await stat(path).catch(() => undefined);
  if (known === undefined) throw new ReplayRefused(path, "there is no such file");
  if (file.kind === "waiting") {
    const owner = await ownerOf(directory);
    if (owner !== undefined) {
      throw new ReplayRefused(path, `the ingest with process id ${owner} works on it, and inserts it by itself`);
    }
  }
  if (file.kind !== "bad" && file.kind !== "waiting" && !force && !(await isSurelyKnown(directory, file))) {
    throw new ReplayRefused(
      path,
      "it may have been inserted so long ago that ClickHouse does not recognise it, and would be stored twice; --force inserts it",
    );
  }
  const content = readSegment(await readFile(path));
  const { state } = await readState(directory);
  const number = content.number ?? file.number;
  const logId = content.logId ?? runOf(state, number);
  if (logId === undefined) {
    throw new ReplayRefused(path, "its header cannot be read and no state.json beside it says which log it belongs to");
  }
  const all = batches(content);
  const parts = file.table === undefined ? all : all.filter(({ table }) => table === (file.table as TableName));
  if (parts.length === 0) throw new ReplayRefused(path, "nothing in it can be read");
  return { path, file: { ...file, number }, logId, parts, damagedBytes: content.damagedBytes };
}

async function isSurelyKnown(directory: string, { number }: LogFile): Promise<boolean> {
  const { state, torn } = await readState(directory);
  if (torn || state.runs.length === 0) return false;
  const newest = (await listFiles(directory)).at(-1)?.number ?? number;
  return Math.max(newest, state.retiredThrough) - number <= SURELY_KNOWN_SEGMENTS;
}
