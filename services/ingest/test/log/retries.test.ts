import { expect, test } from "vitest";
import { Retries } from "../../src/log/retries.ts";

const MINUTE_MS = 60_000;

test("a repeated request waits for the first one and gets its reply", async () => {
  const retries = new Retries(() => 0);
  let finish: (reply: Buffer) => void = () => {};
  retries.remember(
    "a",
    new Promise((resolve) => {
      finish = resolve;
    }),
  );
  const answer = retries.replyTo("a");
  finish(Buffer.from("stored"));
  expect(String(await answer)).toBe("stored");
  expect(await retries.replyTo("b")).toBeUndefined();
});

test("a request that failed is new when it comes again", async () => {
  const retries = new Retries(() => 0);
  retries.remember("a", Promise.reject(new Error("disk full")));
  expect(await retries.replyTo("a")).toBeUndefined();
  expect(await retries.replyTo("a")).toBeUndefined();
});

test("after a quarter of an hour the same bytes are new data", async () => {
  let now = 0;
  const retries = new Retries(() => now);
  retries.remember("a", Promise.resolve(Buffer.alloc(0)));
  now = 14 * MINUTE_MS;
  expect(await retries.replyTo("a")).toBeDefined();
  now = 16 * MINUTE_MS;
  expect(await retries.replyTo("a")).toBeUndefined();
});
