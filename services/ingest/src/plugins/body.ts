import type { Readable } from "node:stream";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import type { FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import { BodyBuffers } from "../body-buffers.ts";
import { BadCompression, BodyTooLarge, RateLimited, TooBusy, WrongContentEncoding } from "../errors.ts";
import type { HeldBytes } from "../held-bytes.ts";

export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly maxDecompressedBytes: number;
  /** Bytes of all requests in memory. */
  readonly heldBytes: HeldBytes;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Bytes of this request that count against the limit of all requests in memory. */
    heldBytes: number;
    /** To be called when nobody reads `body` any more: its bytes are another request's then. */
    bodyRead(): void;
  }
}

type Decompress = (body: Buffer, options: { maxOutputLength: number; chunkSize: number }) => Promise<Buffer>;

const gunzip = promisify(zlib.gunzip) as Decompress;
const DECOMPRESS: Readonly<Record<string, Decompress>> = {
  gzip: gunzip,
  // Source: RFC 9110, section 8.4.1.3.
  "x-gzip": gunzip,
  deflate: promisify(zlib.inflate) as Decompress,
  // Node 22.15 and later.
  ...("zstdDecompress" in zlib ? { zstd: promisify(zlib.zstdDecompress as typeof zlib.gunzip) as Decompress } : {}),
};

/**
 * Bytes that are decompressed in one go. Each go is a turn of the event loop: at zlib's own 16 KiB a body of 64 MiB takes
 * 4,096 of them, which on a busy process are longer than senders wait.
 */
function chunkSize(sentBytes: number): number {
  return Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, EXPECTED_RATIO * sentBytes));
}
const MIN_CHUNK_BYTES = 16 * 1024;
const MAX_CHUNK_BYTES = 1024 * 1024;
/** Of OTLP, by gzip. */
const EXPECTED_RATIO = 8;

/**
 * Reads bodies as bytes, decompressed, and refuses what is too large while it arrives: a sender that says nothing or
 * lies about the length, and a small body that unpacks to a huge one, both end at the limit and not in memory.
 */
export default fp<BodyLimits>(
  async (app, { maxBodyBytes, maxDecompressedBytes, heldBytes }) => {
    const hold = (request: FastifyRequest, bytes: number) => {
      // The sender is gone and what it held is released: nobody would release this.
      if (request.raw.socket?.destroyed) return;
      request.visit?.hold(bytes);
      heldBytes.take(bytes);
      request.heldBytes += bytes;
    };
    const release = (request: FastifyRequest) => {
      heldBytes.give(request.heldBytes);
      request.heldBytes = 0;
    };

    const buffers = new BodyBuffers();
    app.decorateRequest("heldBytes", 0);
    app.decorateRequest("bodyRead", function (this: FastifyRequest) {
      const { body } = this;
      this.body = undefined;
      if (Buffer.isBuffer(body)) buffers.give(body);
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", async (request: FastifyRequest, payload: Readable) => {
      const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
      const decompress = Object.hasOwn(DECOMPRESS, encoding) ? DECOMPRESS[encoding] : undefined;
      if (encoding !== "identity" && decompress === undefined) {
        throw new WrongContentEncoding(encoding, Object.keys(DECOMPRESS).join(", "));
      }
      const { visit } = request;
      const limit = Math.min(maxBodyBytes, visit?.maxBodyBytes ?? maxBodyBytes);
      if (Number(request.headers["content-length"] ?? 0) > limit) throw new BodyTooLarge("sent", String(limit));
      const chunks: Buffer[] = [];
      let length = 0;
      try {
        for await (const chunk of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
          length += chunk.length;
          visit?.received(chunk.length);
          if (length > limit) throw new BodyTooLarge("sent", String(limit));
          hold(request, chunk.length);
          chunks.push(chunk);
        }
      } catch (error) {
        // The rest is thrown away as it comes: closing the connection on a sender that still sends would lose the reply.
        payload.resume();
        throw error;
      }
      const sent = chunks.length === 1 ? chunks[0]! : buffers.join(chunks, length);
      if (decompress === undefined) return sent;
      try {
        const body = await decompress(sent, {
          maxOutputLength: maxDecompressedBytes,
          chunkSize: chunkSize(sent.length),
        });
        hold(request, body.length);
        return body;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
          throw new BodyTooLarge("decompressed", String(maxDecompressedBytes));
        }
        if (error instanceof TooBusy || error instanceof RateLimited) throw error;
        throw new BadCompression(encoding, (error as Error).message);
      } finally {
        buffers.give(sent);
      }
    });
    app.addHook("onResponse", async (request) => release(request));
    app.addHook("onRequestAbort", async (request) => release(request));
  },
  { name: "body" },
);
