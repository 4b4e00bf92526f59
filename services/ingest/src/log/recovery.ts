import { readFile, truncate, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { ClosedSegment, DoneSegment, LogOptions } from "./durable-log.ts";
import { keepCorrupt, type LogFile, listFiles } from "./files.ts";
import { readSegment, SEGMENT_HEADER_BYTES, type SegmentContent } from "./segment.ts";
import type { LogState } from "./state.ts";
import { pointsIn } from "./table-batches.ts";

/** Digests of requests that are kept over a restart: `Retries` remembers as many. */
const MAX_RECOVERED = 100_000;

/** What an earlier run left in the directory. */
export interface Recovered {
  readonly closed: ClosedSegment[];
  readonly done: DoneSegment[];
  /** Of requests whose senders may not know that they succeeded; the latest ones. */
  readonly digests: string[];
  readonly nextNumber: number;
  /** Numbers of segments that were found damaged. */
  readonly damaged: readonly number[];
}

/**
 * Reads every segment that is there. Removes what a crash left half-made, cuts off a torn write, and keeps a copy of what
 * is damaged; the intact frames of a damaged segment are inserted like any other's. Safe to be killed at any point.
 */
export async function recover({ directory, report, now }: LogOptions, state: LogState): Promise<Recovered> {
  const files = await listFiles(directory);
  const refused = new Map<number, Set<string>>();
  for (const { kind, number, table } of files) {
    if (kind === "bad") refused.set(number, (refused.get(number) ?? new Set()).add(table!));
  }
  const closed: ClosedSegment[] = [];
  const done: DoneSegment[] = [];
  let digests: string[] = [];
  let nextNumber = state.retiredThrough + 1;
  const damaged: number[] = [];
  const lastWaiting = files.findLast(({ kind }) => kind === "waiting");

  for (const file of files) {
    const { name, kind, number } = file;
    nextNumber = Math.max(nextNumber, number + 1);
    if (kind !== "waiting" && kind !== "done") continue;
    const path = join(directory, name);
    if (number <= state.retiredThrough) {
      await unlink(path);
      continue;
    }
    let content: SegmentContent;
    let size: number;
    try {
      const bytes = await readFile(path);
      size = bytes.length;
      content = readSegment(bytes);
    } catch (error) {
      // A bad sector must neither keep the rest from being read nor the service from starting.
      damaged.push(number);
      const copy = kind === "waiting" ? await keepCorrupt(path, number, directory) : undefined;
      report("segment_unreadable", { segment: number, error: (error as Error).message, copy });
      await unlink(path);
      continue;
    }
    // Only the segment that was being written when the process died can end in half a frame.
    const damage = content.damagedBytes + (file === lastWaiting || kind === "done" ? 0 : content.tornBytes);
    if (damage > 0) {
      damaged.push(number);
      const copy = kind === "waiting" ? await keepCorrupt(path, number, directory) : undefined;
      const lost = kind === "waiting" ? "what was in the damaged bytes" : "nothing: it had been inserted";
      report("segment_damaged", {
        segment: number,
        damagedBytes: damage,
        keptFrames: content.frames.length,
        copy,
        lost,
      });
    }
    if (content.frames.length === 0 && kind === "waiting") {
      if (size > SEGMENT_HEADER_BYTES && damage === 0)
        report("segment_without_frames", { segment: number, bytes: size });
      await unlink(path);
      continue;
    }
    if (damage === 0 && content.tornBytes > 0 && kind === "waiting") {
      await truncate(path, content.end);
      report("segment_tail_cut", { segment: number, bytes: content.tornBytes });
    }
    digests.push(...content.frames.slice(-MAX_RECOVERED).map(({ digest }) => digest));
    if (digests.length > 2 * MAX_RECOVERED) digests = digests.slice(-MAX_RECOVERED);
    const points = pointsIn(content);
    const segment = { number, path, bytes: content.end, points, since: now() };
    if (kind === "waiting") closed.push(segment);
    else done.push({ ...segment, doneAt: now(), insertedPoints: insertedOf(file, content, refused) });
  }
  return { closed, done, digests: digests.slice(-MAX_RECOVERED), nextNumber, damaged };
}

function insertedOf(
  { number }: LogFile,
  content: SegmentContent,
  refused: ReadonlyMap<number, ReadonlySet<string>>,
): number {
  return pointsIn(content) - pointsIn(content, refused.get(number) ?? new Set());
}
