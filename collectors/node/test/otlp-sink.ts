import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";

const root = protobuf.loadSync(fileURLToPath(new URL("fixtures/otlp.proto", import.meta.url)));
const types = {
  "/v1/metrics": root.lookupType("otlp.ExportMetricsServiceRequest"),
  "/v1/logs": root.lookupType("otlp.ExportLogsServiceRequest"),
};
const EXPONENTIAL_SCALE_BASE = 2 ** (1 / 16);

export type Attributes = Record<string, string | number | boolean>;

export interface Point {
  readonly resource: Attributes;
  readonly metric: string;
  readonly unit: string;
  readonly instrument: string;
  readonly temporality: string | undefined;
  readonly attributes: Attributes;
  readonly value: number;
  readonly histogram: Histogram | undefined;
  readonly startMs: number;
  readonly timeMs: number;
  readonly receivedMs: number;
}
export interface Histogram {
  readonly count: number;
  readonly sum: number;
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly scale: number;
  readonly zeroCount: number;
  readonly zeroThreshold: number;
  readonly buckets: ReadonlyMap<number, number>;
}
export interface LogRecord {
  readonly resource: Attributes;
  readonly event: string;
  readonly body: string;
  readonly attributes: Attributes;
  readonly traceId: string;
  readonly timeMs: number;
}
export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly kind: number;
  /** 0 unset, 1 good, 2 failed. */
  readonly status: number;
  readonly attributes: Attributes;
  /** Name of the library that made it. */
  readonly scope: string;
}

/** An OTLP endpoint that keeps what it gets, decoded by protobufjs from OpenTelemetry's own definitions. */
export async function startSink(status: () => number = () => 200, tls?: { cert: Buffer; key: Buffer }) {
  const points: Point[] = [];
  const logs: LogRecord[] = [];
  const spans: Span[] = [];
  const requests: { path: string; headers: Record<string, unknown>; bytes: number }[] = [];
  const answer: RequestListener = (request, response) => {
    if (request.method === "GET") {
      response.end(String(points.length)); // for programs that wait until their agent has spoken
      return;
    }
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      const code = status();
      const raw = Buffer.concat(chunks);
      requests.push({ path, headers: request.headers, bytes: raw.length });
      if (code === 200) {
        const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
        if (path === "/v1/traces") spans.push(...readSpans(body));
        else if (path === "/v1/metrics") points.push(...readMetrics(body));
        else logs.push(...readLogs(body));
      }
      response.writeHead(code, { "content-type": "application/json" }).end("{}");
    });
  };
  const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    points,
    logs,
    spans,
    requests,
    select: (metric: string, attributes: Attributes = {}) =>
      points.filter((point) => point.metric === metric && has(point.attributes, attributes)),
    /** With TLS: called for each connection whose handshake failed. */
    onTlsError: (listener: () => void) => void server.on("tlsClientError", listener),
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
export type Sink = Awaited<ReturnType<typeof startSink>>;

/** The histograms of several points as one. */
export function merge(points: readonly Point[]): Histogram {
  const buckets = new Map<number, number>();
  let [count, sum, zeroCount] = [0, 0, 0];
  for (const { histogram } of points) {
    if (histogram === undefined) throw new TypeError("not a histogram");
    count += histogram.count;
    sum += histogram.sum;
    zeroCount += histogram.zeroCount;
    for (const [index, added] of histogram.buckets) buckets.set(index, (buckets.get(index) ?? 0) + added);
  }
  const maxima = points.flatMap(({ histogram }) => histogram?.max ?? []);
  const max = maxima.length === 0 ? undefined : Math.max(...maxima);
  return { count, sum, min: undefined, max, scale: 4, zeroCount, zeroThreshold: 1e-6, buckets };
}

/** Quantile of a histogram, in its unit: the middle of the bucket it falls into. */
export function quantile(histogram: Histogram, share: number): number {
  let left = share * histogram.count - histogram.zeroCount;
  if (left <= 0) return 0;
  for (const [index, count] of [...histogram.buckets].sort(([a], [b]) => a - b)) {
    left -= count;
    if (left <= 0) return EXPONENTIAL_SCALE_BASE ** (index + 0.5);
  }
  return histogram.max ?? 0;
}

function has(attributes: Attributes, wanted: Attributes): boolean {
  return Object.entries(wanted).every(([key, value]) => attributes[key] === value);
}

// biome-ignore lint/suspicious/noExplicitAny: decoded messages have no static type
type Decoded = any;

function decode(path: keyof typeof types, body: Buffer): Decoded {
  const type = types[path];
  return type.toObject(type.decode(body), { longs: Number, bytes: Buffer });
}

function readMetrics(body: Buffer): Point[] {
  const points: Point[] = [];
  const receivedMs = Date.now();
  for (const resourceMetrics of decode("/v1/metrics", body).resourceMetrics ?? []) {
    const resource = attributesOf(resourceMetrics.resource.attributes);
    for (const metric of resourceMetrics.scopeMetrics.flatMap((scope: Decoded) => scope.metrics)) {
      const data = metric.gauge ?? metric.sum ?? metric.exponentialHistogram;
      const instrument = metric.gauge
        ? "gauge"
        : metric.exponentialHistogram
          ? "exponential_histogram"
          : metric.sum.isMonotonic
            ? "counter"
            : "updowncounter";
      for (const point of data.dataPoints ?? []) {
        points.push({
          resource,
          metric: metric.name,
          unit: metric.unit,
          instrument,
          temporality: { 1: "delta", 2: "cumulative" }[data.aggregationTemporality as 1 | 2],
          attributes: attributesOf(point.attributes),
          value: point.asDouble ?? point.asInt ?? Number.NaN,
          histogram: metric.exponentialHistogram === undefined ? undefined : histogramOf(point),
          startMs: point.startTimeUnixNano / 1e6,
          timeMs: point.timeUnixNano / 1e6,
          receivedMs,
        });
      }
    }
  }
  return points;
}

function histogramOf(point: Decoded): Histogram {
  const offset: number = point.positive?.offset ?? 0;
  const counts: number[] = point.positive?.bucketCounts ?? [];
  return {
    count: point.count,
    sum: point.sum,
    min: point.min,
    max: point.max,
    scale: point.scale,
    zeroCount: point.zeroCount ?? 0,
    zeroThreshold: point.zeroThreshold,
    buckets: new Map(counts.map((count, index) => [offset + index, count])),
  };
}

function readLogs(body: Buffer): LogRecord[] {
  return decode("/v1/logs", body).resourceLogs.flatMap((resourceLogs: Decoded) =>
    resourceLogs.scopeLogs.flatMap((scope: Decoded) =>
      scope.logRecords.map((record: Decoded) => ({
        resource: attributesOf(resourceLogs.resource.attributes),
        event: record.eventName,
        body: record.body?.stringValue,
        attributes: attributesOf(record.attributes),
        traceId: Buffer.from(record.traceId ?? []).toString("hex"),
        timeMs: record.timeUnixNano / 1e6,
      })),
    ),
  );
}

function readSpans(body: Buffer): Span[] {
  const decoded = JSON.parse(body.toString()) as Decoded;
  return decoded.resourceSpans.flatMap((resourceSpans: Decoded) =>
    resourceSpans.scopeSpans.flatMap((scope: Decoded) =>
      scope.spans.map((span: Decoded) => ({
        ...span,
        status: span.status.code,
        scope: scope.scope?.name,
        attributes: attributesOf(span.attributes),
      })),
    ),
  );
}

function attributesOf(list: Decoded[] | undefined): Attributes {
  return Object.fromEntries(
    (list ?? []).map(({ key, value }) => {
      const { stringValue, boolValue, intValue, doubleValue } = value ?? {};
      return [key, stringValue ?? boolValue ?? (intValue === undefined ? undefined : Number(intValue)) ?? doubleValue];
    }),
  );
}
