import { expect, test } from "vitest";
import type { Signal } from "../../src/otlp/reply.ts";
import { Decoder } from "../../src/rows/decoder.ts";
import { encode, LOGS, METRICS, nanos, TRACES } from "../otlp-messages.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const S3CRET = "s3cret";
const MESSAGES = { metrics: METRICS, traces: TRACES, logs: LOGS };

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const map = (key: string, ...values: object[]) => ({ key, value: { kvlistValue: { values } } });
/** Every kind of attribute that must not be stored as it is. */
const secrets = [
  text("user.password", S3CRET),
  text("http.request.header.authorization", `Bearer ${S3CRET}`),
  { key: "http.request.header.cookie", value: { arrayValue: { values: [{ stringValue: S3CRET }] } } },
  text("url.full", `https://u:${S3CRET}@shop.example/a?t=${S3CRET}#${S3CRET}`),
  text("url.query", `t=${S3CRET}`),
  map(
    "request",
    text("password", S3CRET),
    map("nested", text("db.statement", `select '${S3CRET}'`)),
    text("safe", "kept"),
  ),
  text("employee", S3CRET),
];
const statement = `select "name" from t where a = '${S3CRET}'`;
const query = [text("db.query.text", statement), text("db.statement", statement), text("db.system.name", "postgresql")];
const clean = 'select "name" from t where a = ?';

/** The blocks of one request, sent in both encodings: all that reaches the log and ClickHouse. */
function decode(signal: Signal, scopeKey: string, scoped: object, resource: object[] = secrets) {
  const options = { retentionDays: 15, maxSeries: 1000, denyAttributes: ["employ*"], now: () => NOW };
  const name = { metrics: "resourceMetrics", traces: "resourceSpans", logs: "resourceLogs" }[signal];
  const message = {
    [name]: [{ resource: { attributes: [text("service.name", "shop"), ...resource] }, [scopeKey]: [scoped] }],
  };
  const asJson = Buffer.from(
    JSON.stringify(message, (_key, value) =>
      value?.type === "Buffer" ? Buffer.from(value.data).toString("hex") : value,
    ),
  );
  const json = new Decoder(options).decode(signal, "json", asJson);
  const decoded = new Decoder(options).decode(signal, "protobuf", encode(MESSAGES[signal], message));
  const [stored, same] = [decoded, json].map(({ blocks }) =>
    Buffer.concat(blocks.map(({ bytes }) => bytes)).toString("utf8"),
  );
  expect(same).toBe(stored);
  return { decoded, stored: stored! };
}

test("nothing secret of a span reaches a block: attributes of resource, span, events and links, its name, its query", () => {
  const span = {
    traceId: Buffer.alloc(16, 1),
    spanId: Buffer.alloc(8, 1),
    name: statement,
    kind: 3,
    startTimeUnixNano: nanos(NOW),
    endTimeUnixNano: nanos(NOW + 1),
    attributes: [...secrets, ...query],
    events: [{ timeUnixNano: nanos(NOW), name: "e", attributes: [...secrets, ...query] }],
    links: [{ traceId: Buffer.alloc(16, 2), spanId: Buffer.alloc(8, 2), attributes: secrets }],
  };
  const { decoded, stored } = decode("traces", "scopeSpans", { scope: { name: "lib" }, spans: [span] });
  expect(decoded.points).toBe(1);
  expect(stored).not.toContain(S3CRET);
  expect(stored).not.toContain("authorization");
  expect(stored).toContain(clean);
  expect(stored).toContain("https://REDACTED:REDACTED@shop.example/a?t=REDACTED#REDACTED");
  expect(stored).toContain('{"nested":{"db.statement":"select ?"},"safe":"kept"}');
  expect(Object.keys(Object.fromEntries(decoded.scrubbedBy)).sort()).toEqual(["denied", "literals", "url"]);
});

test("a span's name that is no SQL and no URL with a query stays as it is", () => {
  const named = (name: string) => ({
    traceId: Buffer.alloc(16, 1),
    spanId: Buffer.alloc(8, 1),
    name,
    startTimeUnixNano: nanos(NOW),
  });
  const names = ["GET /books/{id}", "SELECT shop.books", "select-items 42", "a".repeat(300), "POST", "who? me=you"];
  const cleaned = [
    `GET /a?t=${S3CRET}`,
    `https://shop.example/?${S3CRET}`,
    `INSERT into t values ('${S3CRET}', '${"x".repeat(200)}')`,
  ];
  const { stored } = decode("traces", "scopeSpans", { spans: [...names, ...cleaned].map(named) }, []);
  for (const name of [...names, "GET /a?t=REDACTED", "https://shop.example/?REDACTED", "INSERT into t values (?)"]) {
    expect(stored).toContain(name);
  }
  expect(stored).not.toContain(S3CRET);
});

test("nothing secret of a log record reaches a block: attributes of resource, scope and record, and a structured body", () => {
  const record = {
    timeUnixNano: nanos(NOW),
    body: { kvlistValue: { values: [...secrets, text("message", "kept")] } },
    attributes: [...secrets, ...query],
  };
  const { decoded, stored } = decode("logs", "scopeLogs", {
    scope: { name: "lib", attributes: secrets },
    logRecords: [record],
  });
  expect(decoded.points).toBe(1);
  expect(stored).not.toContain(S3CRET);
  expect(stored).toContain(clean);
  expect(stored).toContain('"message":"kept"');
});

test("nothing secret of a metric reaches a block: attributes of resource and points, of a series and of a query's timing", () => {
  const times = { timeUnixNano: nanos(NOW), startTimeUnixNano: nanos(NOW - 1000) };
  const point = { ...times, attributes: [...secrets, ...query] };
  const metrics = [
    { name: "m", gauge: { dataPoints: [{ ...point, asDouble: 1 }] } },
    {
      name: "db.client.operation.duration",
      unit: "s",
      exponentialHistogram: {
        aggregationTemporality: 1,
        dataPoints: [{ ...point, count: 1, sum: 0.1, scale: 4, positive: { offset: 0, bucketCounts: [1] } }],
      },
    },
  ];
  const { decoded, stored } = decode("metrics", "scopeMetrics", { scope: { name: "lib" }, metrics });
  expect(decoded.points).toBe(2);
  expect(stored).not.toContain(S3CRET);
  expect(stored).toContain(clean);
});

test("statements that differ only in their values are one series and one statement", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  const point = (i: number) => ({
    timeUnixNano: nanos(NOW),
    asDouble: i,
    attributes: [text("db.query.text", `select * from t where id = ${i}`), text("db.system.name", "postgresql")],
  });
  const metrics = [{ name: "m", gauge: { dataPoints: Array.from({ length: 100 }, (_, i) => point(i)) } }];
  const { blocks } = decoder.decode(
    "metrics",
    "protobuf",
    encode(METRICS, { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }),
  );
  expect(blocks.map(({ rows }) => rows)).toEqual([1, 100]);
});
