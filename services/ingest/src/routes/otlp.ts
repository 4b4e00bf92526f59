import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { MalformedRequest, Stopping, WrongContentType } from "../errors.ts";
import type { DurableLog } from "../log/durable-log.ts";
import { DIGEST_BYTES } from "../log/frame.ts";
import type { Retries } from "../log/retries.ts";
import { WrongShape } from "../otlp/json.ts";
import { CONTENT_TYPES, type Encoding, exportReply, type Signal } from "../otlp/reply.ts";
import { MalformedBody } from "../otlp/wire.ts";
import { encodingOf } from "../plugins/error-replies.ts";
import type { Decoded, Decoder } from "../rows/decoder.ts";

export interface OtlpOptions {
  readonly log: DurableLog;
  readonly decoder: Decoder;
  readonly retries: Retries;
  readonly checkToken: (request: FastifyRequest) => void;
  readonly stopping: () => boolean;
}

const SIGNALS: readonly Signal[] = ["metrics", "traces", "logs"];
const MS_PER_S = 1000;

/** POST /v1/metrics, /v1/traces and /v1/logs: answers after the data is on disk. */
export default async function otlpRoutes(app: FastifyInstance, options: OtlpOptions): Promise<void> {
  const { log, decoder, retries, checkToken, stopping } = options;

  for (const signal of SIGNALS) {
    app.route({
      method: "POST",
      url: `/v1/${signal}`,
      onRequest: async (request) => {
        checkToken(request);
        if (stopping()) throw new Stopping();
        if (encodingOf(request.headers["content-type"]) === undefined) {
          throw new WrongContentType(request.headers["content-type"] ?? "(none)");
        }
      },
      onResponse: async (_request, reply) => {
        app.telemetry.requests.inc({ signal, status: String(reply.statusCode) });
      },
      handler: (request, reply) => receive(signal, request, reply),
    });
  }

  async function receive(signal: Signal, request: FastifyRequest, reply: FastifyReply): Promise<Buffer> {
    const started = performance.now();
    const encoding = encodingOf(request.headers["content-type"]) as Encoding;
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    app.telemetry.receivedBytes.inc({ signal }, Number(request.headers["content-length"] ?? body.length));
    reply.type(CONTENT_TYPES[encoding]);
    const digest = createHash("sha1").update(signal).update(body).digest().subarray(0, DIGEST_BYTES);
    const key = digest.toString("hex");
    const answered = await retries.replyTo(key);
    if (answered !== undefined) {
      app.telemetry.repeated.inc();
      // After a restart the first reply is not known any more, only that it was a success.
      return answered.length > 0 ? answered : exportReply(signal, encoding, 0, "");
    }
    const stored = store(signal, encoding, body, digest);
    reply.raw.once("close", () => {
      if (!reply.raw.writableFinished) retries.remember(key, stored);
    });
    const answer = await stored;
    app.telemetry.acknowledgeSeconds.observe((performance.now() - started) / MS_PER_S);
    return answer;
  }

  async function store(signal: Signal, encoding: Encoding, body: Buffer, digest: Buffer): Promise<Buffer> {
    const decoded = decode(signal, encoding, body);
    if (decoded.blocks.length > 0) {
      try {
        await log.append(digest, decoded.blocks);
      } catch (error) {
        decoded.undo();
        throw error;
      }
    }
    for (const [reason, count] of decoded.rejectedBy) app.telemetry.reject(signal, reason, count);
    return exportReply(signal, encoding, decoded.rejected, decoded.message);
  }

  function decode(signal: Signal, encoding: Encoding, body: Buffer): Decoded {
    try {
      return decoder.decode(signal, encoding, body);
    } catch (error) {
      if (error instanceof MalformedBody || error instanceof SyntaxError || error instanceof WrongShape) {
        throw new MalformedRequest(error.message);
      }
      throw error;
    }
  }
}
