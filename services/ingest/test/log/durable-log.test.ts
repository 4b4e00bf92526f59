import { createHash } from "node:crypto";
import { appendFile, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ClosedSegment, DurableLog, type LogOptions } from "../../src/log/durable-log.ts";
import { temporaryDirectory, until } from "../processes.ts";

const SAMPLES = 2;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let log: DurableLog | undefined;
let reports: string[];
let clock: number;

const block = (text: string, points = 1) => [{ table: SAMPLES, rows: points, points, bytes: Buffer.from(text) }];
const digest = (text: string) => createHash("sha1").update(text).digest().subarray(0, 16);
const append = (text: string, points?: number) => log!.append(digest(text), block(text, points));

async function open(options: Partial<LogOptions> = {}): Promise<void> {
  log = await DurableLog.open({
    directory: directory.path,
    segmentRows: 1000,
    segmentBytes: 1 << 20,
    keepDoneMs: 1000,
    quotaBytes: 1 << 20,
    now: () => clock,
    report: (event) => reports.push(event),
    ...options,
  });
}

async function next(): Promise<ClosedSegment> {
  await log!.closeSegment();
  return (await log!.nextClosed(new AbortController().signal))!;
}

async function texts(segment: ClosedSegment): Promise<string[]> {
  const { frames } = await log!.read(segment);
  return frames.flatMap((frame) => frame.blocks.map((each) => each.bytes.toString()));
}

const files = async (suffix: string) => (await readdir(directory.path)).filter((name) => name.endsWith(suffix));

/** Leaves the directory as kill -9 does: nothing is closed, the lock stays; its pid is made one that is gone. */
async function crash(): Promise<void> {
  const path = join(directory.path, "lock");
  const owner = JSON.parse(await readFile(path, "utf8"));
  await writeFile(path, JSON.stringify({ ...owner, incarnation: "an earlier boot" }));
  await (log as unknown as { current?: { file: { close: () => Promise<void> } } }).current?.file.close();
  log = undefined;
}

beforeEach(async () => {
  directory = await temporaryDirectory();
  reports = [];
  clock = 1_000_000;
});
afterEach(async () => {
  await log?.close();
  log = undefined;
  await directory.remove();
});

describe("DurableLog", () => {
  test("keeps what it acknowledged over a crash, in order", async () => {
    await open();
    await Promise.all(["a", "b", "c"].map((text) => append(text)));
    await crash();
    await open();
    expect(log!.acknowledgedPoints).toBe(3);
    expect(await texts(await next())).toEqual(["a", "b", "c"]);
    expect(log!.recovered).toEqual(["a", "b", "c"].map((text) => digest(text).toString("hex")));
    expect(reports).toEqual([]);
  });

  test("cuts a torn tail at the last good frame", async () => {
    await open();
    await append("whole");
    const segment = await next();
    const size = (await stat(segment.path)).size;
    await append("torn");
    await crash();
    const [, second] = await files(".log");
    const path = join(directory.path, second!);
    await writeFile(path, (await readFile(path)).subarray(0, -2));
    await appendFile(segment.path, Buffer.from("TDMF\x40\0\0\0half"));
    await open();
    expect((await stat(segment.path)).size).toBe(size);
    expect(await texts(await next())).toEqual(["whole"]);
    expect(log!.closedSegments).toBe(1);
    expect(reports).toEqual(["segment_tail_cut", "segment_without_frames"]);
  });

  test("saves the intact frames of a damaged segment and keeps a copy of it", async () => {
    await open();
    await append("first");
    await append("second");
    await append("third");
    await crash();
    const [name] = await files(".log");
    const path = join(directory.path, name!);
    const bytes = await readFile(path);
    bytes[bytes.indexOf("second")] = 0;
    await writeFile(path, bytes);
    await open();
    expect(await texts(await next())).toEqual(["first", "third"]);
    expect(reports).toEqual(["segment_damaged"]);
    expect(await files(".corrupt")).toHaveLength(1);
    await crash();
    await open();
    expect(await texts(await next())).toEqual(["first", "third"]);
  });

  test("never uses a segment number again, so that no deduplication token repeats", async () => {
    await open({ keepDoneMs: 0 });
    await append("a");
    const first = await next();
    const { logId } = await log!.read(first);
    await log!.markDone(first, 1);
    clock += 10_000;
    await append("b");
    await log!.markDone(await next(), 1);
    await log!.close();
    await open({ keepDoneMs: 0 });
    await append("c");
    const later = await next();
    expect(later.number).toBeGreaterThan(first.number + 1);
    expect((await log!.read(later)).logId).toBe(logId);
  });

  test("counts points over restarts and over the removal of their files", async () => {
    await open({ keepDoneMs: 0 });
    await append("a", 10);
    await log!.markDone(await next(), 10);
    clock += 10_000;
    await append("b", 5);
    await log!.markDone(await next(), 3);
    await append("c", 7);
    expect(await files(".done")).not.toHaveLength(0);
    await log!.close();
    await open({ keepDoneMs: 0 });
    expect(log!.acknowledgedPoints).toBe(22);
    expect(log!.closedSegments).toBe(1);
    expect(log!.insertedPoints).toBeGreaterThanOrEqual(13);
  });

  test("closes a segment by rows and starts the next", async () => {
    await open({ segmentRows: 2 });
    await append("a");
    await append("b");
    await append("c");
    expect(log!.closedSegments).toBe(1);
    expect(await texts((await log!.nextClosed(new AbortController().signal))!)).toEqual(["a", "b"]);
  });

  test("refuses beyond its quota and takes again when something is inserted", async () => {
    await open({ quotaBytes: 300 });
    await append("a".repeat(100));
    await expect(append("b".repeat(150))).rejects.toMatchObject({ code: "TDM_INGEST_LOG_FULL", statusCode: 503 });
    await log!.markDone(await next(), 1);
    await append("b".repeat(150));
    expect(log!.acknowledgedPoints).toBe(2);
  });

  test("tells every sender of a batch that could not be written, and goes on after that", async () => {
    await open();
    await append("a");
    const { current } = log as unknown as { current: { file: { datasync: () => Promise<void> } } };
    const datasync = current.file.datasync.bind(current.file);
    let failures = 1;
    current.file.datasync = async () => {
      if (failures-- > 0) throw new Error("ENOSPC: no space left on device");
      await datasync();
    };
    const results = await Promise.allSettled([append("lost 1"), append("lost 2")]);
    expect(results.map((result) => result.status)).toEqual(["rejected", "rejected"]);
    await append("b");
    expect(await texts(await next())).toEqual(["a", "b"]);
  });

  test("gives the space of inserted segments back at once when the disk is full", async () => {
    await open({ keepDoneMs: 3_600_000 });
    for (const text of ["a", "b", "c"]) {
      await append(text);
      await log!.markDone(await next(), 1);
    }
    expect(await files(".done")).toHaveLength(3);
    await append("d");
    const { current } = log as unknown as { current: { file: { datasync: () => Promise<void> } } };
    current.file.datasync = async () => {
      throw new Error("ENOSPC: no space left on device");
    };
    await expect(append("e")).rejects.toMatchObject({ code: "TDM_INGEST_LOG_UNWRITABLE" });
    await until("the space to be free", async () => (await files(".done")).length === 1);
    await log!.close();
    await open();
    expect(log!.acknowledgedPoints).toBe(4);
    expect(log!.insertedPoints).toBe(3);
  });

  test("lets one process at a time in, and a new one after the owner is gone", async () => {
    await open();
    await expect(DurableLog.open({ ...(log as unknown as { options: LogOptions }).options })).rejects.toMatchObject({
      code: "TDM_INGEST_LOG_LOCKED",
    });
    await crash();
    await open();
    await append("a");
    await log!.close();
    expect(await readdir(directory.path)).not.toContain("lock");
  });

  test("says which directory cannot be used", async () => {
    const file = join(directory.path, "file");
    await writeFile(file, "");
    await expect(
      DurableLog.open({ ...({} as LogOptions), directory: join(file, "log"), now: () => 0, report: () => {} }),
    ).rejects.toMatchObject({ code: "TDM_INGEST_LOG_DIRECTORY", message: expect.stringContaining(file) });
  });
});
