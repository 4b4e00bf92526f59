import { EXPONENTIAL_HISTOGRAM_SCALE, type Metric, ZERO_THRESHOLD } from "@tidemark/semconv";
import type { Identity } from "../identity.ts";
import type { AgentEvent, Attributes } from "../shared/messages.ts";
import { AGENT_VERSION } from "../shared/version.ts";
import type { Batch, Point } from "./batch.ts";
import { ProtoWriter } from "./proto-writer.ts";

// Field numbers. Source: opentelemetry-proto 1.7, metrics.proto, logs.proto, common.proto, resource.proto.
const DELTA = 1;
const CUMULATIVE = 2;
const SEVERITY_WARN = 13;
const NS_PER_MS = 1_000_000n;

const writer = new ProtoWriter();

/** The points as an OTLP ExportMetricsServiceRequest. All points carry the same two times (Unix, milliseconds). */
export function encodeMetrics(identity: Identity, batch: Batch, startMs: number, endMs: number): Buffer {
  const start = nanoseconds(startMs);
  const end = nanoseconds(endMs);
  writer.message(1, () => {
    writer.message(1, () => keyValues(1, identity));
    writer.message(2, () => {
      scope();
      for (const [metric, points] of batch.metrics) writer.message(2, () => encodeMetric(metric, points, start, end));
    });
  });
  return writer.finish();
}

/** The events as an OTLP ExportLogsServiceRequest. */
export function encodeEvents(identity: Identity, events: readonly AgentEvent[]): Buffer {
  const observed = nanoseconds(Date.now());
  writer.message(1, () => {
    writer.message(1, () => keyValues(1, identity));
    writer.message(2, () => {
      scope();
      for (const event of events) writer.message(2, () => encodeEvent(event, observed));
    });
  });
  return writer.finish();
}

function scope(): void {
  writer.message(1, () => {
    writer.string(1, "@tidemark/node");
    writer.string(2, AGENT_VERSION);
  });
}

function encodeMetric(metric: Metric, points: readonly Point[], start: bigint, end: bigint): void {
  writer.string(1, metric.name);
  writer.string(2, metric.brief);
  writer.string(3, metric.unit);
  switch (metric.instrument) {
    case "gauge":
      writer.message(5, () => {
        for (const point of points) numberPoint(point, end, end);
      });
      break;
    case "counter":
      writer.message(7, () => {
        for (const point of points) numberPoint(point, start, end);
        writer.uint(2, DELTA);
        writer.uint(3, 1);
      });
      break;
    case "updowncounter":
      writer.message(7, () => {
        for (const point of points) numberPoint(point, start, end);
        writer.uint(2, CUMULATIVE);
      });
      break;
    case "exponential_histogram":
      writer.message(10, () => {
        for (const point of points) histogramPoint(point, start, end);
        writer.uint(2, DELTA);
      });
      break;
    case "histogram":
      throw new RangeError(`${metric.name}: this agent sends exponential histograms only`);
  }
}

function numberPoint({ attributes, value }: Point, start: bigint, end: bigint): void {
  if (typeof value !== "number") throw new TypeError("a number is expected");
  writer.message(1, () => {
    writer.fixed64(2, start);
    writer.fixed64(3, end);
    writer.double(4, value);
    keyValues(7, attributes);
  });
}

function histogramPoint({ attributes, value }: Point, start: bigint, end: bigint): void {
  if (typeof value === "number") throw new TypeError("a histogram is expected");
  writer.message(1, () => {
    keyValues(1, attributes);
    writer.fixed64(2, start);
    writer.fixed64(3, end);
    writer.fixed64(4, BigInt(value.count));
    writer.double(5, value.sum);
    writer.sint32(6, EXPONENTIAL_HISTOGRAM_SCALE);
    writer.fixed64(7, BigInt(value.zeroCount));
    writer.message(8, () => {
      writer.sint32(1, value.offset);
      writer.packedUints(2, value.counts);
    });
    if (value.min !== undefined) writer.double(12, value.min);
    if (value.max !== undefined) writer.double(13, value.max);
    writer.double(14, ZERO_THRESHOLD);
  });
}

function encodeEvent(event: AgentEvent, observed: bigint): void {
  writer.fixed64(1, nanoseconds(event.timeMs));
  writer.uint(2, SEVERITY_WARN);
  writer.string(3, "WARN");
  writer.message(5, () => writer.string(1, event.body));
  keyValues(6, { "event.name": event.name, ...event.attributes });
  if (event.traceId !== undefined) writer.bytes(9, Buffer.from(event.traceId, "hex"));
  if (event.spanId !== undefined) writer.bytes(10, Buffer.from(event.spanId, "hex"));
  writer.fixed64(11, observed);
  writer.string(12, event.name);
}

function keyValues(field: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    writer.message(field, () => {
      writer.string(1, key);
      writer.message(2, () => {
        if (typeof value === "string") writer.string(1, value);
        else if (typeof value === "boolean") writer.uint(2, value ? 1 : 0);
        else if (Number.isSafeInteger(value)) writer.int64(3, value);
        else writer.double(4, value);
      });
    });
  }
}

function nanoseconds(unixMs: number): bigint {
  return BigInt(Math.round(unixMs)) * NS_PER_MS;
}
