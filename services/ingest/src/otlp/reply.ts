import { bytesField, varintField } from "./fields.ts";

export type Signal = "metrics" | "traces" | "logs";
export type Encoding = "protobuf" | "json";

export const SIGNALS: readonly Signal[] = ["metrics", "traces", "logs"];

export const CONTENT_TYPES: Readonly<Record<Encoding, string>> = {
  protobuf: "application/x-protobuf",
  json: "application/json",
};

const REJECTED_FIELD: Readonly<Record<Signal, string>> = {
  metrics: "rejectedDataPoints",
  traces: "rejectedSpans",
  logs: "rejectedLogRecords",
};

/**
 * Body of `Export<Signal>ServiceResponse`. Without rejections it is the empty message: OTLP says that
 * `partial_success` must be unset then. Source: OTLP specification, "Partial Success".
 */
export function exportReply(signal: Signal, encoding: Encoding, rejected: number, message: string): Buffer {
  const partial = rejected > 0 || message !== "";
  if (encoding === "json") {
    const body = partial
      ? { partialSuccess: { [REJECTED_FIELD[signal]]: String(rejected), errorMessage: message } }
      : {};
    return Buffer.from(JSON.stringify(body));
  }
  if (!partial) return Buffer.alloc(0);
  return bytesField(1, Buffer.concat([varintField(1, rejected), bytesField(2, message)]));
}
