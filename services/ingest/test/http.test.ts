import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import * as zlib from "node:zlib";
import type { FastifyInstance, InjectOptions } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Replacements } from "../src/app.ts";
import { buildApp, type Config } from "../src/index.ts";
import { decode, encode, gauge, METRICS, metricsRequest, STATUS } from "./otlp-messages.ts";
import { temporaryDirectory, until } from "./processes.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const NO_CLICKHOUSE = "http://tidemark:x@127.0.0.1:9/tidemark";
const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";

let app: FastifyInstance;
let port: number;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const sockets: Socket[] = [];

async function listen(config: Partial<Config> = {}, replacements: Replacements = {}): Promise<void> {
  app = await buildApp(
    { dataDirectory: directory.path, clickhouseUrl: NO_CLICKHOUSE, logLevel: "silent", ...config },
    { now: () => NOW, ...replacements },
  );
  // Nothing of ours throws what it does not name: a route that does, for the 500.
  app.post("/defect", async () => {
    throw new Error("a secret of the inside");
  });
  port = Number(new URL(await app.listen({ host: "127.0.0.1", port: 0 })).port);
}

/** A connection whose bytes the test writes; `text` is what came back. */
function open(): { socket: Socket; text: () => string; closed: () => boolean } {
  const socket = connect(port, "127.0.0.1");
  sockets.push(socket);
  let received = "";
  let closed = false;
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  return { socket, text: () => received, closed: () => closed };
}

const head = (headers: Record<string, string | number>, path = "/v1/metrics", method = "POST") =>
  [`${method} ${path} HTTP/1.1`, "host: x", ...Object.entries(headers).map(([key, value]) => `${key}: ${value}`)]
    .join("\r\n")
    .concat("\r\n\r\n");
const message = (...values: number[]) =>
  encode(METRICS, metricsRequest(values.map((value, i) => gauge(`m${i}`, value, NOW))));
const post = (options: InjectOptions) => app.inject({ method: "POST", url: "/v1/metrics", ...options });

async function metric(name: string): Promise<number> {
  const { payload } = await app.inject({ url: "/metrics" });
  return Number(new RegExp(`^${name} (.+)$`, "m").exec(payload)?.[1]);
}
const acknowledged = () => metric("tidemark_ingest_acknowledged_points_total");

beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await app?.close();
  await directory.remove();
});

describe("OTLP/HTTP failures", () => {
  test("every 4xx and 5xx is a Status in the request's encoding", async () => {
    await listen({ maxBodyBytes: 3000, maxReceivingBytes: 4000, token: "correct-horse", logQuotaBytes: 1024 });
    const authorization = "Bearer correct-horse";
    const spare = Buffer.alloc(2500);
    for (const type of [PROTOBUF, JSON_TYPE]) {
      const headers = { "content-type": type, authorization };
      const malformed = type === JSON_TYPE ? "{" : Buffer.from([0x0a, 0xff]);
      const cases: [number, string, InjectOptions][] = [
        [400, "TDM_INGEST_MALFORMED_BODY", { headers, payload: malformed }],
        [
          400,
          "TDM_INGEST_BAD_COMPRESSION",
          { headers: { ...headers, "content-encoding": "gzip" }, payload: Buffer.from("x") },
        ],
        [401, "TDM_INGEST_UNAUTHORIZED", { headers: { "content-type": type }, payload: malformed }],
        [404, "TDM_INGEST_NOT_FOUND", { headers, url: "/v1/profiles", payload: malformed }],
        [405, "TDM_INGEST_METHOD_NOT_ALLOWED", { headers, method: "PUT", payload: malformed }],
        [413, "TDM_INGEST_BODY_TOO_LARGE", { headers, payload: Buffer.alloc(3001) }],
        [
          415,
          "TDM_INGEST_WRONG_CONTENT_ENCODING",
          { headers: { ...headers, "content-encoding": "br" }, payload: spare },
        ],
        [
          429,
          "TDM_INGEST_TOO_BUSY",
          { headers: { ...headers, "content-encoding": "gzip" }, payload: zlib.gzipSync(Buffer.alloc(20_000)) },
        ],
        [500, "TDM_INGEST_INTERNAL", { headers, url: "/defect", payload: malformed }],
      ];
      for (const [statusCode, reason, options] of cases) {
        const reply = await post(options);
        expect([reply.statusCode, reply.headers["content-type"]], reason).toEqual([statusCode, type]);
        const body =
          type === JSON_TYPE ? reply.json() : (decode(STATUS, reply.rawPayload) as { details: { value: Buffer }[] });
        expect(JSON.stringify(body)).not.toContain("secret");
        const shown = type === JSON_TYPE ? body.details[0].reason : Buffer.from(body.details[0].value).toString();
        expect(shown).toContain(reason);
        expect(reply.headers["retry-after"], reason).toBe(statusCode === 429 ? "2" : undefined);
      }
      const full = await until("the log to be full", async () => {
        const payload =
          type === JSON_TYPE ? JSON.stringify(metricsRequest([gauge("m", Math.random(), NOW)])) : message(1);
        const reply = await post({ headers, payload });
        return reply.statusCode === 503 && reply;
      });
      expect([full.headers["content-type"], full.headers["retry-after"]]).toEqual([type, "2"]);
    }
  });

  test("a request of an unknown content type is answered in JSON", async () => {
    await listen();
    const reply = await post({ headers: { "content-type": "text/csv" }, payload: "a,b" });
    expect([reply.statusCode, reply.headers["content-type"]]).toEqual([415, JSON_TYPE]);
    expect(reply.json().details[0].reason).toBe("TDM_INGEST_WRONG_CONTENT_TYPE");
  });

  test("GET, HEAD, PUT and OPTIONS on an OTLP path are 405 with Allow: POST", async () => {
    await listen();
    for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] as const) {
      for (const url of ["/v1/metrics", "/v1/traces?x=1", "/v1/logs"]) {
        const reply = await app.inject({ method, url });
        expect([reply.statusCode, reply.headers.allow], `${method} ${url}`).toEqual([405, "POST"]);
        expect(reply.headers["access-control-allow-origin"]).toBeUndefined();
      }
    }
  });

  test("what is no HTTP/1.1, and a URL that is none, is a 400 with a Status", async () => {
    await listen();
    for (const bytes of ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hello\r\n\r\n", "GET /%zz HTTP/1.1\r\nhost: x\r\n\r\n"]) {
      const { socket, text } = open();
      socket.write(bytes);
      await until("the answer", () => text().includes("TDM_INGEST_BAD_HTTP"));
      expect(text()).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
      expect(text()).toMatch(/content-type: application\/json/);
    }
    const { socket, text } = open();
    socket.write(head({ "x-long": "x".repeat(20_000) }));
    await until("the answer", () => text().includes("TDM_INGEST_HEADERS_TOO_LARGE"));
    expect(text()).toMatch(/^HTTP\/1.1 431 /);
  });
});

describe("bodies over HTTP", () => {
  test("a content type may have parameters and any case", async () => {
    await listen();
    for (const type of ["application/x-protobuf; proto=x", "Application/X-Protobuf"]) {
      expect((await post({ headers: { "content-type": type }, payload: message(1) })).statusCode, type).toBe(200);
    }
    const json = JSON.stringify(metricsRequest([gauge("m", 1, NOW)]));
    for (const type of ["application/json; charset=utf-8", "application/json;charset=UTF-8"]) {
      expect((await post({ headers: { "content-type": type }, payload: json })).statusCode, type).toBe(200);
    }
  });

  test("gzip, x-gzip, deflate and, where Node has it, zstd are undone, any other encoding is a 415 that names them", async () => {
    await listen();
    const zstd = (zlib as { zstdCompressSync?: (body: Buffer) => Buffer }).zstdCompressSync;
    const plain = message(1, 2, 3);
    const sent: [string, Buffer, number][] = [
      ["identity", plain, 200],
      ["gzip", zlib.gzipSync(plain), 200],
      ["GZIP", zlib.gzipSync(plain), 200],
      ["x-gzip", zlib.gzipSync(plain), 200],
      ["deflate", zlib.deflateSync(plain), 200],
      ["zstd", zstd?.(plain) ?? plain, zstd === undefined ? 415 : 200],
      ["br", zlib.brotliCompressSync(plain), 415],
      ["gzip, gzip", zlib.gzipSync(zlib.gzipSync(plain)), 415],
    ];
    for (const [encoding, payload, statusCode] of sent) {
      const reply = await post({ headers: { "content-type": PROTOBUF, "content-encoding": encoding }, payload });
      expect(reply.statusCode, encoding).toBe(statusCode);
      if (statusCode !== 415) continue;
      const { message: sentence } = decode(STATUS, reply.rawPayload) as { message: string };
      for (const name of ["gzip", "deflate", ...(zstd === undefined ? [] : ["zstd"])]) expect(sentence).toContain(name);
    }
  });

  test("bombs of every compression end at the limit", async () => {
    await listen({ maxDecompressedBytes: 100_000 });
    const huge = Buffer.alloc(50_000_000);
    const zstd = (zlib as { zstdCompressSync?: (body: Buffer) => Buffer }).zstdCompressSync;
    const bombs: [string, Buffer][] = [
      ["gzip", zlib.gzipSync(huge)],
      ["deflate", zlib.deflateSync(huge)],
    ];
    if (zstd !== undefined) bombs.push(["zstd", zstd(huge)]);
    for (const [encoding, payload] of bombs) {
      const before = process.memoryUsage().arrayBuffers;
      const reply = await post({ headers: { "content-type": PROTOBUF, "content-encoding": encoding }, payload });
      expect(reply.statusCode, encoding).toBe(413);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(huge.length / 5);
    }
  });

  test("an empty protobuf body and an empty JSON object are successes, an empty JSON body is a 400", async () => {
    await listen();
    for (const url of ["/v1/metrics", "/v1/traces", "/v1/logs"]) {
      expect((await post({ url, headers: { "content-type": JSON_TYPE }, payload: "" })).statusCode).toBe(400);
      const empty = await post({ url, headers: { "content-type": PROTOBUF, "content-length": "0" } });
      expect([empty.statusCode, empty.rawPayload.length]).toEqual([200, 0]);
      expect((await post({ url, headers: { "content-type": JSON_TYPE }, payload: "{}" })).json()).toEqual({});
    }
  });

  test("a sender in the middle of a body that is too large gets the 413 and no reset", async () => {
    await listen({ maxBodyBytes: 100_000 });
    const { socket, text, closed } = open();
    socket.write(head({ "content-type": PROTOBUF, "transfer-encoding": "chunked" }));
    const chunk = Buffer.alloc(16_384);
    for (let i = 0; i < 64; i++) socket.write(Buffer.concat([Buffer.from("4000\r\n"), chunk, Buffer.from("\r\n")]));
    await until("the 413", () => text().includes("TDM_INGEST_BODY_TOO_LARGE"));
    expect(text()).toMatch(/^HTTP\/1.1 413 /);
    expect(closed()).toBe(false);
    // The rest of it is thrown away, and the connection goes on.
    socket.write("0\r\n\r\n");
    const next = message(1);
    socket.write(Buffer.concat([Buffer.from(head({ "content-type": PROTOBUF, "content-length": next.length })), next]));
    await until("the next reply", () => text().includes("HTTP/1.1 200"));
    expect(await acknowledged()).toBe(1);
  });
});

describe("connections over HTTP", () => {
  test("one connection carries many requests", async () => {
    await listen();
    const { socket, text, closed } = open();
    for (let i = 1; i <= 3; i++) {
      const body = message(i);
      socket.write(
        Buffer.concat([Buffer.from(head({ "content-type": PROTOBUF, "content-length": body.length })), body]),
      );
      await until("the reply", () => text().split("HTTP/1.1 200").length - 1 === i);
    }
    expect(text()).toMatch(/keep-alive: timeout=65/i);
    expect(closed()).toBe(false);
    expect(await acknowledged()).toBe(3);
  });

  test("pipelined requests are answered in their order", async () => {
    await listen();
    const json = JSON.stringify(metricsRequest([gauge("j", 1, NOW)]));
    const body = message(1, 2);
    const { socket, text } = open();
    socket.write(
      Buffer.concat([
        Buffer.from(head({ "content-type": PROTOBUF, "content-length": body.length })),
        body,
        Buffer.from(head({ "content-type": JSON_TYPE, "content-length": json.length }) + json),
        Buffer.from(head({}, "/v1/nothing", "GET")),
      ]),
    );
    await until("three replies", () => text().split("HTTP/1.1 ").length === 4);
    expect(text().match(/HTTP\/1.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 404"]);
    expect(text().match(/content-type: (\S+)/g)).toEqual([
      `content-type: ${PROTOBUF}`,
      `content-type: ${JSON_TYPE}`,
      `content-type: ${JSON_TYPE}`,
    ]);
    expect(await acknowledged()).toBe(3);
  });

  test("a body that comes byte by byte is taken, and one that never ends is a 408", async () => {
    await listen();
    const body = message(1);
    const slow = open();
    slow.socket.setNoDelay(true);
    slow.socket.write(head({ "content-type": PROTOBUF, "content-length": body.length }));
    for (const byte of body) {
      slow.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until("the reply", () => slow.text().includes("HTTP/1.1 200"));
    await app.close();
    await listen({ dataDirectory: `${directory.path}/second` }, { receiveTimeoutMs: 100 });
    const never = open();
    never.socket.write(head({ "content-type": PROTOBUF, "content-length": 100 }));
    await until("the 408", () => never.text().includes("TDM_INGEST_RECEIVE_TIMEOUT"));
    expect(never.text()).toMatch(/^HTTP\/1.1 408 /);
    await until("the connection to be closed", never.closed);
  });

  test("a sender that does not read its replies holds up no one else", async () => {
    await listen();
    const deaf = open();
    deaf.socket.pause();
    const requests = Buffer.from(head({}, "/v1/nothing", "GET").repeat(2000));
    deaf.socket.write(requests);
    const reply = await post({ headers: { "content-type": PROTOBUF }, payload: message(1) });
    expect(reply.statusCode).toBe(200);
    deaf.socket.resume();
    await until("all replies", () => deaf.text().split("HTTP/1.1 404").length - 1 === 2000);
  });

  test("while it stops, requests are a 503 with Retry-After, and what had begun is taken", async () => {
    await listen();
    const body = message(1);
    const { socket, text } = open();
    socket.write(head({ "content-type": PROTOBUF, "content-length": body.length }));
    socket.write(body.subarray(0, 5));
    await until("it to be in memory", () => metric("tidemark_ingest_receiving_bytes"));
    // A call over gRPC that does not end keeps the ingest in its first second of stopping.
    const session = connectHttp2(`http://127.0.0.1:${await app.grpc.listen("127.0.0.1", 0)}`);
    session.on("error", () => {});
    const call = session.request({
      ":method": "POST",
      ":path": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
      "content-type": "application/grpc",
    });
    call.on("error", () => {});
    call.write(Buffer.alloc(5, 1));
    await until("the call to be in memory", async () => (await metric("tidemark_ingest_receiving_bytes")) >= 10);
    const late = open();
    await until("the connection", () => late.socket.readyState === "open");
    const closing = app.close();
    late.socket.write(head({ "content-type": PROTOBUF, "content-length": 0 }));
    await until("the reply", () => late.text().includes("TDM_INGEST_STOPPING"));
    expect(late.text()).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 2/);
    socket.write(body.subarray(5));
    await until("the other reply", () => text().includes("HTTP/1.1 200"));
    session.destroy();
    await closing;
  });
});

describe("repeated requests over HTTP", () => {
  test("equal bytes whose reply was delivered are new data", async () => {
    await listen();
    const body = message(1);
    for (let i = 0; i < 2; i++) {
      const reply = await fetch(`http://127.0.0.1:${port}/v1/metrics`, {
        method: "POST",
        headers: { "content-type": PROTOBUF },
        body: new Uint8Array(body),
      });
      expect(reply.status).toBe(200);
    }
    expect(await acknowledged()).toBe(2);
  });

  test("a request whose sender left before the reply is not stored twice when it comes again", async () => {
    await listen();
    const body = message(1);
    const { socket } = open();
    socket.write(
      Buffer.concat([Buffer.from(head({ "content-type": PROTOBUF, "content-length": body.length })), body]),
      () => socket.resetAndDestroy(),
    );
    await until("the data to be durable", async () => (await acknowledged()) === 1);
    const again = await post({ headers: { "content-type": PROTOBUF }, payload: body });
    expect(again.statusCode).toBe(200);
    expect(await acknowledged()).toBe(1);
    expect(await metric("tidemark_ingest_repeated_requests_total")).toBe(1);
  });
});
