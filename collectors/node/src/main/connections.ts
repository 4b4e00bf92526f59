import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import type { Server, Socket } from "node:net";
import type { Value } from "../shared/value.ts";
import type { Guard } from "./guard.ts";
import type { SeriesTable } from "./series.ts";

const kKind = Symbol("tidemark.connection");

interface Counts {
  readonly open: Value;
  readonly opened: Value;
}
interface CountedSocket extends Socket {
  readonly server?: Server;
  [kKind]?: Counts | undefined;
}

/**
 * Open connections by kind and direction, from Node's diagnostics channels: exact, and without patching.
 * A connection counts as `websocket` from its upgrade on. Upgrades have no channel, so servers that already listen
 * for them get one more listener; a first one would change how Node answers an upgrade, so none is added there.
 */
export class Connections {
  readonly #counts = new Map<string, Counts>();
  readonly #series: SeriesTable;
  readonly #servers = new Map<Server, boolean>();
  readonly #closed: (socket: Socket) => void;
  readonly #upgrading: (socket: Socket) => void;
  #guard: Guard | undefined;
  #onClose: ((socket: CountedSocket) => void) | undefined;

  /** `upgrading` is called for each WebSocket, before the application sees it; `closed` for each connection's end. */
  constructor(series: SeriesTable, closed: (socket: Socket) => void, upgrading: (socket: Socket) => void) {
    this.#series = series;
    this.#closed = closed;
    this.#upgrading = upgrading;
  }

  /** Starts counting; returns a function that stops it. */
  start(guard: Guard): () => void {
    this.#guard = guard;
    this.#onClose = guard((socket: CountedSocket) => {
      const counts = socket[kKind];
      if (counts === undefined) return;
      counts.open.add(-1);
      socket[kKind] = undefined;
      this.#closed(socket);
    });
    const inbound = guard((message: unknown) => this.#inbound((message as { socket: CountedSocket }).socket));
    const outbound = guard((message: unknown) => {
      const { socket } = message as { socket: CountedSocket };
      this.#count(socket, "tcp", "outbound");
    });
    subscribe("net.server.socket", inbound);
    subscribe("net.client.socket", outbound);
    return () => {
      unsubscribe("net.server.socket", inbound);
      unsubscribe("net.client.socket", outbound);
    };
  }

  /** Looks again for upgrade listeners of servers that had none. */
  recheck(): void {
    for (const [server, watched] of this.#servers) {
      if (!server.listening) this.#servers.delete(server);
      else if (!watched) this.#watchUpgrades(server);
    }
  }

  #inbound(socket: CountedSocket): void {
    const server = socket.server;
    // By a property of both kinds of HTTP server: their modules cost 14 MB where the application does not load them.
    const isHttp = server !== undefined && "headersTimeout" in server;
    if (isHttp && this.#servers.get(server) !== true) this.#watchUpgrades(server);
    this.#count(socket, isHttp ? "http" : "tcp", "inbound");
  }

  #count(socket: CountedSocket, kind: string, direction: string): void {
    const counts = this.#countsOf(kind, direction);
    counts.open.add(1);
    counts.opened.add(1);
    socket[kKind] = counts;
    const onClose = this.#onClose!;
    socket.on("close", function (this: CountedSocket) {
      onClose(this);
    });
  }

  #watchUpgrades(server: Server): void {
    if (server.listenerCount("upgrade") === 0) {
      this.#servers.set(server, false);
      return;
    }
    const onUpgrade = this.#guard!((request: IncomingMessage, socket: CountedSocket) => {
      if (request.headers.upgrade?.toLowerCase() !== "websocket") return;
      this.#upgrading(socket);
      const raw = (socket as CountedSocket & { _parent?: CountedSocket })._parent ?? socket;
      const counted = raw[kKind] === undefined ? socket : raw;
      const before = counted[kKind];
      if (before === undefined) return;
      before.open.add(-1);
      const counts = this.#countsOf("websocket", "inbound");
      counts.open.add(1);
      counts.opened.add(1);
      counted[kKind] = counts;
    });
    const onRemove = (event: string | symbol) => {
      // Were ours the only listener left, Node would wait for it to answer upgrades.
      if (
        event === "upgrade" &&
        server.listenerCount("upgrade") === 1 &&
        server.listeners("upgrade")[0] === onUpgrade
      ) {
        server.removeListener("removeListener", onRemove);
        server.removeListener("upgrade", onUpgrade);
        this.#servers.set(server, false);
      }
    };
    server.prependListener("upgrade", onUpgrade);
    server.on("removeListener", onRemove);
    this.#servers.set(server, true);
  }

  #countsOf(kind: string, direction: string): Counts {
    const key = `${kind} ${direction}`;
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      const attributes = { "tidemark.connection.kind": kind, "tidemark.connection.direction": direction };
      counts = {
        open: this.#series.value("tidemark.connections", attributes),
        opened: this.#series.value("tidemark.connections.opened", attributes),
      };
      this.#counts.set(key, counts);
    }
    return counts;
  }
}
