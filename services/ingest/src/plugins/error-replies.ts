import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import { Internal, MethodNotAllowed, NotFound } from "../errors.ts";
import { CONTENT_TYPES, type Encoding, statusReply } from "../otlp/reply.ts";

const RETRY_AFTER_SECONDS = 2;
const OTLP_PATH = /^\/v1\/(metrics|traces|logs)(\?|$)/;

/** The encoding a request is written in, by its content type; undefined for what is not OTLP. */
export function encodingOf(contentType: string | undefined): Encoding | undefined {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === CONTENT_TYPES.protobuf) return "protobuf";
  if (type === CONTENT_TYPES.json) return "json";
  return undefined;
}

/** Answers every failure with a `google.rpc.Status` in the request's encoding (JSON when that is unknown). */
export default fp(
  async (app) => {
    app.setErrorHandler((error: FastifyError, request, reply) => {
      const status = error.statusCode ?? 500;
      if (status >= 500 && !error.code?.startsWith("TDM_")) {
        request.log.error({ err: error }, "request failed");
        return send(reply, request, 500, new Internal());
      }
      return send(reply, request, status, error);
    });
    app.setNotFoundHandler((request, reply) => {
      if (!OTLP_PATH.test(request.url)) return send(reply, request, 404, new NotFound(request.url.split("?", 1)[0]));
      reply.header("allow", "POST");
      return send(reply, request, 405, new MethodNotAllowed(request.method, "POST"));
    });
  },
  { name: "error-replies" },
);

function send(reply: FastifyReply, request: FastifyRequest, status: number, error: FastifyError): FastifyReply {
  const encoding = encodingOf(request.headers["content-type"]) ?? "json";
  if (status === 429 || status === 503) reply.header("retry-after", String(RETRY_AFTER_SECONDS));
  if (status === 401) reply.header("www-authenticate", "Bearer");
  // What is left of a body that was refused half-way must not be read as the next request.
  if (status === 413 || status === 429) reply.header("connection", "close");
  return reply
    .status(status)
    .type(CONTENT_TYPES[encoding])
    .send(statusReply(encoding, status, error.code ?? "TDM_INGEST_INTERNAL", error.message));
}
