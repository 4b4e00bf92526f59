import { join } from "node:path";
import { migrate } from "@tidemark/store";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildApp } from "../src/index.ts";
import { encode, LOGS, TRACES } from "./otlp-messages.ts";
import { Engine, temporaryDirectory, until } from "./processes.ts";
import { randomSource } from "./random.ts";

const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUSES = ["Unset", "Ok", "Error"];
const RECORDS = 150;

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let engine: Engine;

beforeAll(async () => {
  directory = await temporaryDirectory();
  engine = new Engine(join(directory.path, "engine"));
  await engine.start();
  await migrate(engine.url);
});
afterAll(async () => {
  await engine.stop();
  await directory.remove();
});

const random = randomSource(11);
const below = (n: number) => Math.floor(random() * n);
const times = <T>(n: number, make: (i: number) => T) => Array.from({ length: below(n + 1) }, (_, i) => make(i));
const word = () => ["", "plain", "größe", "\u{1F600}", "a\nb\tc\\d'e\"f", "x".repeat(below(300))][below(6)]!;
const id = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => 1 + below(255)));
const now = Date.now();
const nanos = (ms: number) => BigInt(ms) * 1_000_000n + BigInt(below(1_000_000));

/** Attributes, and the labels they become. Keys are distinct, as OTLP demands. */
function attributes(): { sent: object[]; stored: Record<string, string> } {
  const stored: Record<string, string> = {};
  const sent = times(5, (i) => {
    const key = `${["k", "größe", "http.route"][below(3)]}.${i}`;
    const text = word();
    const options: [object, string][] = [
      [{ stringValue: text }, text],
      [{ intValue: "-9007199254740993" }, "-9007199254740993"],
      [{ boolValue: true }, "true"],
      [{ doubleValue: 0.1 }, "0.1"],
      [{ bytesValue: Buffer.from([0, 255]) }, "AP8="],
      [{ arrayValue: { values: [{ stringValue: text }, { intValue: 3 }, {}] } }, JSON.stringify([text, 3, null])],
      [{ kvlistValue: { values: [{ key: "a", value: { boolValue: false } }] } }, '{"a":false}'],
      [{}, ""],
    ];
    const [value, expected] = options[below(options.length)]!;
    stored[key] = expected;
    return { key, value };
  });
  return { sent, stored };
}

/** Posts one request of many records and returns the rows that came of it. */
async function roundTrip(signal: string, body: Buffer, select: string): Promise<Record<string, unknown>[]> {
  const app = await buildApp({
    clickhouseUrl: engine.url,
    dataDirectory: join(directory.path, signal),
    flushIntervalSeconds: 0.05,
    logLevel: "silent",
  });
  const headers = { "content-type": "application/x-protobuf" };
  const reply = await app.inject({ method: "POST", url: `/v1/${signal}`, headers, payload: body });
  expect([reply.statusCode, reply.rawPayload.length]).toEqual([200, 0]);
  const rows = await until("the rows", async () => {
    const found = await engine.query(select);
    return found.length === RECORDS && found;
  });
  await app.close();
  return rows;
}

test("random spans arrive column for column as the OpenTelemetry exporter would store them", async () => {
  const resource = attributes();
  const expected: object[] = [];
  const spans = Array.from({ length: RECORDS }, (_, i) => {
    const labels = attributes();
    const events = times(3, () => ({ time: nanos(now), name: word(), labels: attributes() }));
    const links = times(2, () => ({ trace: id(16), span: id(8), state: word(), labels: attributes() }));
    const [trace, span, parent] = [id(16), id(8), random() < 0.5 ? id(8) : Buffer.alloc(0)];
    const [kind, code, name, message, state] = [below(7), below(3), `${i}`, word(), word()];
    const start = nanos(now + i);
    const duration = random() < 0.9 ? BigInt(below(2 ** 31)) * 7n : -5n;
    expected.push({
      start: String(start),
      TraceId: trace.toString("hex"),
      SpanId: span.toString("hex"),
      ParentSpanId: parent.toString("hex"),
      TraceState: state,
      SpanName: name,
      SpanKind: KINDS[kind] ?? "Unspecified",
      ServiceName: "unknown_service",
      ResourceAttributes: resource.stored,
      ScopeName: "größe",
      ScopeVersion: "1",
      SpanAttributes: labels.stored,
      duration: String(duration < 0n ? 0n : duration),
      StatusCode: STATUSES[code],
      StatusMessage: message,
      times: events.map((event) => String(event.time)),
      names: events.map((event) => event.name),
      events: events.map((event) => event.labels.stored),
      traces: links.map((link) => link.trace.toString("hex")),
      spans: links.map((link) => link.span.toString("hex")),
      states: links.map((link) => link.state),
      links: links.map((link) => link.labels.stored),
    });
    return {
      traceId: trace,
      spanId: span,
      parentSpanId: parent,
      traceState: state,
      name,
      kind,
      startTimeUnixNano: String(start),
      endTimeUnixNano: String(start + duration),
      attributes: labels.sent,
      events: events.map((event) => ({
        timeUnixNano: String(event.time),
        name: event.name,
        attributes: event.labels.sent,
      })),
      links: links.map((link) => ({
        traceId: link.trace,
        spanId: link.span,
        traceState: link.state,
        attributes: link.labels.sent,
      })),
      status: { code, message },
    };
  });
  const scopeSpans = [{ scope: { name: "größe", version: "1" }, spans }];
  const body = encode(TRACES, { resourceSpans: [{ resource: { attributes: resource.sent }, scopeSpans }] });
  const rows = await roundTrip(
    "traces",
    body,
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS start, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind,
       ServiceName, ResourceAttributes, ScopeName, ScopeVersion, SpanAttributes, toString(Duration) AS duration, StatusCode,
       StatusMessage, arrayMap(t -> toString(toUnixTimestamp64Nano(t)), Events.Timestamp) AS times, Events.Name AS names,
       Events.Attributes AS events, Links.TraceId AS traces, Links.SpanId AS spans, Links.TraceState AS states,
       Links.Attributes AS links
     FROM otel_traces ORDER BY toUInt32(SpanName)`,
  );
  expect(rows).toEqual(expected);
});

test("random log records arrive column for column as the OpenTelemetry exporter would store them", async () => {
  const resource = attributes();
  const scope = attributes();
  const expected: object[] = [];
  const logRecords = Array.from({ length: RECORDS }, (_, i) => {
    const labels = attributes();
    const time = nanos(now + i);
    const text = word();
    const traced = random() < 0.5;
    const [trace, span] = traced ? [id(16), id(8)] : [Buffer.alloc(0), Buffer.alloc(0)];
    const onlyObserved = random() < 0.3;
    const [severity, flags, name] = [below(25), below(256), word()];
    expected.push({
      time: String(time),
      TraceId: trace.toString("hex"),
      SpanId: span.toString("hex"),
      TraceFlags: flags,
      SeverityText: text,
      SeverityNumber: severity,
      Body: text,
      ResourceSchemaUrl: "https://r",
      ResourceAttributes: resource.stored,
      ScopeSchemaUrl: "https://s",
      ScopeName: "l",
      ScopeVersion: "2",
      ScopeAttributes: scope.stored,
      LogAttributes: labels.stored,
      EventName: name,
    });
    return {
      ...(onlyObserved
        ? { observedTimeUnixNano: String(time) }
        : { timeUnixNano: String(time), observedTimeUnixNano: "1" }),
      severityNumber: severity,
      severityText: text,
      body: { stringValue: text },
      attributes: labels.sent,
      flags: flags + 256,
      traceId: trace,
      spanId: span,
      eventName: name,
    };
  });
  const scopeLogs = [
    { scope: { name: "l", version: "2", attributes: scope.sent }, schemaUrl: "https://s", logRecords },
  ];
  const body = encode(LOGS, {
    resourceLogs: [{ resource: { attributes: resource.sent }, schemaUrl: "https://r", scopeLogs }],
  });
  const rows = await roundTrip(
    "logs",
    body,
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS time, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber, Body,
       ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, LogAttributes, EventName
     FROM otel_logs ORDER BY Timestamp`,
  );
  expect(rows).toEqual(expected);
});
