import type { FastifyInstance } from "fastify";
import { WrongContentType } from "../errors.ts";
import { CONTENT_TYPES, type Encoding, SIGNALS } from "../otlp/reply.ts";
import { encodingOf } from "../plugins/error-replies.ts";
import type { Receiver } from "../receive.ts";
import type { Visit } from "../security/sources.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The source that was let in with it. */
    visit: Visit | undefined;
  }
}

/** POST /v1/metrics, /v1/traces and /v1/logs: answers after the data is on disk. */
export default async function otlpRoutes(app: FastifyInstance, { receiver }: { receiver: Receiver }): Promise<void> {
  app.decorateRequest("visit", undefined);
  for (const signal of SIGNALS) {
    app.route({
      method: "POST",
      url: `/v1/${signal}`,
      onRequest: async (request, reply) => {
        const visit = receiver.admit(request.headers.authorization);
        request.visit = visit;
        reply.raw.once("close", () => visit.end());
        if (encodingOf(request.headers["content-type"]) === undefined) {
          throw new WrongContentType(request.headers["content-type"] ?? "(none)");
        }
      },
      onResponse: async (request, reply) => {
        request.visit?.end();
        app.telemetry.requests.inc({ protocol: "http", signal, status: String(reply.statusCode) });
      },
      handler: (request, reply) => {
        const encoding = encodingOf(request.headers["content-type"]) as Encoding;
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        reply.type(CONTENT_TYPES[encoding]);
        const answer = receiver.receive({
          visit: request.visit!,
          signal,
          encoding,
          body,
          sentBytes: Number(request.headers["content-length"] ?? body.length),
          onUndelivered: (undelivered) => {
            // It may have gone while its last bytes were read.
            if (reply.raw.destroyed) undelivered();
            reply.raw.once("close", () => {
              if (!reply.raw.writableFinished) undelivered();
            });
          },
        });
        return answer.finally(() => request.bodyRead());
      },
    });
  }
}
