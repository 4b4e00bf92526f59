import { randomUUID } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";

/** What the log remembers of segments whose files are gone. */
export interface LogState {
  /** First part of every insert's deduplication token: a new log must never repeat an old one's tokens. */
  readonly logId: string;
  /** Segments up to this number are gone; numbers are never used again. */
  readonly retiredThrough: number;
  readonly acknowledgedPoints: number;
  readonly insertedPoints: number;
}

const FILE = "state.json";

/** Reads the state, or starts a new log under a new id when there is none or it cannot be read. */
export async function readState(directory: string): Promise<{ state: LogState; fresh: boolean }> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, FILE), "utf8"));
    if (isState(value)) return { state: value, fresh: false };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && !(error instanceof SyntaxError)) throw error;
  }
  return {
    state: { logId: randomUUID(), retiredThrough: 0, acknowledgedPoints: 0, insertedPoints: 0 },
    fresh: true,
  };
}

/** Replaces the state file so that either the old or the new one is there after a crash. */
export async function writeState(directory: string, state: LogState): Promise<void> {
  const draft = join(directory, `${FILE}.new`);
  const file = await open(draft, "w");
  try {
    await file.writeFile(`${JSON.stringify(state)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, join(directory, FILE));
  await syncDirectory(directory);
}

/** Makes created, renamed and removed names survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isState(value: unknown): value is LogState {
  if (value === null || typeof value !== "object") return false;
  const state = value as Partial<Record<keyof LogState, unknown>>;
  return (
    typeof state.logId === "string" &&
    /^[0-9a-f-]{36}$/.test(state.logId) &&
    [state.retiredThrough, state.acknowledgedPoints, state.insertedPoints].every(Number.isSafeInteger)
  );
}
