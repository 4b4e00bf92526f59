import createError from "@fastify/error";

/**
 * Every error the ingest answers with. Senders match the code, which is the `reason` of the `google.rpc.ErrorInfo` in
 * the reply; the second argument of each is the sentence, the third the HTTP status.
 */

/** The body is not a legal OTLP message. Do not send it again. */
export const MalformedRequest = createError("TDM_INGEST_MALFORMED_BODY", "The OTLP body cannot be read: %s", 400);
/** The body's content encoding could not be undone. Do not send it again. */
export const BadCompression = createError("TDM_INGEST_BAD_COMPRESSION", "The %s body cannot be decompressed: %s", 400);
/** This is no HTTP/1.1 request. gRPC and HTTP/2 go to TIDEMARK_OTLP_GRPC_PORT. */
export const BadHttp = createError("TDM_INGEST_BAD_HTTP", "This is no HTTP/1.1 request: %s", 400);
/** The token is missing or wrong: set TIDEMARK_TOKEN in the sender to the ingest's. */
export const Unauthorized = createError("TDM_INGEST_UNAUTHORIZED", "A bearer token is required and must match", 401);
/** The token is for other services: set service.name, or give the token this service. */
export const ServiceNotAllowed = createError(
  "TDM_INGEST_SERVICE_NOT_ALLOWED",
  "The token of source %s is not for service %s",
  403,
);
/** There is no such path. OTLP is served on /v1/metrics, /v1/traces and /v1/logs. */
export const NotFound = createError("TDM_INGEST_NOT_FOUND", "There is nothing at %s", 404);
/** OTLP is sent with POST. */
export const MethodNotAllowed = createError("TDM_INGEST_METHOD_NOT_ALLOWED", "%s is not allowed here, use %s", 405);
/** The request did not arrive in time. Send again, on a better connection or in smaller batches. */
export const ReceiveTimeout = createError("TDM_INGEST_RECEIVE_TIMEOUT", "The request did not arrive in time", 408);
/** Send smaller batches, or raise TIDEMARK_MAX_BODY_BYTES or TIDEMARK_MAX_DECOMPRESSED_BYTES. */
export const BodyTooLarge = createError("TDM_INGEST_BODY_TOO_LARGE", "The %s body is over the limit of %s bytes", 413);
/** Send application/x-protobuf or application/json. */
export const WrongContentType = createError(
  "TDM_INGEST_WRONG_CONTENT_TYPE",
  "Content type %s is not OTLP: send application/x-protobuf or application/json",
  415,
);
/** Send gzip, deflate or no compression. */
export const WrongContentEncoding = createError(
  "TDM_INGEST_WRONG_CONTENT_ENCODING",
  "Content encoding %s is not supported: send %s or none",
  415,
);
/** Send fewer or shorter headers. */
export const HeadersTooLarge = createError("TDM_INGEST_HEADERS_TOO_LARGE", "The headers are over the limit", 431);
/** Too many bytes are being received at this moment. Send again after Retry-After. */
export const TooBusy = createError("TDM_INGEST_TOO_BUSY", "%s bytes are being received, the limit is %s", 429);
/** The source sends more than it may. Send again after Retry-After. */
export const RateLimited = createError("TDM_INGEST_RATE_LIMITED", "Source %s is over its limit of %s", 429);
/** The log holds as much as it may because ClickHouse does not take it. Send again after Retry-After. */
export const LogFull = createError("TDM_INGEST_LOG_FULL", "The log holds %s bytes, the limit is %s", 503);
/** The log could not be written: the disk is full or fails. Send again after Retry-After. */
export const LogUnwritable = createError("TDM_INGEST_LOG_UNWRITABLE", "The log cannot be written: %s", 503);
/** The process is stopping. Send again after Retry-After. */
export const Stopping = createError("TDM_INGEST_STOPPING", "The ingest is stopping", 503);
/** A defect of ours: nothing of the request was kept. Send again, and report it. */
export const Internal = createError("TDM_INGEST_INTERNAL", "Internal error", 500);

/** Another ingest works on the same log directory: stop it, or set another TIDEMARK_DATA_DIR. */
export const LogLocked = createError("TDM_INGEST_LOG_LOCKED", "The log in %s is in use by process %s");
/** The log directory cannot be made or written: see TIDEMARK_DATA_DIR. */
export const LogDirectory = createError("TDM_INGEST_LOG_DIRECTORY", "The log directory %s cannot be used: %s");
/** The tokens file cannot be read or is not valid. While it runs, the ingest goes on with the tokens it knows. */
export const BadTokensFile = createError("TDM_INGEST_BAD_TOKENS_FILE", "The tokens file %s: %s");
/** A certificate or key cannot be used: the sentence names variable and file. While it runs, the ingest goes on with the ones it has. */
export const BadTls = createError("TDM_INGEST_BAD_TLS", "%s: %s %s");
/** A setting is wrong: the sentence names it. */
export const BadConfig = createError("TDM_INGEST_BAD_CONFIG", "%s");
