import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

/** OTLP requests that the benches decode: the same bytes for every decoder and every run, but for their time. */

const POINTS = 5000;
const SPANS = 2000;
const RESOURCES = 20;
const EXPLICIT_BUCKETS = 15;
const EXPONENTIAL_BUCKETS = 80;

const root = protobuf.loadSync(fileURLToPath(new URL("../test/fixtures/otlp.proto", import.meta.url)));
const METRICS = root.lookupType("otlp.ExportMetricsServiceRequest");
const TRACES = root.lookupType("otlp.ExportTraceServiceRequest");

export const SHAPES = ["numbers", "histograms", "exponential_histograms", "spans"] as const;
export type Shape = (typeof SHAPES)[number];

export interface Payload {
  readonly signal: "metrics" | "traces";
  /** Data points or spans in it. */
  readonly units: number;
  readonly body: Buffer;
}

/** A linear congruential generator: every run measures the same values. Source: Numerical Recipes. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

const nanos = (ms: number) => (BigInt(ms) * 1_000_000n).toString();
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const resource = (i: number) => ({
  attributes: Array.from({ length: 10 }, (_, k) =>
    text(k === 0 ? "service.name" : `resource.attribute.${k}`, `value-${i}-${k}`),
  ),
});
const labels = (i: number) => [text("http.route", `/books/${i % 50}`), text("method", "GET"), text("n", String(i))];

/** One request of the given shape whose data is of the time `atMs`. */
export function payload(shape: Shape, atMs: number): Payload {
  return shape === "spans" ? spans(atMs) : metrics(shape, atMs);
}

function metrics(shape: Exclude<Shape, "spans">, atMs: number): Payload {
  const next = random(42);
  const perResource = POINTS / RESOURCES;
  const counts = (buckets: number) => Array.from({ length: buckets }, () => Math.floor(next() ** 4 * 1000));
  const point = (i: number) => {
    const shared = {
      startTimeUnixNano: nanos(atMs - 10_000),
      timeUnixNano: nanos(atMs),
      attributes: labels(i),
    };
    if (shape === "numbers") return { ...shared, asDouble: Math.round(next() * 1e6) / 1000 };
    const bucketCounts = counts(shape === "histograms" ? EXPLICIT_BUCKETS : EXPONENTIAL_BUCKETS);
    const count = bucketCounts.reduce((total, n) => total + n, 0);
    const distribution = { ...shared, count, sum: count * next(), min: next(), max: 10 + next() };
    if (shape === "histograms") {
      const explicitBounds = Array.from({ length: EXPLICIT_BUCKETS - 1 }, (_, b) => 2 ** b / 1000);
      return { ...distribution, explicitBounds, bucketCounts };
    }
    return { ...distribution, scale: 4, zeroCount: 1, positive: { offset: -100, bucketCounts } };
  };
  const kind = { numbers: "gauge", histograms: "histogram", exponential_histograms: "exponentialHistogram" }[shape];
  const message = {
    resourceMetrics: Array.from({ length: RESOURCES }, (_, r) => ({
      resource: resource(r),
      scopeMetrics: [
        {
          scope: { name: "bench" },
          metrics: [
            {
              name: "bench.metric",
              [kind]: {
                dataPoints: Array.from({ length: perResource }, (_, i) => point(r * perResource + i)),
                ...(kind === "gauge" ? {} : { aggregationTemporality: 1 }),
              },
            },
          ],
        },
      ],
    })),
  };
  return { signal: "metrics", units: POINTS, body: encode(METRICS, message) };
}

function spans(atMs: number): Payload {
  const next = random(7);
  const id = (size: number) => Buffer.from(Array.from({ length: size }, () => 1 + Math.floor(next() * 255)));
  const span = (i: number) => ({
    traceId: id(16),
    spanId: id(8),
    parentSpanId: i % 4 === 0 ? Buffer.alloc(0) : id(8),
    name: `GET /books/${i % 20}`,
    kind: (i % 5) + 1,
    startTimeUnixNano: nanos(atMs),
    endTimeUnixNano: nanos(atMs + 1 + Math.floor(next() * 100)),
    attributes: [
      ...labels(i),
      text("url.path", `/books/${i}`),
      text("server.address", "localhost"),
      text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
      { key: "server.port", value: { intValue: 8080 } },
      { key: "http.response.status_code", value: { intValue: i % 10 === 0 ? 500 : 200 } },
    ],
    events:
      i % 10 === 0 ? [{ timeUnixNano: nanos(atMs), name: "exception", attributes: [text("type", "Timeout")] }] : [],
    status: { code: i % 10 === 0 ? 2 : 0 },
  });
  const message = {
    resourceSpans: Array.from({ length: RESOURCES }, (_, r) => ({
      resource: resource(r),
      scopeSpans: [
        {
          scope: { name: "bench" },
          spans: Array.from({ length: SPANS / RESOURCES }, (_, i) => span(r * (SPANS / RESOURCES) + i)),
        },
      ],
    })),
  };
  return { signal: "traces", units: SPANS, body: encode(TRACES, message) };
}

function encode(type: protobuf.Type, message: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}
