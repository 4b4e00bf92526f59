import { join } from "node:path";
import protobuf from "protobufjs";
import { bodies, SIGNALS, type Signal } from "../chaos/batch.ts";
import { ROOT } from "../tidemark.ts";

const root = protobuf.loadSync(join(ROOT, "services", "ingest", "test", "fixtures", "otlp.proto"));

export const MESSAGES: Readonly<Record<Signal, protobuf.Type>> = {
  metrics: root.lookupType("otlp.ExportMetricsServiceRequest"),
  traces: root.lookupType("otlp.ExportTraceServiceRequest"),
  logs: root.lookupType("otlp.ExportLogsServiceRequest"),
};

/** A legal request to start from, in both encodings. */
export interface Seed {
  readonly signal: Signal;
  readonly json: object;
  readonly protobuf: Buffer;
}

const HEX_IDS: ReadonlySet<string> = new Set(["traceId", "spanId", "parentSpanId"]);
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });

/** Legal requests of the three signals, whose data is of the time `atMs`. */
export function seeds(atMs: number): Seed[] {
  const found: Seed[] = [];
  const add = (signal: Signal, json: object) => found.push({ signal, json, protobuf: encode(MESSAGES[signal], json) });
  const batch = bodies(1, 0, atMs);
  for (const signal of SIGNALS) add(signal, batch[signal]);
  add("metrics", everyMetric(atMs));
  add("traces", richSpans(atMs));
  add("logs", richLogs(atMs));
  return found;
}

/** A request that must be accepted whole: one gauge point, span or log record with this number. */
export function good(signal: Signal, number: number, atMs: number): Seed {
  const resource = { attributes: [text("service.name", "fuzz-good")] };
  const timeUnixNano = `${atMs}000000`;
  const json = {
    metrics: {
      resourceMetrics: [
        {
          resource,
          scopeMetrics: [
            { metrics: [{ name: "fuzz.good", gauge: { dataPoints: [{ timeUnixNano, asDouble: number }] } }] },
          ],
        },
      ],
    },
    traces: {
      resourceSpans: [
        {
          resource,
          scopeSpans: [
            {
              spans: [
                {
                  traceId: number.toString(16).padStart(32, "0"),
                  spanId: number.toString(16).padStart(16, "0"),
                  name: "fuzz.good",
                  startTimeUnixNano: timeUnixNano,
                  endTimeUnixNano: timeUnixNano,
                },
              ],
            },
          ],
        },
      ],
    },
    logs: {
      resourceLogs: [{ resource, scopeLogs: [{ logRecords: [{ timeUnixNano, body: { stringValue: `${number}` } }] }] }],
    },
  }[signal];
  return { signal, json, protobuf: encode(MESSAGES[signal], json) };
}

function encode(type: protobuf.Type, json: object): Buffer {
  const message = JSON.parse(JSON.stringify(json), (key, value) =>
    HEX_IDS.has(key) ? Buffer.from(value, "hex").toString("base64") : value,
  );
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

function resource() {
  return {
    attributes: [
      text("service.name", "fuzz"),
      text("telemetry.sdk.language", "python"),
      { key: "process.pid", value: { intValue: "77" } },
      { key: "numbers", value: { arrayValue: { values: [{ intValue: "1" }, { doubleValue: 2.5 }] } } },
    ],
  };
}

function everyMetric(atMs: number): object {
  const time = { startTimeUnixNano: `${atMs - 1000}000000`, timeUnixNano: `${atMs}000000` };
  const exemplars = [
    { timeUnixNano: time.timeUnixNano, asDouble: 1, traceId: "01".repeat(16), spanId: "02".repeat(8) },
  ];
  const attributes = [text("http.route", "/fuzz"), { key: "flag", value: { boolValue: true } }];
  const distribution = { ...time, attributes, count: 6, sum: 7.5, min: 0.5, max: 3 };
  const sum = (name: string, aggregationTemporality: number, point: object) => ({
    name,
    sum: { aggregationTemporality, isMonotonic: true, dataPoints: [{ ...time, attributes, exemplars, ...point }] },
  });
  const histogram = (name: string, aggregationTemporality: number) => ({
    name,
    unit: "s",
    description: "a duration",
    histogram: {
      aggregationTemporality,
      dataPoints: [{ ...distribution, explicitBounds: [1, 2], bucketCounts: [1, 2, 3] }],
    },
  });
  const metrics = [
    sum("fuzz.cumulative", 2, { asInt: "9223372036854775807" }),
    sum("fuzz.delta", 1, { asDouble: 0.1 }),
    histogram("fuzz.histogram", 1),
    histogram("http.server.request.duration", 2),
    {
      name: "fuzz.exponential",
      exponentialHistogram: {
        aggregationTemporality: 1,
        dataPoints: [
          {
            ...distribution,
            scale: 3,
            zeroCount: 1,
            zeroThreshold: 1e-9,
            positive: { offset: -2, bucketCounts: [1, 0, 2] },
            negative: { offset: 5, bucketCounts: [3] },
          },
        ],
      },
    },
    {
      name: "fuzz.summary",
      summary: {
        dataPoints: [{ ...time, attributes, count: 4, sum: 10, quantileValues: [{ quantile: 0.5, value: 2 }] }],
      },
    },
  ];
  return {
    resourceMetrics: [
      {
        resource: resource(),
        scopeMetrics: [{ scope: { name: "fuzz", version: "1" }, metrics }],
        schemaUrl: "https://x",
      },
    ],
  };
}

function richSpans(atMs: number): object {
  const at = `${atMs}000000`;
  const span = {
    traceId: "0a".repeat(16),
    spanId: "0b".repeat(8),
    parentSpanId: "0c".repeat(8),
    traceState: "a=b",
    name: "GET /fuzz",
    kind: 2,
    startTimeUnixNano: at,
    endTimeUnixNano: at,
    attributes: [text("url.path", "/fuzz"), { key: "raw", value: { bytesValue: "AAEC" } }],
    events: [{ timeUnixNano: at, name: "exception", attributes: [text("exception.type", "Fuzz")] }],
    links: [{ traceId: "0d".repeat(16), spanId: "0e".repeat(8), attributes: [text("why", "retry")] }],
    status: { code: 2, message: "late" },
  };
  return { resourceSpans: [{ resource: resource(), scopeSpans: [{ scope: { name: "fuzz" }, spans: [span, span] }] }] };
}

function richLogs(atMs: number): object {
  const nested = {
    kvlistValue: {
      values: [
        text("a", "ü"),
        { key: "list", value: { arrayValue: { values: [{ boolValue: false }, { kvlistValue: { values: [] } }] } } },
      ],
    },
  };
  const record = {
    timeUnixNano: `${atMs}000000`,
    observedTimeUnixNano: `${atMs}000000`,
    severityNumber: 17,
    severityText: "ERROR",
    eventName: "tidemark.stall",
    body: nested,
    attributes: [{ key: "deep", value: nested }],
    traceId: "0f".repeat(16),
    spanId: "10".repeat(8),
    flags: 1,
  };
  return { resourceLogs: [{ resource: resource(), scopeLogs: [{ logRecords: [record] }] }] };
}
