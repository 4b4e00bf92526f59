/**
 * A worker thread that floods the ingest at `workerData.port` with `workerData.bodies` under `workerData.token`, by
 * `workerData.senders` connections, until it is told anything; then it says how many requests were answered and the
 * milliseconds that they took together. A thread of its own, as waits in its event loop are not the ingest's.
 */
import { Agent, request } from "node:http";
import { parentPort, workerData } from "node:worker_threads";

const { port, token, bodies, senders } = workerData;
const agent = new Agent({ keepAlive: true, maxSockets: senders });
let flooding = true;
let answered = 0;
let totalMs = 0;

function send(body) {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/x-protobuf",
      authorization: `Bearer ${token}`,
      "content-length": body.length,
    };
    const sent = request({ port, host: "127.0.0.1", method: "POST", path: "/v1/metrics", headers, agent }, (reply) =>
      reply.resume().on("end", resolve),
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

/** The body with an unknown field, which makes it another request to the ingest: field 15, a varint of four bytes. */
function numbered(body, number) {
  const varint = [number & 0x7f, (number >> 7) & 0x7f, (number >> 14) & 0x7f].map((bits) => bits | 0x80);
  return Buffer.concat([body, Buffer.from([(15 << 3) | 0, ...varint, 0])]);
}

async function flood(first) {
  for (let i = first; flooding; i += senders) {
    const started = performance.now();
    await send(numbered(bodies[i % bodies.length], i));
    totalMs += performance.now() - started;
    answered++;
  }
}

parentPort.once("message", () => {
  flooding = false;
});
await Promise.all(Array.from({ length: senders }, (_, i) => flood(i)));
agent.destroy();
parentPort.postMessage({ answered, totalMs });
