// An Express and WebSocket service for the tests; prints its port as JSON.
import { pbkdf2 } from "node:crypto";
import express from "express";
import { WebSocketServer } from "ws";

const app = express();
const items = express.Router({ mergeParams: true });
items.get("/items/:item", (request, response) => response.json(request.params));
app.use("/shops/:shop", items);
app.get("/plain", (_request, response) => response.json({ ok: true }));
app.get("/fail", () => {
  throw Object.assign(new Error("broken on purpose"), { expose: false });
});
app.use((_error, _request, response, _next) => response.status(500).end());
app.get("/never", () => {});
app.get("/block/:ms", function blockOnPurpose(request, response) {
  const end = performance.now() + Number(request.params.ms);
  while (performance.now() < end);
  response.end();
});
app.get("/hash/:times", async (request, response) => {
  const one = () => new Promise((done) => pbkdf2("secret", "salt", 80_000, 64, "sha512", done));
  await Promise.all(Array.from({ length: Number(request.params.times) }, one));
  response.end();
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
new WebSocketServer({ server }).on("connection", (socket) => socket.send("hello"));
