import { deflateSync, gzipSync } from "node:zlib";
import type { FastifyInstance, InjectOptions } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildApp, type Config } from "../src/index.ts";
import {
  attribute,
  decode,
  EXPORT_REPLY,
  encode,
  gauge,
  LOGS,
  METRICS,
  metricsRequest,
  nanos,
  STATUS,
  TRACES,
} from "./otlp-messages.ts";
import { temporaryDirectory, until } from "./processes.ts";
import { randomSource } from "./random.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const DAY_MS = 86_400_000;
const PROTOBUF = { "content-type": "application/x-protobuf" };
const JSON_TYPE = { "content-type": "application/json" };
/** Nobody listens there: the ingest has to do without a database. */
const NO_CLICKHOUSE = "http://tidemark:x@127.0.0.1:9/tidemark";

let app: FastifyInstance;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

async function build(config: Partial<Config> = {}): Promise<void> {
  app = await buildApp(
    { dataDirectory: directory.path, clickhouseUrl: NO_CLICKHOUSE, logLevel: "silent", ...config },
    { now: () => NOW },
  );
}

const post = (options: InjectOptions) => app.inject({ method: "POST", url: "/v1/metrics", ...options });
const body = (...metrics: object[]) => encode(METRICS, metricsRequest(metrics));

async function metric(name: string): Promise<number> {
  const { payload } = await app.inject({ url: "/metrics" });
  return payload
    .split("\n")
    .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ""))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  await app?.close();
  await directory.remove();
});

describe("OTLP replies", () => {
  beforeEach(() => build());

  test("acknowledges protobuf with an empty message, in protobuf", async () => {
    const reply = await post({ headers: PROTOBUF, payload: body(gauge("m", 1, NOW)) });
    expect(reply.statusCode).toBe(200);
    expect(reply.headers["content-type"]).toBe("application/x-protobuf");
    expect(reply.rawPayload).toHaveLength(0);
    expect(await metric("tidemark_ingest_acknowledged_points_total")).toBe(1);
  });

  test("acknowledges JSON in JSON, with a charset too", async () => {
    const reply = await post({
      headers: { "content-type": "application/json; charset=utf-8" },
      payload: JSON.stringify(metricsRequest([gauge("m", 1, NOW)])),
    });
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({});
  });

  test("takes gzip and deflate", async () => {
    for (const [encoding, compress] of [
      ["gzip", gzipSync],
      ["deflate", deflateSync],
    ] as const) {
      const payload = compress(body(gauge(`m.${encoding}`, 1, NOW)));
      const reply = await post({ headers: { ...PROTOBUF, "content-encoding": encoding }, payload });
      expect(reply.statusCode, encoding).toBe(200);
    }
    expect(await metric("tidemark_ingest_acknowledged_points_total")).toBe(2);
  });

  test("takes an empty request", async () => {
    expect((await post({ headers: PROTOBUF, payload: Buffer.alloc(0) })).statusCode).toBe(200);
    expect((await post({ headers: JSON_TYPE, payload: "{}" })).statusCode).toBe(200);
  });

  test("keeps the good part and says what it rejected and why", async () => {
    const payload = body(
      gauge("good", 1, NOW),
      gauge("old", 1, NOW - 16 * DAY_MS),
      gauge("ahead", 1, NOW + 8 * DAY_MS),
      gauge("nan", Number.NaN, NOW),
      { name: "nothing", gauge: { dataPoints: [{ timeUnixNano: nanos(NOW) }] } },
      gauge("", 1, NOW),
      {
        name: "h",
        histogram: { dataPoints: [{ timeUnixNano: nanos(NOW), bucketCounts: [1, 2], explicitBounds: [1, 2] }] },
      },
    );
    const reply = await post({ headers: PROTOBUF, payload });
    expect(reply.statusCode).toBe(200);
    const { partialSuccess } = decode(EXPORT_REPLY, reply.rawPayload) as {
      partialSuccess: { rejected: string; errorMessage: string };
    };
    expect(partialSuccess.rejected).toBe("6");
    expect(partialSuccess.errorMessage).toContain("1 older than the retention");
    expect(partialSuccess.errorMessage).toContain("1 more than 7 days in the future");
    expect(partialSuccess.errorMessage).toContain("not a finite number");
    expect(await metric("tidemark_ingest_acknowledged_points_total")).toBe(1);
    expect(await metric("tidemark_ingest_rejected_points_total")).toBe(6);
  });

  test("names the rejected records of each signal in JSON as OTLP does", async () => {
    const spans = { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: "00", spanId: "00", name: "x" }] }] }] };
    const traces = await post({ url: "/v1/traces", headers: JSON_TYPE, payload: JSON.stringify(spans) });
    expect(traces.json().partialSuccess.rejectedSpans).toBe("1");
    const records = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: nanos(0, 1) }] }] }] };
    const logs = await post({ url: "/v1/logs", headers: JSON_TYPE, payload: JSON.stringify(records) });
    expect(logs.json().partialSuccess.rejectedLogRecords).toBe("1");
  });

  test("answers a malformed or truncated body with 400 and a Status in its encoding", async () => {
    const whole = body(gauge("m", 1, NOW));
    const truncated = await post({ headers: PROTOBUF, payload: whole.subarray(0, whole.length - 3) });
    expect(truncated.statusCode).toBe(400);
    expect(truncated.headers["content-type"]).toBe("application/x-protobuf");
    const status = decode(STATUS, truncated.rawPayload) as { code: number; message: string };
    expect(status.code).toBe(3);
    expect(status.message).toMatch(/length runs past the end/);
    for (const payload of ["{", "[]", "null", '{"resourceMetrics":{}}']) {
      const reply = await post({ headers: JSON_TYPE, payload });
      expect(reply.statusCode, payload).toBe(400);
      expect(reply.json()).toMatchObject({
        code: 3,
        details: [
          { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "TDM_INGEST_MALFORMED_BODY" },
          { "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: [{ field: "body" }] },
        ],
      });
    }
    const broken = await post({
      headers: { ...PROTOBUF, "content-encoding": "gzip" },
      payload: Buffer.from("no gzip"),
    });
    expect(broken.statusCode).toBe(400);
    expect(await metric("tidemark_ingest_acknowledged_points_total")).toBe(0);
  });

  test("answers 415, 405 and 404 with a Status", async () => {
    const csv = await post({ headers: { "content-type": "text/csv" }, payload: "a,b" });
    expect(csv.statusCode).toBe(415);
    expect(csv.json()).toMatchObject({ code: 3, details: [{ reason: "TDM_INGEST_WRONG_CONTENT_TYPE" }] });
    expect((await post({ payload: Buffer.from("x"), headers: {} })).statusCode).toBe(415);
    const brotli = await post({ headers: { ...PROTOBUF, "content-encoding": "br" }, payload: Buffer.from("x") });
    expect(brotli.statusCode).toBe(415);
    const get = await app.inject({ method: "GET", url: "/v1/metrics" });
    expect([get.statusCode, get.headers.allow]).toEqual([405, "POST"]);
    expect((await app.inject({ method: "POST", url: "/v1/profiles", headers: PROTOBUF })).statusCode).toBe(404);
  });

  test("reports health, readiness and metrics while ClickHouse is away", async () => {
    expect((await app.inject({ url: "/healthz" })).statusCode).toBe(200);
    const ready = await until("ClickHouse to be found away", async () => {
      const reply = await app.inject({ url: "/readyz" });
      expect(reply.statusCode).toBe(503);
      return reply.json().clickhouse === "unreachable" && reply.json();
    });
    expect(ready).toMatchObject({ status: "ClickHouse does not take data" });
    const { payload } = await app.inject({ url: "/metrics" });
    expect(payload).toContain("tidemark_ingest_queue_bytes");
    expect(payload).toContain("tidemark_ingest_clickhouse_up 0");
    expect(payload).toContain("tidemark_ingest_series_id_collisions_total 0");
  });
});

describe("limits", () => {
  test("refuses a body over the limit, announced or not", async () => {
    await build({ maxBodyBytes: 2000 });
    const reply = await post({ headers: PROTOBUF, payload: Buffer.alloc(2001) });
    expect(reply.statusCode).toBe(413);
    expect((decode(STATUS, reply.rawPayload) as { code: number }).code).toBe(8);
  });

  test("refuses a small body that unpacks to a huge one without unpacking it", async () => {
    await build({ maxDecompressedBytes: 100_000 });
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const reply = await post({ headers: { ...PROTOBUF, "content-encoding": "gzip" }, payload: bomb });
    expect(reply.statusCode).toBe(413);
    expect(decode(STATUS, reply.rawPayload)).toMatchObject({ message: expect.stringContaining("decompressed") });
  });

  test("asks senders to come back when too many bytes are under way", async () => {
    await build({ maxReceivingBytes: 1024 });
    const reply = await post({ headers: PROTOBUF, payload: Buffer.alloc(1025) });
    expect([reply.statusCode, reply.headers["retry-after"]]).toEqual([429, "2"]);
  });

  test("asks senders to come back when the log is full, and keeps what it has", async () => {
    await build({ logQuotaBytes: 4096 });
    let acknowledged = 0;
    for (;;) {
      const reply = await post({ headers: PROTOBUF, payload: body(gauge("m", acknowledged, NOW)) });
      if (reply.statusCode === 503) {
        expect(reply.headers["retry-after"]).toBe("2");
        expect(decode(STATUS, reply.rawPayload)).toMatchObject({ code: 14 });
        break;
      }
      expect(reply.statusCode).toBe(200);
      acknowledged++;
      expect(acknowledged).toBeLessThan(100);
    }
    expect(acknowledged).toBeGreaterThan(0);
    expect(await metric("tidemark_ingest_acknowledged_points_total")).toBe(acknowledged);
  });
});

describe("tokens", () => {
  test("asks for the token on OTLP paths and takes nothing else", async () => {
    await build({ token: "correct-horse" });
    const payload = body(gauge("m", 1, NOW));
    for (const authorization of [
      undefined,
      "Bearer wrong-horse",
      "Bearer ",
      "Basic Y29ycmVjdC1ob3JzZQ==",
      "correct-horse",
    ]) {
      const reply = await post({ headers: { ...PROTOBUF, ...(authorization && { authorization }) }, payload });
      expect(reply.statusCode, authorization).toBe(401);
      expect(decode(STATUS, reply.rawPayload)).toMatchObject({ code: 16 });
    }
    const reply = await post({ headers: { ...PROTOBUF, authorization: "bearer correct-horse" }, payload });
    expect(reply.statusCode).toBe(200);
    expect((await app.inject({ url: "/healthz" })).statusCode).toBe(200);
  });
});

describe("mutated bodies", () => {
  test("3,000 of them cause no 5xx and no crash", async () => {
    await build();
    const random = randomSource(7);
    const seeds: [string, Buffer, Record<string, string>][] = [
      [
        "/v1/metrics",
        encode(
          METRICS,
          metricsRequest([
            gauge("m", 1.5, NOW, [attribute("a", "b"), attribute("n", 4)]),
            {
              name: "e",
              exponentialHistogram: {
                aggregationTemporality: 1,
                dataPoints: [
                  { timeUnixNano: nanos(NOW), count: 3, scale: 4, positive: { offset: -3, bucketCounts: [1, 2] } },
                ],
              },
            },
          ]),
        ),
        PROTOBUF,
      ],
      [
        "/v1/traces",
        encode(TRACES, {
          resourceSpans: [
            {
              scopeSpans: [
                {
                  spans: [
                    {
                      traceId: Buffer.alloc(16, 1),
                      spanId: Buffer.alloc(8, 2),
                      name: "s",
                      startTimeUnixNano: nanos(NOW),
                      endTimeUnixNano: nanos(NOW + 5),
                      attributes: [attribute("k", "v")],
                      events: [{ name: "e" }],
                      status: { code: 2, message: "bad" },
                    },
                  ],
                },
              ],
            },
          ],
        }),
        PROTOBUF,
      ],
      [
        "/v1/logs",
        encode(LOGS, {
          resourceLogs: [
            {
              scopeLogs: [
                {
                  scope: { name: "l" },
                  logRecords: [
                    {
                      timeUnixNano: nanos(NOW),
                      body: { kvlistValue: { values: [attribute("k", 1)] } },
                      attributes: [attribute("event.name", "x")],
                    },
                  ],
                },
              ],
            },
          ],
        }),
        PROTOBUF,
      ],
      [
        "/v1/metrics",
        Buffer.from(JSON.stringify(metricsRequest([gauge("m", 1.5, NOW, [attribute("a", true)])]))),
        JSON_TYPE,
      ],
    ];
    const statuses = new Map<number, number>();
    for (let i = 0; i < 3000; i++) {
      const [url, seed, headers] = seeds[i % seeds.length]!;
      let mutated = Buffer.from(seed);
      for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
        const at = Math.floor(random() * mutated.length);
        const kind = random();
        if (kind < 0.6) mutated[at] = Math.floor(random() * 256);
        else if (kind < 0.75) mutated = mutated.subarray(0, at);
        else if (kind < 0.9)
          mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(Math.floor(random() * mutated.length))]);
        else mutated = Buffer.concat([mutated.subarray(0, at), Buffer.alloc(9, 0xff), mutated.subarray(at)]);
      }
      const reply = await app.inject({ method: "POST", url, headers, payload: mutated });
      statuses.set(reply.statusCode, (statuses.get(reply.statusCode) ?? 0) + 1);
    }
    expect([...statuses.keys()].sort()).toEqual([200, 400]);
    expect(statuses.get(400)).toBeGreaterThan(300);
    expect(statuses.get(200)).toBeGreaterThan(300);
  });
});
