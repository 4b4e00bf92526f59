import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { Bucket } from "../../src/security/limits.ts";
import { createToken } from "../../src/security/tokens.ts";
import { Turns } from "../../src/security/turns.ts";
import { decode, STATUS } from "../otlp-messages.ts";
import { until } from "../processes.ts";
import { metrics, tokensFolder } from "./ingest.ts";

const folder = tokensFolder();

describe("a bucket", () => {
  test("lets two seconds' worth through at once, then its rate", () => {
    const bucket = new Bucket(10, 0);
    let passed = 0;
    for (let now = 0; now <= 10_000; now += 10) {
      if (bucket.wait(now) > 0) continue;
      bucket.take(1);
      passed++;
    }
    expect(passed).toBeGreaterThanOrEqual(119);
    expect(passed).toBeLessThanOrEqual(121);
  });

  test("lets one large thing in and says how long its debt lasts", () => {
    const bucket = new Bucket(100, 0);
    expect(bucket.wait(0)).toBe(0);
    bucket.take(1200);
    expect(bucket.wait(0)).toBeCloseTo(10, 1);
    expect(bucket.wait(9_000)).toBeCloseTo(1, 1);
    expect(bucket.wait(10_020)).toBe(0);
  });
});

describe("a source over its limits", () => {
  test("of requests is told when to come back, over HTTP and gRPC, while others go on", async () => {
    const slow = await createToken(folder.file, { name: "slow", limits: { requestsPerSecond: 0.1 } });
    const fast = await createToken(folder.file, { name: "fast" });
    const ingest = await folder.start({ tokensFile: folder.file });
    expect((await ingest.post(slow)).status).toBe(200);
    const refused = await ingest.post(slow);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeLessThanOrEqual(10);
    const answer = await ingest.call(slow);
    expect(answer.code).toBe(status.RESOURCE_EXHAUSTED);
    const [details] = answer.metadata.get("grpc-status-details-bin");
    expect(Buffer.from(details as Buffer).toString("latin1")).toContain("google.rpc.RetryInfo");
    expect((await ingest.post(fast)).status).toBe(200);
    expect((await ingest.call(fast)).code).toBe(status.OK);
    expect(await ingest.metric('tidemark_ingest_source_limited_total{source="slow",limit="requests"}')).toBe(2);
  });

  test("of bytes is refused until what it sent is paid for", async () => {
    const token = await createToken(folder.file, { name: "shop", limits: { bytesPerSecond: 100 } });
    const ingest = await folder.start({ tokensFile: folder.file });
    expect((await ingest.post(token, Buffer.concat(Array.from({ length: 50 }, () => metrics())))).status).toBe(200);
    const refused = await ingest.post(token);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(10);
    const { message } = decode(STATUS, Buffer.from(await refused.arrayBuffer())) as { message: string };
    expect(message).toBe("Source shop is over its limit of 100 bytes/s");
  });

  test("of requests at once is refused until one of them ends, also by a broken connection", async () => {
    const token = await createToken(folder.file, { name: "shop", limits: { concurrentRequests: 2 } });
    const ingest = await folder.start({ tokensFile: folder.file });
    const open = [1, 2].map(() => {
      const connection = ingest.socket();
      connection.socket.write(
        `POST /v1/metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\nabc`,
      );
      return connection;
    });
    await until("both to be let in", async () => (await ingest.post(token)).status === 429);
    expect((await ingest.call(token)).code).toBe(status.RESOURCE_EXHAUSTED);
    open[0]!.socket.destroy();
    await until("a place to be free", async () => (await ingest.post(token)).status === 200);
  });

  test("of the size of a body is refused, over HTTP and gRPC", async () => {
    const token = await createToken(folder.file, { name: "shop", limits: { maxBodyBytes: 1024 } });
    const other = await createToken(folder.file, { name: "other" });
    const ingest = await folder.start({ tokensFile: folder.file });
    const large = Buffer.concat(Array.from({ length: 30 }, () => metrics()));
    expect((await ingest.post(token, large)).status).toBe(413);
    expect((await ingest.call(token, large)).code).toBe(status.RESOURCE_EXHAUSTED);
    expect((await ingest.post(token)).status).toBe(200);
    expect((await ingest.post(other, large)).status).toBe(200);
  });

  test("of several has at most half of the memory for bodies, the rest is the others'", async () => {
    const noisy = await createToken(folder.file, { name: "noisy" });
    const quiet = await createToken(folder.file, { name: "quiet" });
    const ingest = await folder.start({ tokensFile: folder.file, maxReceivingBytes: 200_000 });
    const open = Array.from({ length: 20 }, () => {
      const connection = ingest.socket();
      connection.socket.write(
        `POST /v1/metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${noisy}\r\nContent-Type: application/x-protobuf\r\nContent-Length: 30000\r\n\r\n${"x".repeat(20_000)}`,
      );
      return connection;
    });
    await until("the source to be over its share", () => open.some(({ received }) => received().includes(" 429 ")));
    expect((await ingest.post(quiet)).status).toBe(200);
    expect((await ingest.call(quiet)).code).toBe(status.OK);
    expect((await ingest.call(noisy, Buffer.alloc(90_000))).code).toBe(status.RESOURCE_EXHAUSTED);
    expect(open.some(({ received }) => received().includes("RATE_LIMITED"))).toBe(true);
    for (const { socket } of open) socket.destroy();
    await until("the memory to be free", async () => {
      const large = Buffer.concat(Array.from({ length: 800 }, () => metrics()));
      return (await ingest.post(noisy, large)).status === 200;
    });
  });

  test("the limits of the settings hold for sources that have none", async () => {
    const ingest = await folder.start({ maxRequestsPerSecond: 0.1 });
    expect((await ingest.post(undefined)).status).toBe(200);
    expect((await ingest.post(undefined)).status).toBe(429);
  });
});

describe("turns", () => {
  const busy = (ms: number) => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  };

  test("a source with a thousand pieces of work delays another's one by few of them", async () => {
    const turns = new Turns();
    const done: string[] = [];
    const work = (source: string) =>
      turns.run(source, () => {
        busy(0.2);
        done.push(source);
      });
    const flood = Array.from({ length: 1000 }, () => work("noisy"));
    await work("quiet");
    expect(done.indexOf("quiet")).toBeLessThan(40);
    await Promise.all(flood);
    expect(done).toHaveLength(1001);
  });

  test("between turns timers and sockets are served", async () => {
    const turns = new Turns();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await Promise.all(Array.from({ length: 300 }, () => turns.run("noisy", () => busy(0.5))));
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
  });

  test("work that fails fails alone", async () => {
    const turns = new Turns();
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        turns.run("s", () => {
          busy(1);
          if (i % 2 === 1) throw new Error("no");
          return i;
        }),
      ),
    );
    expect(results.map((result) => result.status)).toEqual(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? "rejected" : "fulfilled")),
    );
  });
});
