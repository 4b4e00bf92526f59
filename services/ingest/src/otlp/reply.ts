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
  return bytesField(1, Buffer.concat([varintField(1, rejected), bytesField(2, Buffer.from(message))]));
}

/** gRPC codes that OTLP/HTTP replies use. Source: google.rpc.Code. */
const GRPC_CODES: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  404: 5,
  405: 12,
  413: 8,
  415: 3,
  429: 8,
  503: 14,
};
const GRPC_INTERNAL = 13;
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";

/** Body of a failure: `google.rpc.Status`, with our stable code as the reason of a `google.rpc.ErrorInfo`. */
export function statusReply(encoding: Encoding, httpStatus: number, reason: string, message: string): Buffer {
  const code = GRPC_CODES[httpStatus] ?? GRPC_INTERNAL;
  if (encoding === "json") {
    return Buffer.from(
      JSON.stringify({ code, message, details: [{ "@type": ERROR_INFO, reason, domain: "tidemark" }] }),
    );
  }
  const info = Buffer.concat([bytesField(1, Buffer.from(reason)), bytesField(2, Buffer.from("tidemark"))]);
  const any = Buffer.concat([bytesField(1, Buffer.from(ERROR_INFO)), bytesField(2, info)]);
  return Buffer.concat([varintField(1, code), bytesField(2, Buffer.from(message)), bytesField(3, any)]);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.from([field << 3, ...varint(value)]);
}

function bytesField(field: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(value.length)]), value]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return bytes;
}
