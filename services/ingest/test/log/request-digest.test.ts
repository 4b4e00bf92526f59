import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RequestDigest } from "../../src/log/request-digest.ts";
import { temporaryDirectory } from "../processes.ts";

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const reports: string[] = [];
const open = (path = directory.path) => RequestDigest.open(path, (event) => reports.push(event));

beforeEach(async () => {
  directory = await temporaryDirectory();
  reports.length = 0;
});
afterEach(() => directory.remove());

test("a body has the same digest after a restart, and another one in another log", async () => {
  const body = randomBytes(1000);
  const before = (await open()).of("metrics", body);
  expect(before).toHaveLength(16);
  expect((await open()).of("metrics", body)).toEqual(before);
  const other = join(directory.path, "other");
  await mkdir(other);
  expect((await open(other)).of("metrics", body)).not.toEqual(before);
});

test("one bit, the length and the signal each make another digest", async () => {
  const digest = await open();
  const body = randomBytes(4096);
  const seen = new Set([digest.of("metrics", body).toString("hex")]);
  seen.add(digest.of("traces", body).toString("hex"));
  seen.add(digest.of("metrics", Buffer.concat([body, Buffer.alloc(1)])).toString("hex"));
  seen.add(digest.of("metrics", body.subarray(1)).toString("hex"));
  for (let bit = 0; bit < 8 * body.length; bit++) {
    body[bit >> 3]! ^= 1 << (bit & 7);
    seen.add(digest.of("metrics", body).toString("hex"));
    body[bit >> 3]! ^= 1 << (bit & 7);
  }
  expect(seen.size).toBe(4 + 8 * body.length);
});

test("works without its key where the disk does not keep it, and says so", async () => {
  const gone = join(directory.path, "gone");
  await mkdir(gone);
  await rm(gone, { recursive: true });
  const digest = await open(gone);
  expect(digest.of("metrics", Buffer.from("body"))).toHaveLength(16);
  expect(reports).toEqual(["digest_key_not_kept"]);
});
