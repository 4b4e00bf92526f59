// The application under soak. It serves HTTP, and publishes what Node publishes for each request on its diagnostics
// channels, so that ten million requests take a minute. Its parent asks for its state over IPC.
import { channel } from "node:diagnostics_channel";
import { createServer } from "node:http";

const SOCKETS = 64;
const BATCH = 2000;
const MS_PER_S = 1000;

const [requests, routes, seconds] = process.argv.slice(2).map(Number);
const started = channel("http.server.request.start");
const finished = channel("http.server.response.finish");
const sockets = Array.from({ length: SOCKETS }, () => ({}));

let thrown = 0;
process.on("uncaughtException", () => {
  thrown += 1;
});

const server = createServer((request, response) => {
  request.route = { path: `/real${request.url}` }; // as a framework leaves it
  response.end("ok");
});
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));

let published = 0;
let startMs = 0;

/** One request as Node's channels tell it: of the next of the distinct routes, on one of the connections. */
function publish() {
  const socket = sockets[published % SOCKETS];
  const request = { method: "GET", headers: {}, socket, route: { path: `/soak/${published % routes}` } };
  const response = { statusCode: published % 100 === 0 ? 500 : 200 };
  published += 1;
  const message = { request, response, socket, server };
  started.publish(message);
  finished.publish(message);
}

/** Keeps to an even rate; leaves the loop free in between. */
function run() {
  const due = Math.min(requests, (requests * (performance.now() - startMs)) / (seconds * MS_PER_S));
  for (let done = 0; published < due && done < BATCH; done++) publish();
  if (published < requests) setImmediate(run);
}

process.on("message", (message) => {
  if (message === "end") process.exit(thrown > 0 ? 1 : 0);
  if (message === "run") {
    startMs = performance.now();
    run();
  } else process.send({ published, thrown, rssBytes: process.memoryUsage.rss() });
});
