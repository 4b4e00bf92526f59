import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readOptions } from "../src/options.ts";
import { Exporter } from "../src/worker/exporter.ts";

const MEGABYTE = 1024 * 1024;
const MAX_WAIT_MS = 60_000;
const SOON_MS = 30_000;

describe("the exporter", () => {
  let answer: { status: number; retryAfter?: string };
  /** First bytes of what arrived, and whether it was taken. */
  let received: { first: number; taken: boolean }[];
  let dropped: Record<string, number>;
  let failing: boolean;
  let exporter: Exporter;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { status, retryAfter } = answer;
      response.writeHead(status, retryAfter === undefined ? {} : { "retry-after": retryAfter }).end();
      received.push({ first: chunks[0]?.[0] ?? -1, taken: status === 200 });
    });
  });

  beforeEach(async () => {
    answer = { status: 503 };
    received = [];
    dropped = {};
    failing = false;
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    exporter = new Exporter(readOptions({}, { endpoint, compress: false }), {
      exported: () => {},
      dropped: (reason, records) => {
        dropped[reason] = (dropped[reason] ?? 0) + records;
      },
      failing: (now) => {
        failing = now;
      },
    });
    // Only what the exporter waits for: connections have timers of their own.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  const pending = () => vi.getTimerCount();
  // Vitest's own waiting would let the faked time pass.
  const soon = async (what: string, probe: () => boolean) => {
    const deadlineMs = performance.now() + SOON_MS;
    while (!probe()) {
      if (performance.now() > deadlineMs) throw new Error(what);
      await new Promise((passed) => setImmediate(passed));
    }
  };

  it("waits twice as long after each failure, from one second up to one minute", async () => {
    exporter.send("metrics", Buffer.from("x"), 1);
    const failed = (times: number) => soon(`failure ${times}`, () => received.length === times && pending() === 1);
    const waits = [1, 2, 4, 8, 16, 32, 60, 60];
    for (const [failures, wait] of waits.entries()) {
      await failed(failures + 1);
      vi.advanceTimersByTime(wait * 500 - 1); // with jitter, half of it at least
      expect(pending()).toBe(1);
      vi.advanceTimersByTime(wait * 500 + 1);
      expect(pending()).toBe(0);
    }
    await failed(waits.length + 1);
    expect([failing, dropped]).toEqual([true, {}]);
  });

  it("waits as long as the server says, and a minute at most", async () => {
    for (const [after, ms] of [
      ["7", 7000],
      ["3600", MAX_WAIT_MS],
    ] as const) {
      answer = { status: 429, retryAfter: after };
      const before = received.length;
      exporter.send("metrics", Buffer.from("x"), 1);
      await soon("it is refused", () => received.length === before + 1 && pending() === 1);
      vi.advanceTimersByTime(ms - 1);
      expect(pending()).toBe(1);
      answer = { status: 200 };
      vi.advanceTimersByTime(1);
      await soon("it is taken", () => received.at(-1)!.taken && !failing);
    }
  });

  it("keeps 8 MB, lets the oldest go first and counts what it lost", async () => {
    const message = (number: number) => Buffer.alloc(MEGABYTE, number);
    for (let number = 0; number < 20; number++) {
      exporter.send("metrics", message(number), 10);
      await soon("it is tried", () => pending() === 1);
    }
    expect(dropped).toEqual({ queue_full: 120 });
    answer = { status: 200 };
    vi.advanceTimersByTime(MAX_WAIT_MS);
    await soon("the last one is taken", () => received.at(-1)!.first === 19);
    expect(received.filter(({ taken }) => taken).map(({ first }) => first)).toEqual([12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it("does not send again what the server will never take", async () => {
    answer = { status: 400 };
    exporter.send("logs", Buffer.from("x"), 3);
    await soon("it is given up", () => dropped.rejected === 3);
    expect([received.length, pending(), failing]).toEqual([1, 0, false]);
  });
});
