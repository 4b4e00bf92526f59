import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import { BadHttp, HeadersTooLarge, Internal, MethodNotAllowed, NotFound, ReceiveTimeout } from "../errors.ts";
import { CONTENT_TYPES, type Encoding } from "../otlp/reply.ts";
import { type Failure, RETRY_AFTER_SECONDS, retryable, statusReply } from "../otlp/status.ts";

const OTLP_PATH = /^\/v1\/(metrics|traces|logs)(\?|$)/;

/** The encoding a request is written in, by its content type; undefined for what is not OTLP. */
export function encodingOf(contentType: string | undefined): Encoding | undefined {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === CONTENT_TYPES.protobuf) return "protobuf";
  if (type === CONTENT_TYPES.json) return "json";
  return undefined;
}

/** Anything that was thrown, as the failure to tell the sender; what is not ours is logged and stays a plain "Internal". */
export function failureOf(error: unknown, log: FastifyBaseLogger): Failure {
  const { statusCode: httpStatus = 500, code, message, retryAfterSeconds } = error as FastifyError & Partial<Failure>;
  if (httpStatus >= 500 && !code?.startsWith("TDM_")) {
    log.error({ err: error }, "request failed");
    return failureOf(new Internal(), log);
  }
  return { httpStatus, reason: code ?? "TDM_INGEST_INTERNAL", message, retryAfterSeconds };
}

/** Answers every failure with a `google.rpc.Status` in the request's encoding (JSON when that is unknown). */
export default fp(
  async (app) => {
    app.setErrorHandler((error, request, reply) => send(reply, request, failureOf(error, request.log)));
    app.setNotFoundHandler((request, reply) => {
      const isOtlp = OTLP_PATH.test(request.url);
      if (isOtlp) reply.header("allow", "POST");
      const error = isOtlp ? new MethodNotAllowed(request.method, "POST") : new NotFound(request.url.split("?", 1)[0]);
      return send(reply, request, failureOf(error, request.log));
    });
  },
  { name: "error-replies" },
);

/** For Fastify's `frameworkErrors`: a URL that cannot be read. */
export function answerBadUrl(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void send(reply, request, failureOf(new BadHttp(error.message), request.log));
}

/** For Fastify's `clientErrorHandler`: what is no HTTP, or not in time. The connection cannot be used after it. */
export function answerBadHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  // Nothing can be said to whom no TLS session came about with.
  const handshake = /^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(error.code ?? "");
  if (handshake || error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const { code, message, statusCode = 400 } = badHttp(error);
  const body = statusReply("json", { httpStatus: statusCode, reason: code, message });
  const head = [
    `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}`,
    `content-type: ${CONTENT_TYPES.json}`,
    `content-length: ${body.length}`,
    "connection: close",
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]));
}

function badHttp({ code, message }: NodeJS.ErrnoException): FastifyError {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new ReceiveTimeout();
  if (code === "HPE_HEADER_OVERFLOW") return new HeadersTooLarge();
  return new BadHttp(message);
}

function send(reply: FastifyReply, request: FastifyRequest, failure: Failure): FastifyReply {
  const encoding = encodingOf(request.headers["content-type"]) ?? "json";
  const { httpStatus } = failure;
  if (retryable(failure)) reply.header("retry-after", String(failure.retryAfterSeconds ?? RETRY_AFTER_SECONDS));
  if (httpStatus === 401) reply.header("www-authenticate", "Bearer");
  // Fastify would close the connection on a sender in the middle of its body, which then may not see the reply.
  reply.removeHeader("connection");
  return reply.status(httpStatus).type(CONTENT_TYPES[encoding]).send(statusReply(encoding, failure));
}
