import { bytesField, varintField } from "./fields.ts";
import type { Encoding } from "./reply.ts";

/** gRPC codes of failures by their HTTP status. Source: google.rpc.Code and its mapping to HTTP. */
const GRPC_CODES: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  405: 12,
  408: 4,
  413: 8,
  415: 3,
  429: 8,
  431: 8,
  503: 14,
};
const GRPC_INTERNAL = 13;
const GRPC_UNAVAILABLE = 14;
/** Overload of ours, not a quota of the sender's. Source: OTLP specification, "OTLP/gRPC Throttling": Unavailable. */
const OVERLOADED = "TDM_INGEST_TOO_BUSY";
/** What OTLP calls throttling: the sender is asked to come back, and told when. */
const RETRYABLE = new Set([429, 503]);
export const RETRY_AFTER_SECONDS = 2;

const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest";
const DOMAIN = "tidemark";

/** A request that failed, before it is written as a `google.rpc.Status`. */
export interface Failure {
  readonly httpStatus: number;
  /** Our stable code: the `reason` of the `google.rpc.ErrorInfo`. */
  readonly reason: string;
  readonly message: string;
  /** When to come back, in whole seconds; absent: RETRY_AFTER_SECONDS. */
  readonly retryAfterSeconds?: number | undefined;
}

/** The `google.rpc.Code` of a failure, which is also the status of a gRPC call. */
export function grpcCode({ httpStatus, reason }: Failure): number {
  if (reason === OVERLOADED) return GRPC_UNAVAILABLE;
  return GRPC_CODES[httpStatus] ?? GRPC_INTERNAL;
}

/** True where the sender should send the same again after RETRY_AFTER_SECONDS. */
export function retryable({ httpStatus }: Failure): boolean {
  return RETRYABLE.has(httpStatus);
}

/**
 * A failure as `google.rpc.Status`: an ErrorInfo with our code, a RetryInfo when the sender should come back, and a
 * BadRequest when the body cannot be read. Source: OTLP specification, "Failures", "Bad Data" and "Throttling".
 */
export function statusReply(encoding: Encoding, failure: Failure): Buffer {
  const { httpStatus, reason, message, retryAfterSeconds = RETRY_AFTER_SECONDS } = failure;
  const code = grpcCode(failure);
  const retry = retryable(failure);
  const bad = httpStatus === 400;
  if (encoding === "json") {
    const details: object[] = [{ "@type": ERROR_INFO, reason, domain: DOMAIN }];
    if (retry) details.push({ "@type": RETRY_INFO, retryDelay: `${retryAfterSeconds}s` });
    if (bad) details.push({ "@type": BAD_REQUEST, fieldViolations: [{ field: "body", description: message }] });
    return Buffer.from(JSON.stringify({ code, message, details }));
  }
  const details = [any(ERROR_INFO, Buffer.concat([bytesField(1, reason), bytesField(2, DOMAIN)]))];
  if (retry) details.push(any(RETRY_INFO, bytesField(1, varintField(1, retryAfterSeconds))));
  if (bad) {
    const violation = Buffer.concat([bytesField(1, "body"), bytesField(2, message)]);
    details.push(any(BAD_REQUEST, bytesField(1, violation)));
  }
  return Buffer.concat([varintField(1, code), bytesField(2, message), ...details.map((d) => bytesField(3, d))]);
}

function any(type: string, value: Buffer): Buffer {
  return Buffer.concat([bytesField(1, type), bytesField(2, value)]);
}
