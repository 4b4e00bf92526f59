import { afterEach, expect, test } from "vitest";
import { ConnectionsPerAddress } from "../../src/security/slow-senders.ts";
import { until } from "../processes.ts";
import { metrics, TestIngest } from "./ingest.ts";

let ingest: TestIngest | undefined;
afterEach(async () => {
  await ingest?.close();
  ingest = undefined;
});

const HEAD = "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";

test("a connection that never says anything is ended after the time for headers", async () => {
  ingest = await TestIngest.start({ headerTimeoutSeconds: 0.2 });
  const { closed } = ingest.socket();
  await until("the connection to be ended", closed, 5_000);
});

test("headers that come a byte at a time end with 408 after their time, whatever comes", async () => {
  ingest = await TestIngest.start({ headerTimeoutSeconds: 0.3 });
  const { socket, received, closed } = ingest.socket();
  socket.write(HEAD);
  const drip = setInterval(() => socket.writable && socket.write("X-A: b\r\n"), 20);
  await until("the connection to be ended", closed, 5_000);
  clearInterval(drip);
  expect(received()).toContain("408 Request Timeout");
});

test("a body that comes a byte at a time ends with 408 long before its time is over", async () => {
  ingest = await TestIngest.start({ headerTimeoutSeconds: 0.2, bodyTimeoutSeconds: 600, minBodyBytesPerSecond: 1000 });
  const { socket, received, closed } = ingest.socket();
  socket.write(`${HEAD}Content-Length: 100000\r\n\r\n`);
  const drip = setInterval(() => socket.writable && socket.write("x"), 20);
  await until("the connection to be ended", closed, 5_000);
  clearInterval(drip);
  expect(received()).toContain("408 Request Timeout");
  expect(await ingest.metric("tidemark_ingest_slow_senders_total")).toBe(1);
});

test("a body that comes fast enough is taken, though it takes longer than headers may", async () => {
  ingest = await TestIngest.start({ headerTimeoutSeconds: 0.2, bodyTimeoutSeconds: 600, minBodyBytesPerSecond: 500 });
  const body = Buffer.concat(Array.from({ length: 40 }, () => metrics()));
  const { socket, received } = ingest.socket();
  socket.write(`${HEAD}Content-Length: ${body.length}\r\n\r\n`);
  let at = 0;
  const started = performance.now();
  const drip = setInterval(() => {
    if (at >= body.length) return;
    socket.write(body.subarray(at, at + 100));
    at += 100;
  }, 25);
  await until("the reply", () => received().includes("200 OK"), 20_000);
  clearInterval(drip);
  expect(performance.now() - started).toBeGreaterThan(400);
});

test("a body that stops ends with 408 when the time for the request is over, without a least rate too", async () => {
  ingest = await TestIngest.start({ headerTimeoutSeconds: 0.2, bodyTimeoutSeconds: 0.5, minBodyBytesPerSecond: 0 });
  const { socket, received, closed } = ingest.socket();
  socket.write(`${HEAD}Content-Length: 1000\r\n\r\nabc`);
  await until("the connection to be ended", closed, 5_000);
  expect(received()).toContain("408");
});

test("a hundred slow senders do not keep a good one waiting, and what they held is given back", async () => {
  ingest = await TestIngest.start({
    headerTimeoutSeconds: 0.5,
    minBodyBytesPerSecond: 1000,
    maxReceivingBytes: 200_000,
  });
  const slow = Array.from({ length: 100 }, () => ingest!.socket());
  for (const { socket } of slow) socket.write(`${HEAD}Content-Length: 1000000\r\n\r\n${"x".repeat(1000)}`);
  expect((await ingest.post(undefined)).status).toBe(200);
  await until("all of them to be ended", () => slow.every(({ closed }) => closed()), 10_000);
  expect((await ingest.post(undefined, Buffer.concat(Array.from({ length: 1000 }, () => metrics())))).status).toBe(200);
});

test("one address has a limit of connections, the loopback has none", () => {
  let refused = 0;
  const connections = new ConnectionsPerAddress(2, () => refused++);
  const socket = (remoteAddress: string) => {
    const ends: (() => void)[] = [];
    const made = {
      remoteAddress,
      destroyed: false,
      destroy: () => {
        made.destroyed = true;
      },
      once: (_: string, end: () => void) => void ends.push(end),
      end: () => {
        for (const end of ends) end();
      },
    };
    connections.connected(made as never);
    return made;
  };
  const [first, second, third] = ["192.0.2.1", "192.0.2.1", "192.0.2.1"].map(socket);
  expect([first!.destroyed, second!.destroyed, third!.destroyed]).toEqual([false, false, true]);
  expect(socket("192.0.2.2").destroyed).toBe(false);
  first!.end();
  expect(socket("192.0.2.1").destroyed).toBe(false);
  for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
    expect([1, 2, 3].map(() => socket(address).destroyed)).toEqual([false, false, false]);
  }
  expect(refused).toBe(1);
});
