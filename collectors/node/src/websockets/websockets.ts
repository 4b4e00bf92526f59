import type { Socket } from "node:net";
import type { Guard } from "../main/guard.ts";
import type { SeriesTable } from "../main/series.ts";

/** Connections whose bytes are read at one tick: a bound on what a tick costs, whatever is open. */
const READ_PER_TICK = 500;
const OPCODE_BITS = 0x0f;
const TEXT = 1;
const BINARY = 2;

const kOpen = Symbol("tidemark.websocket");
const kWrapped = Symbol.for("tidemark.wrapped");

/** What is observed of the package `ws`, versions 7 and 8. */
interface WebSocketOfWs {
  readonly bufferedAmount: number;
  readonly extensions: string;
  readonly _receiver: MessageReceiver;
  readonly _sender: object;
}
interface MessageReceiver {
  on(event: "message", listener: (this: MessageReceiver) => void): unknown;
  [kOpen]?: OpenWebSocket;
}
interface FrameSender {
  readonly _socket?: ObservedSocket;
}
interface ObservedSocket extends Socket {
  [kOpen]?: OpenWebSocket | undefined;
  [symbol: symbol]: unknown;
}
type SendFrame = ((this: FrameSender, frames: readonly Buffer[], ...rest: unknown[]) => unknown) & {
  [kWrapped]?: true;
};

/** One open WebSocket, and what was read of it last. */
interface OpenWebSocket {
  readonly socket: ObservedSocket;
  readonly webSocket: WebSocketOfWs;
  readonly compressed: boolean;
  place: number;
  bytesRead: number;
  bytesWritten: number;
  buffered: number;
}

/**
 * Messages, bytes, buffered bytes and compression of the WebSockets that a server of `ws` has accepted, and so those of
 * Socket.IO. Received messages are seen by one more listener, bytes are the socket's own counts; only sent messages
 * need a wrapped function, the one through which all frames go. Other WebSocket servers are left alone.
 */
export class WebSockets {
  readonly #open: OpenWebSocket[] = [];
  readonly #series: SeriesTable;
  readonly #guard: Guard;
  readonly #closed: (this: ObservedSocket) => void;
  readonly #received: (this: MessageReceiver) => void;
  #totals: ReturnType<typeof totals> | undefined;
  #next = 0;

  constructor(series: SeriesTable, guard: Guard) {
    this.#series = series;
    this.#guard = guard;
    const closed = guard((socket: ObservedSocket) => this.#close(socket[kOpen]));
    this.#closed = function (this: ObservedSocket) {
      closed(this);
    };
    const received = guard(() => this.#totals!.messagesIn.add(1));
    this.#received = function (this: MessageReceiver) {
      if (this[kOpen] !== undefined) received(undefined);
    };
  }

  /**
   * To be called before a server's own listeners see an upgrade. The socket is known to be a WebSocket of `ws` when
   * that listens for its data, whether at once or after it has asked somebody for leave.
   */
  upgrading(socket: Socket): void {
    const observed = socket as ObservedSocket;
    const onNewListener = this.#guard((event: string | symbol) => {
      if (event !== "data") return;
      const key = Object.getOwnPropertySymbols(observed).find(({ description }) => description === "websocket");
      const webSocket = key === undefined ? undefined : (observed[key] as Partial<WebSocketOfWs> | undefined);
      if (typeof webSocket?._receiver?.on !== "function" || typeof webSocket._sender !== "object") return;
      observed.removeListener("newListener", onNewListener);
      this.#accepted(observed, webSocket as WebSocketOfWs);
    });
    observed.on("newListener", onNewListener);
  }

  /** To be called every 250 ms. */
  tick(): void {
    const count = Math.min(READ_PER_TICK, this.#open.length);
    for (let read = 0; read < count; read++) {
      this.#next = (this.#next + 1) % this.#open.length;
      this.#read(this.#open[this.#next]!);
    }
  }

  #accepted(socket: ObservedSocket, webSocket: WebSocketOfWs): void {
    this.#totals ??= totals(this.#series);
    const { bytesRead, bytesWritten } = socket;
    const compressed = webSocket.extensions.includes("permessage-deflate");
    const place = this.#open.length;
    const open = { socket, webSocket, compressed, place, bytesRead, bytesWritten, buffered: 0 };
    this.#open.push(open);
    if (compressed) this.#totals.compressed.add(1);
    socket[kOpen] = open;
    webSocket._receiver[kOpen] = open;
    webSocket._receiver.on("message", this.#received);
    socket.on("close", this.#closed);
    this.#wrapSender(Object.getPrototypeOf(webSocket._sender) as { sendFrame?: SendFrame });
  }

  /** Once for each copy of `ws` in the process. */
  #wrapSender(prototype: { sendFrame?: SendFrame }): void {
    const { sendFrame } = prototype;
    if (typeof sendFrame !== "function" || sendFrame[kWrapped] === true) return;
    const sent = this.#guard((sender: FrameSender, frames: readonly Buffer[]) => {
      if (sender._socket?.[kOpen] === undefined) return; // a client's
      const opcode = frames[0]![0]! & OPCODE_BITS; // further fragments of a message have none
      if (opcode === TEXT || opcode === BINARY) this.#totals!.messagesOut.add(1);
    });
    const wrapped: SendFrame = function (frames, ...rest) {
      sent(this, frames);
      return sendFrame.call(this, frames, ...rest);
    };
    wrapped[kWrapped] = true;
    prototype.sendFrame = wrapped;
  }

  #read(open: OpenWebSocket): void {
    const { bytesRead, bytesWritten } = open.socket;
    const buffered = open.socket.destroyed ? 0 : open.webSocket.bufferedAmount;
    const { bytesIn, bytesOut, buffered: all } = this.#totals!;
    bytesIn.add(Math.max(0, bytesRead - open.bytesRead));
    bytesOut.add(Math.max(0, bytesWritten - open.bytesWritten));
    all.add(buffered - open.buffered);
    open.bytesRead = bytesRead;
    open.bytesWritten = bytesWritten;
    open.buffered = buffered;
  }

  #close(open: OpenWebSocket | undefined): void {
    if (open === undefined) return;
    open.socket[kOpen] = undefined;
    this.#read(open);
    if (open.compressed) this.#totals!.compressed.add(-1);
    const last = this.#open.pop()!;
    if (last === open) return;
    this.#open[open.place] = last;
    last.place = open.place;
  }
}

function totals(series: SeriesTable) {
  const of = (direction: string) => ({ "tidemark.connection.direction": direction });
  return {
    messagesIn: series.value("tidemark.websocket.messages", of("inbound")),
    messagesOut: series.value("tidemark.websocket.messages", of("outbound")),
    bytesIn: series.value("tidemark.websocket.bytes", of("inbound")),
    bytesOut: series.value("tidemark.websocket.bytes", of("outbound")),
    buffered: series.value("tidemark.websocket.buffered", {}),
    compressed: series.value("tidemark.websocket.compressed", {}),
  };
}
