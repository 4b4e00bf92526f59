import { type ClientHttp2Session, connect } from "node:http2";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { Client, type ClientOptions, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Replacements } from "../src/app.ts";
import { buildApp, type Config } from "../src/index.ts";
import { decode, EXPORT_REPLY, encode, gauge, LOGS, METRICS, metricsRequest, STATUS, TRACES } from "./otlp-messages.ts";
import { temporaryDirectory, until } from "./processes.ts";
import { randomSource } from "./random.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const DAY_MS = 86_400_000;
const NO_CLICKHOUSE = "http://tidemark:x@127.0.0.1:9/tidemark";
const METRICS_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS_EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const DEFLATE = 1;
const GZIP = 2;

let app: FastifyInstance;
let port: number;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const clients: Client[] = [];
const sessions: ClientHttp2Session[] = [];

async function listen(config: Partial<Config> = {}, replacements: Replacements = {}): Promise<void> {
  app = await buildApp(
    { dataDirectory: directory.path, clickhouseUrl: NO_CLICKHOUSE, logLevel: "silent", ...config },
    { now: () => NOW, ...replacements },
  );
  port = await app.grpc.listen("127.0.0.1", 0);
}

function client(options: ClientOptions = {}): Client {
  const made = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.enable_retries": 0, ...options });
  clients.push(made);
  return made;
}

interface Answer {
  readonly code: number;
  readonly reply: Buffer;
  readonly message: string;
  readonly trailer: Metadata;
}

interface CallOptions {
  readonly metadata?: Record<string, string>;
  readonly deadline?: number;
  readonly using?: Client;
}

function call(path: string, body: Buffer, { metadata = {}, deadline, using = client() }: CallOptions = {}) {
  const headers = new Metadata();
  for (const [key, value] of Object.entries(metadata)) headers.set(key, value);
  const asIs = (bytes: Buffer) => bytes;
  return new Promise<Answer>((resolve) => {
    using.makeUnaryRequest(
      path,
      asIs,
      asIs,
      body,
      headers,
      deadline === undefined ? {} : { deadline },
      (error: ServiceError | null, reply?: Buffer) =>
        resolve({
          code: error?.code ?? status.OK,
          reply: reply ?? Buffer.alloc(0),
          message: error?.details ?? "",
          trailer: error?.metadata ?? new Metadata(),
        }),
    );
  });
}

/** The `google.rpc.Status` of a failed call, with the short names of its details. */
function detailsOf({ trailer }: Answer): { code: number; message: string; reason: string; types: string[] } {
  const [bytes] = trailer.get("grpc-status-details-bin");
  const { code, message, details } = decode(STATUS, bytes as Buffer) as {
    code: number;
    message: string;
    details: { typeUrl: string; value: Uint8Array }[];
  };
  const info = Buffer.from(details[0]!.value);
  return {
    code,
    message,
    reason: info.subarray(2, 2 + info[1]!).toString(),
    types: details.map(({ typeUrl }) => typeUrl.slice(typeUrl.lastIndexOf(".") + 1)),
  };
}

/** A call whose message the test writes piece by piece, with the first bytes of its length prefix. */
function begin(announcedBytes: number, headers: Record<string, string> = {}, compressed = 0) {
  const session = connect(`http://127.0.0.1:${port}`);
  sessions.push(session);
  session.on("error", () => {});
  const stream = session.request({
    ":method": "POST",
    ":path": METRICS_EXPORT,
    "content-type": "application/grpc+proto",
    te: "trailers",
    ...headers,
  });
  const ended = new Promise<Record<string, unknown>>((resolve) => {
    let headers: Record<string, unknown> = {};
    stream.on("response", (received) => {
      headers = { ...received };
    });
    stream.on("trailers", (received) => {
      headers = { ...headers, ...received };
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve(headers));
    stream.resume();
  });
  const prefix = Buffer.alloc(5, compressed);
  prefix.writeUInt32BE(announcedBytes, 1);
  stream.write(prefix);
  return { session, stream, ended };
}

const body = (...metrics: object[]) => encode(METRICS, metricsRequest(metrics));

async function metric(name: string, labels = ""): Promise<number> {
  const { payload } = await app.inject({ url: "/metrics" });
  return payload
    .split("\n")
    .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? "") && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
const acknowledged = () => metric("tidemark_ingest_acknowledged_points_total");

beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  for (const open of clients.splice(0)) open.close();
  for (const session of sessions.splice(0)) session.destroy();
  await app?.close();
  await directory.remove();
});

describe("OTLP/gRPC", () => {
  test("the Export methods of metrics, traces and logs acknowledge with an empty message", async () => {
    await listen();
    const spans = {
      resourceSpans: [
        { scopeSpans: [{ spans: [{ traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 2), name: "s" }] }] },
      ],
    };
    const records = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: "x" } }] }] }] };
    const using = client();
    for (const [path, message] of [
      [METRICS_EXPORT, body(gauge("m", 1, NOW))],
      [TRACES_EXPORT, encode(TRACES, spans)],
      [LOGS_EXPORT, encode(LOGS, records)],
    ] as const) {
      const { code, reply } = await call(path, message, { using });
      expect([code, reply.length], path).toEqual([status.OK, 0]);
    }
    expect(await acknowledged()).toBe(3);
    await until("the calls to be counted", async () => {
      return (await metric("tidemark_ingest_requests_total", 'protocol="grpc"')) === 3;
    });
    expect(await metric("tidemark_ingest_requests_total", 'status="OK"')).toBe(3);
  });

  test("an empty gRPC request is a success", async () => {
    await listen();
    const { code, reply } = await call(METRICS_EXPORT, Buffer.alloc(0));
    expect([code, reply.length]).toEqual([status.OK, 0]);
  });

  test("a gRPC message may be compressed with gzip or deflate, and with nothing else", async () => {
    await listen();
    const message = body(...Array.from({ length: 200 }, (_, i) => gauge("m", i, NOW - i)));
    for (const algorithm of [DEFLATE, GZIP]) {
      const using = client({ "grpc.default_compression_algorithm": algorithm });
      expect((await call(METRICS_EXPORT, message, { using })).code).toBe(status.OK);
    }
    expect(await acknowledged()).toBe(400);
    const received = await metric("tidemark_ingest_received_bytes_total");
    expect(received).toBeGreaterThan(200);
    expect(received).toBeLessThan(message.length / 2);
    const other = begin(3, { "grpc-encoding": "zstd" }, 1);
    other.stream.end(Buffer.from("abc"));
    expect(await other.ended).toMatchObject({ "grpc-status": String(status.UNIMPLEMENTED) });
  });

  test("a gRPC reply says how many points were rejected and why", async () => {
    await listen();
    const { code, reply } = await call(
      METRICS_EXPORT,
      body(gauge("m", 1, NOW), gauge("old", 1, NOW - 16 * DAY_MS), gauge("nan", Number.NaN, NOW)),
    );
    expect(code).toBe(status.OK);
    const { partialSuccess } = decode(EXPORT_REPLY, reply) as {
      partialSuccess: { rejected: string; errorMessage: string };
    };
    expect(partialSuccess.rejected).toBe("2");
    expect(partialSuccess.errorMessage).toContain("1 older than the retention");
    expect(await acknowledged()).toBe(1);
  });

  test("a message that cannot be read is INVALID_ARGUMENT with a BadRequest", async () => {
    await listen();
    const whole = body(gauge("m", 1, NOW));
    const answer = await call(METRICS_EXPORT, whole.subarray(0, whole.length - 3));
    expect(answer.code).toBe(status.INVALID_ARGUMENT);
    expect(answer.message).toMatch(/length runs past the end/);
    expect(detailsOf(answer)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      reason: "TDM_INGEST_MALFORMED_BODY",
      types: ["ErrorInfo", "BadRequest"],
    });
    expect(await acknowledged()).toBe(0);
  });

  test("a gRPC call without the token is UNAUTHENTICATED before its message is read", async () => {
    await listen({ token: "correct-horse" });
    const message = body(gauge("m", 1, NOW));
    for (const authorization of [undefined, "Bearer wrong-horse", "correct-horse"]) {
      const answer = await call(METRICS_EXPORT, message, { metadata: authorization ? { authorization } : {} });
      expect(answer.code, authorization).toBe(status.UNAUTHENTICATED);
      expect(detailsOf(answer)).toMatchObject({ reason: "TDM_INGEST_UNAUTHORIZED", types: ["ErrorInfo"] });
    }
    const refused = begin(1_000_000);
    expect(await refused.ended).toMatchObject({ "grpc-status": String(status.UNAUTHENTICATED) });
    expect(await metric("tidemark_ingest_received_bytes_total")).toBe(0);
    const right = await call(METRICS_EXPORT, message, { metadata: { authorization: "Bearer correct-horse" } });
    expect(right.code).toBe(status.OK);
  });

  test("an unknown gRPC method is UNIMPLEMENTED", async () => {
    await listen();
    const path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    expect((await call(path, Buffer.alloc(0))).code).toBe(status.UNIMPLEMENTED);
  });

  test("a gRPC message over the limit is RESOURCE_EXHAUSTED without a RetryInfo, as sent and as unpacked", async () => {
    await listen({ maxBodyBytes: 2000, maxDecompressedBytes: 100_000 });
    const sent = await call(METRICS_EXPORT, Buffer.alloc(50_000));
    expect(sent.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(detailsOf(sent)).toMatchObject({ reason: "TDM_INGEST_BODY_TOO_LARGE", types: ["ErrorInfo"] });
    const using = client({ "grpc.default_compression_algorithm": GZIP });
    const unpacked = await call(METRICS_EXPORT, Buffer.alloc(400_000), { using });
    expect(unpacked.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(unpacked.message).toContain("100000");
    expect(unpacked.trailer.get("grpc-status-details-bin")).toEqual([]);
    expect(await acknowledged()).toBe(0);
  });

  test("half-sent gRPC messages count against the memory limit, and the one too many is UNAVAILABLE", async () => {
    await listen({ maxReceivingBytes: 300_000 });
    const slow = begin(200_000);
    slow.stream.write(Buffer.alloc(190_000));
    await until("it to be in memory", async () => (await metric("tidemark_ingest_receiving_bytes")) >= 190_000);
    const tooMany = await call(METRICS_EXPORT, Buffer.alloc(150_000));
    expect(tooMany.code).toBe(status.UNAVAILABLE);
    expect(detailsOf(tooMany)).toMatchObject({ reason: "TDM_INGEST_TOO_BUSY", types: ["ErrorInfo", "RetryInfo"] });
    expect((await call(METRICS_EXPORT, body(gauge("m", 1, NOW)))).code).toBe(status.OK);
    slow.session.destroy();
    await until("the memory to be free again", async () => (await metric("tidemark_ingest_receiving_bytes")) === 0);
    expect((await call(METRICS_EXPORT, Buffer.alloc(150_000))).code).toBe(status.INVALID_ARGUMENT);
  });

  test("a gRPC message that does not arrive in time is DEADLINE_EXCEEDED", async () => {
    await listen({}, { receiveTimeoutMs: 50 });
    const slow = begin(1000);
    expect(await slow.ended).toMatchObject({ "grpc-status": String(status.DEADLINE_EXCEEDED) });
  });

  test("a full log is UNAVAILABLE with a RetryInfo", async () => {
    await listen({ logQuotaBytes: 4096 });
    const using = client();
    let sent = 0;
    let answer: Answer;
    do answer = await call(METRICS_EXPORT, body(gauge("m", sent++, NOW)), { using });
    while (answer.code === status.OK && sent < 200);
    expect(answer.code).toBe(status.UNAVAILABLE);
    expect(detailsOf(answer)).toMatchObject({ reason: "TDM_INGEST_LOG_FULL", types: ["ErrorInfo", "RetryInfo"] });
    expect(await acknowledged()).toBe(sent - 1);
  });

  test("a gRPC request whose sender left before the reply is not stored twice when it comes again", async () => {
    await listen();
    const message = body(gauge("m", 1, NOW));
    const first = begin(message.length);
    first.stream.end(message);
    // The data is durable, or about to be, and nobody is there to hear of it.
    await new Promise<void>((resolve) => first.stream.on("finish", resolve));
    first.session.destroy();
    await until("the data to be durable", async () => (await acknowledged()) === 1);
    await until("the broken call to be noticed", () => metric("tidemark_ingest_requests_total", 'status="CANCELLED"'));
    expect((await call(METRICS_EXPORT, message)).code).toBe(status.OK);
    expect(await acknowledged()).toBe(1);
    expect(await metric("tidemark_ingest_repeated_requests_total")).toBe(1);
  });

  test("many gRPC calls share one connection, and the ones beyond 100 wait for their turn", async () => {
    await listen();
    const using = client();
    const answers = await Promise.all(
      Array.from({ length: 250 }, (_, i) => call(METRICS_EXPORT, body(gauge("m", i, NOW)), { using })),
    );
    expect(answers.filter(({ code }) => code === status.OK)).toHaveLength(250);
    expect(await acknowledged()).toBe(250);
    const { session } = begin(1);
    await until("the settings", () => session.remoteSettings.maxConcurrentStreams === 100);
  });

  test("a gRPC call that has begun is answered while the ingest stops, a new one is refused", async () => {
    await listen();
    const message = body(gauge("m", 1, NOW));
    const begun = begin(message.length);
    begun.stream.write(message.subarray(0, 5));
    const idle = client();
    expect((await call(METRICS_EXPORT, body(gauge("other", 1, NOW)), { using: idle })).code).toBe(status.OK);
    const closing = app.close();
    await until("the port to be closed", () => refuses(port));
    begun.stream.end(message.subarray(5));
    expect(await begun.ended).toMatchObject({ "grpc-status": "0" });
    await closing;
    const late = await call(METRICS_EXPORT, message, { using: idle, deadline: Date.now() + 2000 });
    expect(late.code).toBe(status.UNAVAILABLE);
  });

  test("what is no gRPC closes no one else's connection", async () => {
    await listen();
    const using = client();
    expect((await call(METRICS_EXPORT, body(gauge("m", 1, NOW)), { using })).code).toBe(status.OK);
    const random = randomSource(3);
    for (const garbage of [
      Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      Buffer.from(Array.from({ length: 4096 }, () => Math.floor(random() * 256))),
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connectTcp(port, "127.0.0.1", () => socket.end(garbage));
        socket.on("error", () => {});
        socket.on("close", () => resolve());
        socket.resume();
      });
    }
    expect((await call(METRICS_EXPORT, body(gauge("m", 2, NOW)), { using })).code).toBe(status.OK);
  });

  test("1,000 mutated gRPC messages are answered OK or INVALID_ARGUMENT", async () => {
    await listen();
    const using = client();
    const random = randomSource(11);
    const seed = body(gauge("m", 1.5, NOW), gauge("n", 2, NOW));
    const codes = new Map<number, number>();
    for (let i = 0; i < 1000; i++) {
      const mutated = Buffer.from(seed);
      for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
        mutated[Math.floor(random() * mutated.length)] = Math.floor(random() * 256);
      }
      const { code } = await call(METRICS_EXPORT, mutated, { using });
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect([...codes.keys()].sort()).toEqual([status.OK, status.INVALID_ARGUMENT]);
    expect(codes.get(status.INVALID_ARGUMENT)).toBeGreaterThan(50);
  });
});

test("a taken gRPC port is an EADDRINUSE", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await until("the port", () => server.listening);
  app = await buildApp({ dataDirectory: directory.path, clickhouseUrl: NO_CLICKHOUSE, logLevel: "silent" });
  const taken = (server.address() as AddressInfo).port;
  await expect(app.grpc.listen("127.0.0.1", taken)).rejects.toMatchObject({ code: "EADDRINUSE" });
  server.close();
});

function refuses(at: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(at, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on("error", () => resolve(true));
  });
}
