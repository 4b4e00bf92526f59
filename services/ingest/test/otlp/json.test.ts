import { describe, expect, test } from "vitest";
import { jsonToProtobuf, REQUESTS, WrongShape } from "../../src/otlp/json.ts";
import { LOGS, METRICS, TRACES } from "../otlp-messages.ts";

/** What a body of OTLP/JSON means, by way of the protobuf it becomes and protobufjs. */
function read(signal: "metrics" | "traces" | "logs", body: string | object) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const type = { metrics: METRICS, traces: TRACES, logs: LOGS }[signal];
  const message = type.decode(jsonToProtobuf(Buffer.from(text), REQUESTS[signal]));
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the test's own.
  return type.toObject(message, { longs: String, bytes: String }) as any;
}

const span = (fields: object) => ({ resourceSpans: [{ scopeSpans: [{ spans: [fields] }] }] });
const readSpan = (fields: object) => read("traces", span(fields)).resourceSpans[0].scopeSpans[0].spans[0];
const point = (fields: object) => ({
  resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [fields] } }] }] }],
});
const readPoint = (fields: object) =>
  read("metrics", point(fields)).resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[0];
const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");

describe("OTLP/JSON", () => {
  test("ids are hexadecimal in any case, and base64 or odd digits are refused", () => {
    for (const traceId of ["5B8EFFF798038103D269B633813FC60C", "5b8efff798038103d269b633813fc60c"]) {
      const { traceId: read, parentSpanId } = readSpan({ traceId, parentSpanId: "EEE19B7EC3C1B174" });
      expect([read, parentSpanId]).toEqual([base64(traceId), base64("eee19b7ec3c1b174")]);
    }
    for (const traceId of ["W47/95gDgQPSabYzgT/GDA==", "5B8", 5]) {
      expect(() => readSpan({ traceId })).toThrow(WrongShape);
    }
  });

  test("64-bit integers are exact as decimal text and as numbers", () => {
    const nanos = "1544712660300000001";
    for (const time of [`"${nanos}"`, nanos]) {
      const body = JSON.stringify(point({ timeUnixNano: "TIME", attributes: [] })).replace('"TIME"', time);
      const { timeUnixNano } = read("metrics", body).resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[0];
      expect(timeUnixNano).toBe(nanos);
    }
    const values = ["-9223372036854775808", "9223372036854775807", "-1", "0"];
    for (const asInt of values) expect(readPoint({ asInt }).asInt).toBe(asInt);
    const text = JSON.stringify(
      point({
        asInt: 1,
        attributes: [{ key: 'k": 12345678901234567890', value: { stringValue: '\\" 1234567890123456789' } }],
      }),
    );
    const { attributes } = read("metrics", text).resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[0];
    expect(attributes[0]).toEqual({
      key: 'k": 12345678901234567890',
      value: { stringValue: '\\" 1234567890123456789' },
    });
  });

  test("an integer that is none, or of more than 64 bits, is refused with its place", () => {
    for (const asInt of ["1.5", 1.5, "", "x", true, "18446744073709551616", "-9223372036854775809"]) {
      expect(() => readPoint({ asInt }), String(asInt)).toThrow(/dataPoints\[0\]\.asInt: expected an integer/);
    }
  });

  test("doubles may be numbers, decimal text, NaN and Infinity", () => {
    const cases: [unknown, number][] = [
      [1.5, 1.5],
      ["1.5", 1.5],
      [123456789012345680000, 123456789012345680000],
      ["NaN", Number.NaN],
      ["Infinity", Number.POSITIVE_INFINITY],
      ["-Infinity", Number.NEGATIVE_INFINITY],
    ];
    for (const [given, meant] of cases) expect(readPoint({ asDouble: given }).asDouble).toBe(meant);
    expect(() => readPoint({ asDouble: "many" })).toThrow(WrongShape);
    const digits = JSON.stringify(point({ asDouble: "IT" })).replace('"IT"', "0.1234567890123456789");
    const [{ asDouble }] = read("metrics", digits).resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints;
    expect(asDouble).toBe(0.12345678901234568);
  });

  test("enums are integers, of unknown values too, and names are taken as well", () => {
    expect(readSpan({ kind: 2 }).kind).toBe(2);
    expect(readSpan({ kind: 77 }).kind).toBe(77);
    expect(readSpan({ kind: "SPAN_KIND_SERVER" }).kind).toBe(2);
    expect(() => readSpan({ kind: "SPAN_KIND_NOBODY" })).toThrow(WrongShape);
  });

  test("fields with unknown names are ignored at every level", () => {
    const unknown = { fromTheFuture: { a: [1, { b: null }] }, other: "x" };
    const plain = span({ name: "s", status: { code: 2 } });
    const more = {
      ...unknown,
      resourceSpans: [
        {
          ...unknown,
          scopeSpans: [{ ...unknown, spans: [{ ...unknown, name: "s", status: { ...unknown, code: 2 } }] }],
        },
      ],
    };
    expect(read("traces", more)).toEqual(read("traces", plain));
  });

  test("bytes are base64, and null stands for an absent field", () => {
    const record = { body: { bytesValue: "3q2+7w==" }, severityText: null, attributes: null };
    const [decoded] = read("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] }).resourceLogs[0]
      .scopeLogs[0].logRecords;
    expect(decoded).toEqual({ body: { bytesValue: base64("deadbeef") } });
  });
});
