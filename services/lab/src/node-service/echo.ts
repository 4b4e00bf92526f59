import { EventEmitter } from "node:events";
import type { Server } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";

const ECHO_PATH = "/ws/echo";
const MAX_MESSAGE_BYTES = 65_536;
const LAYER_PREFIX = "layer:";
const GOING_AWAY = 1001;

/**
 * Adds the WebSocket echo to a server. Text that starts with `layer:` takes the way through an in-process emitter,
 * as its twin takes the way through the Channels layer. Compression is off in both, which is fair and `ws`'s default.
 *
 * @returns closes the open sockets with "going away".
 */
export function serveEcho(server: Server): () => void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  const layer = new EventEmitter();

  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    if (request.url?.split("?", 1)[0] !== ECHO_PATH) {
      socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => echo(webSocket));
  });

  layer.on("message", (target: WebSocket, text: string) => target.send(text));

  function echo(webSocket: WebSocket): void {
    // A protocol error of the peer closes the socket; ws reports it here first.
    webSocket.on("error", () => {});
    webSocket.on("message", (data, isBinary) => {
      const text = isBinary ? "" : data.toString();
      if (text.startsWith(LAYER_PREFIX)) layer.emit("message", webSocket, text);
      else webSocket.send(data, { binary: isBinary });
    });
  }

  return () => {
    for (const webSocket of sockets.clients) webSocket.close(GOING_AWAY);
  };
}
