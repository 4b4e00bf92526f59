// The application under measurement: a handler that does nothing but count. Its parent asks for CPU time, requests and memory over IPC.
import { createServer } from "node:http";

let requests = 0;
const server = createServer((_request, response) => {
  requests += 1;
  response.end("ok");
});
server.keepAliveTimeout = 0; // connections stay while their load stands still
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

process.on("message", (message) => {
  if (message === "end") process.exit(0);
  const { user, system } = process.cpuUsage();
  process.send({
    cpuMicroseconds: user + system,
    wallMicroseconds: performance.now() * 1000,
    requests,
    rssBytes: process.memoryUsage.rss(),
  });
});
process.on("disconnect", () => process.exit(0));
