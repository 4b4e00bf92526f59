import { lutimes, readlink, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDirectory, ownerOf } from "../../src/log/lock.ts";
import { temporaryDirectory, until } from "../processes.ts";

const TIMING = { beatMs: 20, silentMs: 300 };
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let path: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
  path = join(directory.path, "lock");
});
afterEach(() => directory.remove());

const lock = (lost?: () => void) => lockDirectory(directory.path, lost, TIMING);

/** The lock of a process that looks as if it ran in another container. */
async function foreign(): Promise<void> {
  const unlock = await lock();
  const parts = (await readlink(path)).split(".");
  await unlock();
  await symlink([parts[0], parts[1], "0123456789ab", parts[3]].join("."), path);
}

test("refuses a directory whose owner is in another container and shows that it lives", async () => {
  await foreign();
  const beat = setInterval(() => void lutimes(path, new Date(), new Date()), 20);
  try {
    await expect(lock()).rejects.toMatchObject({
      code: "TDM_INGEST_LOG_LOCKED",
      message: expect.stringContaining("another container or host"),
    });
    expect(await ownerOf(directory.path)).toContain("another container or host");
  } finally {
    clearInterval(beat);
  }
});

test("takes over from an owner in another container that is silent", async () => {
  await foreign();
  const unlock = await lock();
  expect(await ownerOf(directory.path)).toBe(String(process.pid));
  await unlock();
  expect(await ownerOf(directory.path)).toBeUndefined();
});

test("takes over a lock that is no lock of ours", async () => {
  await writeFile(path, "something else");
  await (await lock())();
});

test("tells its owner when somebody else has taken it", async () => {
  let lost = 0;
  const unlock = await lock(() => lost++);
  await unlink(path);
  await foreign();
  await until("the owner to notice", () => lost === 1);
  await unlock();
  expect(await readlink(path)).toContain("0123456789ab");
});
