import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";

/** A start of the ingest: every segment from number `from` on, until the next start's, carries this id. */
export interface Run {
  readonly from: number;
  readonly id: string;
}

/** What the log remembers of segments whose files are gone, and of its starts. */
export interface LogState {
  /**
   * Each start has an id of its own, the first part of its inserts' deduplication tokens. So neither a lost state file
   * nor a copied directory that is run twice makes two different segments share a token. Segments carry the id
   * themselves; this list stands in for a header that cannot be read.
   */
  readonly runs: readonly Run[];
  /** Segments up to this number are gone. */
  readonly retiredThrough: number;
  readonly acknowledgedPoints: number;
  readonly insertedPoints: number;
}

export const STATE_FILE = "state.json";
const EMPTY: LogState = { runs: [], retiredThrough: 0, acknowledgedPoints: 0, insertedPoints: 0 };

/** Reads the state; an empty one where there is none, and `torn` where it cannot be understood. */
export async function readState(directory: string): Promise<{ state: LogState; torn: boolean }> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, STATE_FILE), "utf8"));
    if (isState(value)) return { state: value, torn: false };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { state: EMPTY, torn: false };
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { state: EMPTY, torn: true };
}

/** The state of a log whose next segment is `nextNumber`, with a new run; runs that no segment is left of are dropped. */
export function withRun(state: LogState, nextNumber: number, id: string): LogState {
  const runs = state.runs.filter(({ from }, index) => {
    const end = state.runs[index + 1]?.from ?? nextNumber;
    return from < end && end > state.retiredThrough + 1;
  });
  return { ...state, runs: [...runs, { from: nextNumber, id }] };
}

/** The id under which a segment was written, as far as the state knows. */
export function runOf({ runs }: LogState, number: number): string | undefined {
  return runs.findLast(({ from }) => from <= number)?.id;
}

/** Replaces the state file so that either the old or the new one is there after a crash. */
export async function writeState(directory: string, state: LogState): Promise<void> {
  const draft = join(directory, `${STATE_FILE}.new`);
  const file = await open(draft, "w");
  try {
    await file.writeFile(`${JSON.stringify(state)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, join(directory, STATE_FILE));
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
    Array.isArray(state.runs) &&
    state.runs.every((run) => Number.isSafeInteger(run?.from) && /^[0-9a-f-]{36}$/.test(run?.id)) &&
    [state.retiredThrough, state.acknowledgedPoints, state.insertedPoints].every(Number.isSafeInteger)
  );
}
