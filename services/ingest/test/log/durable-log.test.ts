import { createHash } from "node:crypto";
import { cp, readdir, readFile, readlink, stat, symlink, truncate, unlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
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

/** Leaves the directory as kill -9 does: nothing is closed, the lock stays, and its owner is one that is gone. */
async function crash(): Promise<void> {
  const path = join(directory.path, "lock");
  const [pid, , space, nonce] = (await readlink(path)).split(".");
  const inside = log as unknown as { current?: { file: { close: () => Promise<void> } }; unlock: () => Promise<void> };
  await inside.current?.file.close();
  await inside.unlock();
  await symlink([pid, "1", space, nonce].join("."), path);
  log = undefined;
}

/** Changes one file of the log, as a disk that fails does. */
async function change(name: string, edit: (bytes: Buffer) => Buffer | undefined): Promise<void> {
  const path = join(directory.path, name);
  const bytes = await readFile(path);
  await writeFile(path, edit(bytes) ?? bytes);
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
    await open();
    expect((await stat(segment.path)).size).toBe(size);
    expect(await texts(await next())).toEqual(["whole"]);
    expect(log!.closedSegments).toBe(1);
    expect(reports).toEqual(["segment_without_frames"]);
    await append("more");
    await append("torn again");
    await crash();
    const [, third] = await files(".log");
    const whole = (await stat(join(directory.path, third!))).size;
    await change(third!, (bytes) => bytes.subarray(0, -3));
    await open();
    expect((await stat(join(directory.path, third!))).size).toBeLessThan(whole - 3);
    expect(reports).toEqual(["segment_without_frames", "segment_tail_cut"]);
    expect(log!.damagedSegments).toBe(0);
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
    expect((await log!.read(later)).logId).not.toBe(logId);
  });

  test("keeps the token of a segment over restarts, and gives every start's segments another", async () => {
    await open();
    await append("a");
    const before = (await log!.read(await next())).logId;
    await crash();
    await open();
    expect((await log!.read(await next())).logId).toBe(before);
    const copy = await temporaryDirectory();
    await cp(directory.path, copy.path, { recursive: true, verbatimSymlinks: true });
    await unlink(join(copy.path, "lock"));
    const other = await DurableLog.open({
      ...(log as unknown as { options: LogOptions }).options,
      directory: copy.path,
    });
    try {
      expect((await other.read((await other.nextClosed(new AbortController().signal))!)).logId).toBe(before);
      await append("mine");
      await other.append(digest("theirs"), block("theirs"));
      await Promise.all([log!.closeSegment(), other.closeSegment()]);
      const of = async (each: DurableLog) =>
        (await each.read((each as unknown as { closed: ClosedSegment[] }).closed.at(-1)!)).logId;
      expect(await of(log!)).not.toBe(await of(other));
    } finally {
      await other.close();
      await copy.remove();
    }
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

  const FRAME_HEADER = 16;
  const SEGMENT_HEADER = 36;
  const second = (bytes: Buffer) => SEGMENT_HEADER + (bytes.length - SEGMENT_HEADER) / 3;
  const flip = (bytes: Buffer, at: number) => {
    bytes[at]! ^= 0x10;
    return undefined;
  };
  test.each<[string, (bytes: Buffer) => Buffer | undefined, string[]]>([
    ["a bit of its header", (bytes) => flip(bytes, 10), ["1", "2", "3"]],
    ["a bit of a frame's magic", (bytes) => flip(bytes, second(bytes)), ["1", "3"]],
    ["a bit of a frame's length", (bytes) => flip(bytes, second(bytes) + 5), ["1", "3"]],
    ["a bit of a frame's checksum", (bytes) => flip(bytes, second(bytes) + 9), ["1", "3"]],
    ["a bit of a frame's payload", (bytes) => flip(bytes, second(bytes) + FRAME_HEADER + 40), ["1", "3"]],
    ["a bit of the last frame's length", (bytes) => flip(bytes, 2 * second(bytes) - SEGMENT_HEADER + 6), ["1", "2"]],
    ["a bit of the last frame's payload", (bytes) => flip(bytes, bytes.length - 1), ["1", "2"]],
    ["a zeroed page", (bytes) => void bytes.fill(0, second(bytes), second(bytes) + 4096), ["1", "3"]],
    ["a zeroed end", (bytes) => void bytes.fill(0, second(bytes)), ["1"]],
    ["nothing but zeros", (bytes) => void bytes.fill(0), []],
  ])("after a crash sets a segment aside that has lost %s, and saves the rest", async (_what, edit, kept) => {
    const text = (name: string) => name.repeat(8192);
    await open();
    const logId = (log as unknown as { logId: string }).logId;
    for (const name of ["1", "2", "3"]) await append(text(name));
    await crash();
    const [name] = await files(".log");
    await change(name!, edit);
    await open();
    expect(reports).toEqual(["segment_damaged"]);
    expect(await log!.keptAside()).toEqual({ bad: 0, corrupt: 1 });
    expect(log!.damagedSegments).toBe(1);
    if (kept.length > 0) {
      const segment = await next();
      expect(await texts(segment)).toEqual(kept.map(text));
      expect((await log!.read(segment)).logId).toBe(logId);
    } else expect(log!.closedSegments).toBe(0);
    expect(log!.damagedSegments).toBe(1);
    await append("4");
    const last = await next();
    if (kept.length > 0) await log!.markDone(last, kept.length);
    expect(await texts(await next())).toEqual(["4"]);
  });

  test.each<[string, (path: string) => Promise<void>, string, string[]]>([
    [
      "was changed",
      (path) => change(basename(path), (bytes) => flip(bytes, bytes.length - 1)),
      "segment_damaged",
      ["a"],
    ],
    ["was cut short", async (path) => truncate(path, (await stat(path)).size - 4), "segment_damaged", ["a"]],
    ["was emptied", (path) => truncate(path, 0), "segment_damaged", []],
    ["was removed", (path) => unlink(path), "segment_missing", []],
  ])("goes on when a segment %s while it waited, and says what is lost", async (_what, harm, event, kept) => {
    await open();
    await append("a");
    await append("b", 7);
    const segment = await next();
    await harm(segment.path);
    expect(await texts(segment)).toEqual(kept);
    expect(reports).toEqual([event]);
    expect(log!.lostPoints).toBe(8 - kept.length);
    await log!.markDone(segment, kept.length);
    await append("c");
    expect(await texts(await next())).toEqual(["c"]);
  });

  test("never inserts what was refused because its write failed and could not be taken back", async () => {
    await open();
    await append("a");
    type File = { datasync: () => Promise<void>; truncate: () => Promise<void> };
    const { file } = (log as unknown as { current: { file: File } }).current;
    file.datasync = async () => {
      throw new Error("EIO: i/o error");
    };
    file.truncate = file.datasync;
    await expect(append("refused")).rejects.toMatchObject({ code: "TDM_INGEST_LOG_UNWRITABLE" });
    expect(await texts(await next())).toEqual(["a"]);
    expect(reports).toEqual(["log_tail_not_cut"]);
  });

  test.each(["", "{", '{"runs":[],"retiredThrough":"x"}', undefined])(
    "starts without a usable state file (%s) and keeps what it holds",
    async (text) => {
      await open();
      await append("a");
      await crash();
      const path = join(directory.path, "state.json");
      if (text === undefined) await unlink(path);
      else await writeFile(path, text);
      await open();
      expect(await texts(await next())).toEqual(["a"]);
      expect(reports).toEqual(text === undefined ? [] : ["state_unreadable"]);
      await append("b");
      expect(await texts((log as unknown as { closed: ClosedSegment[] }).closed[0]!)).toEqual(["a"]);
    },
  );

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
