import type { Server, Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import fp from "fastify-plugin";
import { isLoopback } from "../config.ts";
import { answerBadHttp } from "../plugins/error-replies.ts";

const MS_PER_S = 1000;

export interface SlowSendersOptions {
  /** Least rate at which a body must arrive, once `graceMs` are over. */
  readonly minBytesPerSecond: number;
  readonly graceMs: number;
  readonly sweepMs: number;
}

interface Receiving {
  readonly socket: Socket;
  readonly since: number;
  readonly bytesBefore: number;
}

/**
 * Ends connections whose body comes in too slowly: a body of one byte a minute would hold memory and a place for as long
 * as the body's timeout. Headers have Node's own timeout.
 */
export default fp<SlowSendersOptions>(
  async (app: FastifyInstance, { minBytesPerSecond, graceMs, sweepMs }) => {
    const receiving = new Map<object, Receiving>();
    const timer = setInterval(() => {
      const now = performance.now();
      for (const [request, { socket, since, bytesBefore }] of receiving) {
        const elapsed = now - since;
        if (elapsed < graceMs) continue;
        if ((socket.bytesRead - bytesBefore) / (elapsed / MS_PER_S) >= minBytesPerSecond) continue;
        receiving.delete(request);
        app.telemetry.slow.inc();
        // The reply goes out if the sender still reads; the connection ends either way.
        answerBadHttp(Object.assign(new Error("too slow"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket);
        socket.destroySoon();
      }
    }, sweepMs);
    timer.unref();
    app.addHook("onRequest", async ({ raw }) => {
      const { socket } = raw;
      receiving.set(raw, { socket, since: performance.now(), bytesBefore: socket.bytesRead });
    });
    // The body is there.
    app.addHook("preValidation", async ({ raw }) => void receiving.delete(raw));
    app.addHook("onResponse", async ({ raw }) => void receiving.delete(raw));
    app.addHook("onRequestAbort", async ({ raw }) => void receiving.delete(raw));
    app.addHook("onClose", async () => clearInterval(timer));
  },
  { name: "slow-senders" },
);

/** Keeps any one address from taking all connections; the loopback, where a proxy or an agent may sit, is let be. */
export class ConnectionsPerAddress {
  private readonly limit: number;
  private readonly refused: () => void;
  private readonly counts = new Map<string, number>();

  constructor(limit: number, refused: () => void) {
    this.limit = limit;
    this.refused = refused;
  }

  watch(server: Server): void {
    server.prependListener("connection", (socket: Socket) => this.connected(socket));
  }

  connected(socket: Pick<Socket, "remoteAddress" | "destroy" | "once">): void {
    const address = socket.remoteAddress;
    if (address === undefined || isLoopback(address)) return;
    const count = this.counts.get(address) ?? 0;
    if (count >= this.limit) {
      this.refused();
      socket.destroy();
      return;
    }
    this.counts.set(address, count + 1);
    socket.once("close", () => {
      const left = this.counts.get(address)! - 1;
      if (left === 0) this.counts.delete(address);
      else this.counts.set(address, left);
    });
  }
}
