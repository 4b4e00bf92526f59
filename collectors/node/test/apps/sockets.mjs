// A server of WebSockets on several paths, for the tests; prints its port as JSON.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { WebSocketServer } from "ws";

const server = createServer();
const echo = (socket) => {
  socket.send("hello"); // before the upgrade is over for other listeners
  socket.on("message", (data, binary) => socket.send(data, { binary }));
};
const plain = new WebSocketServer({ noServer: true }).on("connection", echo);
const deflate = new WebSocketServer({
  noServer: true,
  perMessageDeflate: { threshold: 0 },
}).on("connection", echo);
const flood = new WebSocketServer({ noServer: true }).on("connection", (socket) => socket.send(Buffer.alloc(32 << 20)));
const later = new WebSocketServer({ noServer: true }).on("connection", echo);

const accept = (target) => (request, socket, head) =>
  target.handleUpgrade(request, socket, head, (webSocket) => target.emit("connection", webSocket, request));
const paths = {
  "/plain": accept(plain),
  "/deflate": accept(deflate),
  "/flood": accept(flood),
  "/later": (...upgrade) => setTimeout(accept(later), 50, ...upgrade),
  "/refuse": (_request, socket) => socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n"),
  // Another implementation: answers the handshake, and sends a frame with "hi".
  "/other": (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.write(Buffer.from([0x81, 2, 0x68, 0x69]));
    socket.on("data", () => {});
  },
};
server.on("upgrade", (request, socket, head) =>
  paths[new URL(request.url, "http://x").pathname]?.(request, socket, head),
);
new Server(server, { destroyUpgrade: false }).on("connection", (socket) =>
  socket.on("echo", (text) => socket.emit("echo", text)),
);
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
