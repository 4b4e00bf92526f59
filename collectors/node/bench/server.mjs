// The application under measurement: a handler that does nothing. Its parent asks for CPU time and memory over IPC.
import { createServer } from "node:http";

const server = createServer((_request, response) => response.end("ok"));
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

process.on("message", (message) => {
  if (message === "end") process.exit(0);
  const { user, system } = process.cpuUsage();
  process.send({ cpuMicroseconds: user + system, rssBytes: process.memoryUsage.rss() });
});
process.on("disconnect", () => process.exit(0));
