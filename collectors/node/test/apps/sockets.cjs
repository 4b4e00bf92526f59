// The least CommonJS server of WebSockets; prints its port as JSON.
const { createServer } = require("node:http");
const { WebSocketServer } = require("ws");

const server = createServer();
new WebSocketServer({ server }).on("connection", (socket) => socket.send("hello"));
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
