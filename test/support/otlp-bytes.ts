import { join } from "node:path";
import protobuf from "protobufjs";
import { ROOT } from "./tidemark.ts";

const MESSAGES = protobuf.loadSync(join(ROOT, "services", "ingest", "test", "fixtures", "otlp.proto"));
const REQUESTS: Readonly<Record<string, protobuf.Type>> = {
  "/v1/metrics": MESSAGES.lookupType("otlp.ExportMetricsServiceRequest"),
  "/v1/traces": MESSAGES.lookupType("otlp.ExportTraceServiceRequest"),
  "/v1/logs": MESSAGES.lookupType("otlp.ExportLogsServiceRequest"),
};
const NANOS_PER_MS = 1_000_000n;
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const FIXED_BYTES: Readonly<Record<number, number>> = { [FIXED64]: 8, [FIXED32]: 4 };
const JSON_TIME = /("\w*imeUnixNano":\s*")(\d+)(")/g;

/** The request message of an OTLP path. Throws for another path. */
export function requestType(path: string): protobuf.Type {
  const type = REQUESTS[path];
  if (type === undefined) throw new Error(`${path} is not an OTLP path`);
  return type;
}

/** The body with every time moved by `ms`; a time of 0 says "unknown" and stays. All else stays byte for byte. */
export function shiftTimes(body: Buffer, path: string, isJson: boolean, ms: number): Buffer {
  const nanos = BigInt(ms) * NANOS_PER_MS;
  const moved = (time: bigint): bigint => (time === 0n ? 0n : time + nanos);
  if (isJson) {
    return Buffer.from(body.toString().replace(JSON_TIME, (_, key, time, end) => `${key}${moved(BigInt(time))}${end}`));
  }
  const copy = Buffer.from(body);
  const walk = (start: number, end: number, type: protobuf.Type): void => {
    for (const { field, wire, from, to } of fields(copy, start, end, type)) {
      if (wire === FIXED64 && field?.name.endsWith("imeUnixNano")) {
        copy.writeBigUInt64LE(moved(copy.readBigUInt64LE(from)), from);
      } else if (wire === DELIMITED && field?.resolvedType instanceof protobuf.Type) {
        walk(from, to, field.resolvedType);
      }
    }
  };
  walk(0, copy.length, requestType(path));
  return copy;
}

/** The body with every text put through `replace`; all else stays byte for byte, but for the lengths around it. */
export function mapTexts(body: Buffer, path: string, isJson: boolean, replace: (text: string) => string): Buffer {
  if (isJson) {
    const mapped = JSON.stringify(JSON.parse(body.toString()), (_, value) =>
      typeof value === "string" ? replace(value) : value,
    );
    return Buffer.from(mapped);
  }
  const walk = (start: number, end: number, type: protobuf.Type): Buffer => {
    const pieces: Uint8Array[] = [];
    let copied = start;
    for (const { field, wire, tagged, from, to } of fields(body, start, end, type)) {
      if (wire !== DELIMITED) continue;
      const old = body.subarray(from, to);
      let content: Buffer = old;
      if (field?.type === "string") {
        const text = old.toString();
        const next = replace(text);
        if (next !== text) content = Buffer.from(next);
      } else if (field?.resolvedType instanceof protobuf.Type) {
        content = walk(from, to, field.resolvedType);
      }
      if (content.equals(old)) continue;
      pieces.push(body.subarray(copied, tagged), new protobuf.Writer().bytes(content).finish());
      copied = to;
    }
    pieces.push(body.subarray(copied, end));
    return Buffer.concat(pieces);
  };
  return walk(0, body.length, requestType(path));
}

interface FieldBytes {
  /** Undefined for a field the messages do not have. */
  readonly field: protobuf.Field | undefined;
  readonly wire: number;
  /** End of the field's tag. */
  readonly tagged: number;
  /** The content, without the length of a delimited field. */
  readonly from: number;
  readonly to: number;
}

function* fields(body: Buffer, start: number, end: number, type: protobuf.Type): Generator<FieldBytes> {
  const reader = protobuf.Reader.create(body);
  reader.pos = start;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const wire = tag & 7;
    const field = type.fieldsById[tag >>> 3]?.resolve();
    const tagged = reader.pos;
    if (wire === VARINT) reader.skip();
    const length = wire === DELIMITED ? reader.uint32() : (FIXED_BYTES[wire] ?? 0);
    const from = wire === VARINT ? tagged : reader.pos;
    if (wire !== VARINT) reader.pos += length;
    if (wire > FIXED32 || wire === 3 || wire === 4) throw new Error(`wire type ${wire} at ${tagged}`);
    yield { field, wire, tagged, from, to: reader.pos };
  }
}

/** One attribute's value as text, the way Prometheus' and Tidemark's labels hold it. */
export type Labels = Readonly<Record<string, string>>;

/** Exponential buckets of one side: `counts[i]` is of index `offset + i`. */
export interface Buckets {
  readonly offset: number;
  readonly counts: readonly number[];
}

interface PointBase {
  readonly metric: string;
  readonly unit: string;
  readonly resource: Labels;
  readonly attributes: Labels;
  readonly milliseconds: number;
}

export interface NumberPoint extends PointBase {
  readonly kind: "number";
  readonly value: number;
  /** A sum of differences: its values add up to what Prometheus calls a counter. */
  readonly delta: boolean;
  readonly monotonic: boolean;
}

export interface ExponentialPoint extends PointBase {
  readonly kind: "exponential";
  readonly count: number;
  readonly sum: number;
  readonly scale: number;
  readonly zero: number;
  readonly positive: Buckets;
  readonly delta: boolean;
}

export type MetricPoint = NumberPoint | ExponentialPoint;

const DELTA = 1;
const NO_RECORDED_VALUE = 1;

/**
 * Every metric point of an OTLP protobuf body that holds a value.
 * Throws for a kind of point or a negative bucket that the recordings of this product do not have.
 */
export function* metricPoints(body: Buffer): Generator<MetricPoint> {
  const request = requestType("/v1/metrics").decode(body) as unknown as MetricsRequest;
  for (const { resource, scopeMetrics } of request.resourceMetrics) {
    const of = labels(resource?.attributes ?? []);
    for (const metric of scopeMetrics.flatMap((scope) => scope.metrics)) {
      const { name, unit } = metric;
      const data = metric.gauge ?? metric.sum ?? metric.exponentialHistogram;
      if (data === undefined || data === null) throw new Error(`${name} is of a kind that is not replayed`);
      for (const point of data.dataPoints) {
        if ((point.flags & NO_RECORDED_VALUE) !== 0) continue;
        const base = {
          metric: name,
          unit,
          resource: of,
          attributes: labels(point.attributes),
          milliseconds: Math.floor(Number(point.timeUnixNano) / 1e6),
          delta: data.aggregationTemporality === DELTA,
        };
        if (metric.exponentialHistogram) {
          if ((point.negative?.bucketCounts ?? []).length > 0) throw new Error(`${name} has negative buckets`);
          yield {
            ...base,
            kind: "exponential",
            count: Number(point.count),
            sum: point.sum ?? 0,
            scale: point.scale,
            zero: Number(point.zeroCount),
            positive: {
              offset: point.positive?.offset ?? 0,
              counts: (point.positive?.bucketCounts ?? []).map(Number),
            },
          };
        } else {
          const value = point.value === "asInt" ? Number(point.asInt) : point.asDouble;
          yield { ...base, kind: "number", value, monotonic: data.isMonotonic === true };
        }
      }
    }
  }
}

interface KeyValue {
  key: string;
  value?: Record<string, unknown> & { value?: string };
}
interface DataPoint {
  attributes: KeyValue[];
  timeUnixNano: protobuf.Long;
  flags: number;
  value?: "asInt" | "asDouble";
  asInt: protobuf.Long;
  asDouble: number;
  count: protobuf.Long;
  sum?: number;
  scale: number;
  zeroCount: protobuf.Long;
  positive?: { offset: number; bucketCounts: protobuf.Long[] };
  negative?: { offset: number; bucketCounts: protobuf.Long[] };
}
interface Data {
  dataPoints: DataPoint[];
  aggregationTemporality?: number;
  isMonotonic?: boolean;
}
interface MetricsRequest {
  resourceMetrics: {
    resource?: { attributes: KeyValue[] };
    scopeMetrics: {
      metrics: { name: string; unit: string; gauge?: Data; sum?: Data; exponentialHistogram?: Data }[];
    }[];
  }[];
}

function labels(attributes: readonly KeyValue[]): Labels {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, String(value?.[value.value ?? ""] ?? "")]));
}
