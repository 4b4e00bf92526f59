import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const root = protobuf.loadSync(fileURLToPath(new URL("fixtures/otlp.proto", import.meta.url)));

export const METRICS = root.lookupType("otlp.ExportMetricsServiceRequest");
export const TRACES = root.lookupType("otlp.ExportTraceServiceRequest");
export const LOGS = root.lookupType("otlp.ExportLogsServiceRequest");
export const EXPORT_REPLY = root.lookupType("otlp.ExportReply");
export const STATUS = root.lookupType("otlp.RpcStatus");

/** Encodes a plain object in the shape of OTLP/JSON field names (numbers for 64-bit values are fine). */
export function encode(type: protobuf.Type, message: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

export function decode(type: protobuf.Type, bytes: Uint8Array): Record<string, unknown> {
  return type.toObject(type.decode(bytes), { longs: String, defaults: false });
}

export const attribute = (key: string, value: string | number | boolean) => ({
  key,
  value:
    typeof value === "string"
      ? { stringValue: value }
      : typeof value === "boolean"
        ? { boolValue: value }
        : Number.isInteger(value)
          ? { intValue: value }
          : { doubleValue: value },
});

/** Nanoseconds as OTLP/JSON writes them. */
export const nanos = (ms: number, extra = 0) => (BigInt(ms) * 1_000_000n + BigInt(extra)).toString();

/** One resource, one scope, these metrics. */
export const metricsRequest = (metrics: object[], resource: Record<string, string> = { "service.name": "shop" }) => ({
  resourceMetrics: [
    {
      resource: { attributes: Object.entries(resource).map(([key, value]) => attribute(key, value)) },
      scopeMetrics: [{ scope: { name: "test", version: "1" }, metrics }],
    },
  ],
});

export const gauge = (name: string, value: number, timeMs: number, attributes: object[] = []) => ({
  name,
  gauge: { dataPoints: [{ asDouble: value, timeUnixNano: nanos(timeMs), attributes }] },
});
