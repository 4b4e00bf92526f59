import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type FileKind, listFiles } from "./files.ts";
import { ownerOf } from "./lock.ts";
import { readSegment, type SegmentContent } from "./segment.ts";
import { type LogState, readState } from "./state.ts";
import { batches } from "./table-batches.ts";

const MS_PER_S = 1000;

/** One file of the log, as it is on disk at this moment. */
export interface FileReport {
  readonly file: string;
  readonly kind: FileKind;
  readonly segment: number;
  readonly bytes: number;
  /** Requests. */
  readonly frames: number;
  readonly points: number;
  /** Rows by table. */
  readonly tables: Readonly<Record<string, number>>;
  /** Since it was last written, in seconds. */
  readonly ageSeconds: number;
  readonly damagedBytes: number;
  /** The beginning of a frame at the end: a write under way, or one that a crash cut short. */
  readonly tornBytes: number;
  /** Why it could not be read. */
  readonly error?: string;
}

export interface LogReport {
  readonly directory: string;
  /** The process that works on it: a pid, with a remark when it is in another container; null when none does. */
  readonly owner: string | null;
  /** Null when there is none, or when it is torn. */
  readonly state: LogState | null;
  readonly files: readonly FileReport[];
  /** Of the segments that wait to be inserted. */
  readonly waiting: {
    readonly segments: number;
    readonly bytes: number;
    readonly points: number;
    readonly ageSeconds: number;
  };
  readonly damaged: number;
  readonly bad: number;
  readonly corrupt: number;
}

/** Reads a log without changing anything, whether an ingest works on it or not. Throws when there is no such directory. */
export async function inspectLog(directory: string, now = Date.now): Promise<LogReport> {
  const { state, torn } = await readState(directory);
  const owner = await ownerOf(directory);
  const files: FileReport[] = [];
  for (const { name, kind, number } of await listFiles(directory)) {
    const report = await inspectFile(join(directory, name), { file: name, kind, segment: number }, now());
    // The ingest removed or renamed it since the directory was read.
    if (report !== undefined) files.push(report);
  }
  const of = (kind: FileKind) => files.filter((file) => file.kind === kind);
  const waiting = of("waiting");
  return {
    directory,
    owner: owner ?? null,
    state: torn || state.runs.length === 0 ? null : state,
    files,
    waiting: {
      segments: waiting.length,
      bytes: waiting.reduce((sum, file) => sum + file.bytes, 0),
      points: waiting.reduce((sum, file) => sum + file.points, 0),
      ageSeconds: Math.max(0, ...waiting.map((file) => file.ageSeconds)),
    },
    damaged: files.filter((file) => file.kind !== "corrupt" && (file.damagedBytes > 0 || file.error !== undefined))
      .length,
    bad: of("bad").length,
    corrupt: of("corrupt").length,
  };
}

async function inspectFile(
  path: string,
  named: Pick<FileReport, "file" | "kind" | "segment">,
  now: number,
): Promise<FileReport | undefined> {
  const none = { frames: 0, points: 0, tables: {}, damagedBytes: 0, tornBytes: 0 };
  let bytes = 0;
  let ageSeconds = 0;
  try {
    const { size, mtimeMs } = await stat(path);
    bytes = size;
    ageSeconds = Math.max(0, Math.round((now - mtimeMs) / MS_PER_S));
    return { ...named, bytes, ageSeconds, ...contentOf(readSegment(await readFile(path))) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    return { ...named, bytes, ageSeconds, ...none, error: (error as Error).message };
  }
}

function contentOf(
  content: SegmentContent,
): Pick<FileReport, "frames" | "points" | "tables" | "damagedBytes" | "tornBytes"> {
  const tables: Record<string, number> = {};
  let points = 0;
  for (const batch of batches(content)) {
    tables[batch.table] = batch.rows;
    points += batch.points;
  }
  const { frames, damagedBytes, tornBytes } = content;
  return { frames: frames.length, points, tables, damagedBytes, tornBytes };
}
