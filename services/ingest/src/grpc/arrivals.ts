import { constants, type ServerHttp2Stream } from "node:http2";
import type { Server as NetServer } from "node:net";
import { type Metadata, type Server, type ServerInterceptingCallInterface, status } from "@grpc/grpc-js";
import { BodyTooLarge } from "../errors.ts";
import type { HeldBytes } from "../held-bytes.ts";
import type { Visit } from "../security/sources.ts";

/** Compressed flag and length before a message. Source: gRPC over HTTP/2, "Length-Prefixed-Message". */
export const MESSAGE_PREFIX_BYTES = 5;
/** What a sender has to end its stream after a refusal, before it is ended. */
const STOP_MS = 1_000;

/**
 * One call from its headers to its last byte: counts what arrives, as it arrives, against the limit of all requests in
 * memory, and knows how the call ended.
 */
export class CallArrival {
  private readonly stream: ServerHttp2Stream;
  private readonly heldBytes: HeldBytes;
  private visit: Visit | undefined;
  private held = 0;
  /** Bytes of the message as sent, with its prefix. */
  private received = 0;

  constructor(stream: ServerHttp2Stream, heldBytes: HeldBytes) {
    this.stream = stream;
    this.heldBytes = heldBytes;
    stream.once("close", () => this.release());
  }

  get sentBytes(): number {
    return Math.max(0, this.received - MESSAGE_PREFIX_BYTES);
  }

  /** `refuse` is called at most once, with BodyTooLarge, TooBusy or RateLimited, and nothing is counted after it. */
  watch(visit: Visit, refuse: (error: Error) => void): void {
    this.visit = visit;
    const { maxBodyBytes } = visit;
    const count = (chunk: Buffer) => {
      try {
        this.received += chunk.length;
        visit.received(chunk.length);
        if (this.sentBytes > maxBodyBytes) throw new BodyTooLarge("sent", String(maxBodyBytes));
        this.hold(chunk.length);
      } catch (error) {
        this.stream.off("data", count);
        refuse(error as Error);
      }
    };
    this.stream.on("data", count);
  }

  /** Throws TooBusy or RateLimited. */
  hold(bytes: number): void {
    // The sender is gone and what it held is released: nobody would release this.
    if (this.stream.closed) return;
    this.visit?.hold(bytes);
    this.heldBytes.take(bytes);
    this.held += bytes;
  }

  private release(): void {
    this.heldBytes.give(this.held);
    this.held = 0;
  }

  /**
   * After a refusal: gives back what the call held and ends its stream when the sender does not. At once it would be legal
   * (RFC 9113, section 8.1), but clients on Node 22 lose the status by it.
   */
  stop(): void {
    this.release();
    const timer = setTimeout(() => this.stream.close(constants.NGHTTP2_NO_ERROR), STOP_MS);
    this.stream.once("close", () => clearTimeout(timer));
  }

  /** Tells the code the call ends or has ended with: CANCELLED when the sender left before it was told one. */
  onEnd(tell: (code: number) => void): void {
    const ended = () => {
      const { rstCode, sentHeaders, sentTrailers } = this.stream;
      const told = Number(sentTrailers?.["grpc-status"] ?? sentHeaders?.["grpc-status"] ?? Number.NaN);
      const unheard = Number.isNaN(told) || (told === status.OK && rstCode !== constants.NGHTTP2_NO_ERROR);
      tell(unheard ? status.CANCELLED : told);
    };
    if (this.stream.destroyed) ended();
    else this.stream.once("close", ended);
  }
}

/**
 * The HTTP/2 stream of a call. grpc-js keeps it to itself: it is the only way to see bytes before a whole message is
 * in memory, so the tests of the limits and of broken connections hold grpc-js to it when it is updated.
 */
export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  const { stream } = call as unknown as { readonly stream?: ServerHttp2Stream };
  if (stream === undefined) throw new Error("this version of @grpc/grpc-js hides the stream of a call");
  return stream;
}

/** The servers that listen for a gRPC server, which keeps them to itself too: only they see connections before a call. */
export function serversOf(server: Server): Iterable<NetServer> {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<NetServer, unknown> };
  if (http2Servers === undefined) throw new Error("this version of @grpc/grpc-js hides its HTTP/2 servers");
  return http2Servers.keys();
}

export function authorizationOf(metadata: Metadata): string | undefined {
  return metadata.get("authorization")[0]?.toString();
}
