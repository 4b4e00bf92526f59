import { link, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * Files of the log's directory: `<number>.log` waits to be inserted or is being written, `<number>.done` is inserted,
 * `<number>.<table>.bad` holds rows that ClickHouse refused for good, `<number>.<table>.replayed` those that a person has
 * inserted since, `<number>.corrupt` is what a damaged segment looked like.
 */
export type FileKind = "waiting" | "done" | "bad" | "replayed" | "corrupt";

export interface LogFile {
  readonly name: string;
  readonly kind: FileKind;
  readonly number: number;
  /** The one table whose rows are in it; undefined for whole segments. */
  readonly table: string | undefined;
}

export const SUFFIX_WAITING = ".log";
export const SUFFIX_DONE = ".done";
const KINDS: Readonly<Record<string, FileKind>> = {
  log: "waiting",
  done: "done",
  bad: "bad",
  replayed: "replayed",
  corrupt: "corrupt",
};
const NAME = /^(\d{12})(?:\.(?!\d+\.)(\w+))??(?:\.\d+)?\.(log|done|bad|replayed|corrupt)$/;
const MAX_COPIES = 100;

/** Where the log of an ingest with this data directory is. */
export function logDirectory(dataDirectory: string): string {
  return join(dataDirectory, "log");
}

export function segmentName(number: number): string {
  return String(number).padStart(12, "0");
}

/** What a file of the log's directory is by its name; undefined for what is no segment. */
export function parseName(name: string): LogFile | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  return { name, kind: KINDS[match[3]!]!, number: Number(match[1]), table: match[2] };
}

/** The segments and what was set aside, in the order of their numbers. */
export async function listFiles(directory: string): Promise<LogFile[]> {
  const files = (await readdir(directory)).map(parseName).filter((file) => file !== undefined);
  return files.sort((a, b) => a.number - b.number || (a.name < b.name ? -1 : 1));
}

/** Keeps a damaged file under another name, without a byte of disk space; returns its path. Safe to repeat. */
export async function keepCorrupt(path: string, number: number, directory: string): Promise<string> {
  for (let copy = 1; copy <= MAX_COPIES; copy++) {
    const kept = join(directory, `${segmentName(number)}${copy === 1 ? "" : `.${copy}`}.corrupt`);
    try {
      await link(path, kept);
      return kept;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const [mine, there] = await Promise.all([stat(path), stat(kept)]);
      if (mine.ino === there.ino) return kept;
    }
  }
  throw new Error(`${path} has been damaged ${MAX_COPIES} times`);
}

/** Writes a whole file and its data to disk. */
export async function writeDurably(path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await open(path, "w");
  try {
    for (const part of parts) await file.writeFile(part);
    await file.sync();
  } finally {
    await file.close();
  }
}
