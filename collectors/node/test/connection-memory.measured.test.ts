import { once } from "node:events";
import { Agent, get } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type AgentProcess, addressOf, runWithAgent, until } from "./agent-process.ts";
import { type Sink, startSink } from "./otlp-sink.ts";

const TOLERANCE = 0.1;
const OPENING_MS = 5000;
const BATCHES = 50;

/** A connection opened to the application, and used once. */
type Open = (port: string, deflate: boolean) => Promise<{ close(): void }>;

const webSocket: Open = async (port, perMessageDeflate) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate });
  await once(socket, "open");
  socket.send("x".repeat(2000));
  await once(socket, "message");
  return { close: () => socket.terminate() };
};

const keepAlive: Open = async (port) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const [response] = await once(get({ port, host: "127.0.0.1", agent }), "response");
  response.resume();
  await once(response, "end");
  return { close: () => agent.destroy() };
};

/** The application notes its own connections and memory; one line of JSON when asked. */
const application = (deflate: boolean) => `
  import { readFileSync } from "node:fs";
  import { createServer } from "node:http";
  import { createRequire } from "node:module";
  const { WebSocketServer } = createRequire(${JSON.stringify(import.meta.url)})("ws");
  const pairs = [];
  const server = createServer((request, response) => response.end(request.url === "/pairs" ? JSON.stringify(pairs) : "ok"));
  server.keepAliveTimeout = 0;
  let open = 0;
  server.on("connection", (socket) => { open += 1; socket.on("close", () => { open -= 1; }); });
  new WebSocketServer({ server, perMessageDeflate: ${deflate ? "{ threshold: 0 }" : "false"} })
    .on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
  const anonymous = () => 1024 * Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  setInterval(() => pairs.push([open, anonymous()]), 50);
  server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));`;

/** Bytes for each connection: Theil-Sen over the pairs while connections rose. */
function offlineFit(pairs: readonly (readonly [number, number])[]): number {
  const latest = [...new Map(pairs)];
  const slopes = latest.flatMap(([connections, bytes], index) =>
    latest.slice(index + 1).map(([more, moreBytes]) => (moreBytes - bytes) / (more - connections)),
  );
  slopes.sort((a, b) => a - b);
  return slopes[slopes.length >> 1]!;
}

describe.runIf(process.platform === "linux")("memory per connection", () => {
  let sink: Sink;
  let app: AgentProcess;
  const connections: { close(): void }[] = [];
  beforeEach(async () => {
    sink = await startSink();
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.close();
    await app.stop();
    await sink.close();
  });

  it.each([
    { title: "ws, plain", kind: "websocket", open: webSocket, deflate: false, total: 1500 },
    { title: "ws with permessage-deflate", kind: "websocket", open: webSocket, deflate: true, total: 400 },
    { title: "HTTP keep-alive", kind: "http", open: keepAlive, deflate: false, total: 1500 },
  ])(
    "is that of an offline fit of the process's own readings: $title",
    async ({ title, kind, open, deflate, total }) => {
      app = runWithAgent({ code: application(deflate) }, sink.url, { TIDEMARK_TRACES: "0" });
      const url = await addressOf(app);
      const { port } = new URL(url);
      const startMs = performance.now();
      for (let batch = 1; batch <= BATCHES; batch++) {
        const opened = Array.from({ length: total / BATCHES }, () => open(port, deflate));
        connections.push(...(await Promise.all(opened)));
        await until("the next batch is due", () => performance.now() - startMs > (OPENING_MS * batch) / BATCHES);
      }
      const doneAt = Date.now();
      const attributes = { "tidemark.connection.kind": kind, "tidemark.memory.type": "rss_anon" };
      const told = await until("the slope is told", () =>
        sink.select("tidemark.memory.per_connection", attributes).find(({ startMs: from }) => from > doneAt),
      );
      const pairs = (await (await fetch(`${url}/pairs`)).json()) as [number, number][];
      const truth = offlineFit(pairs.filter(([count]) => count <= total));
      console.log(`${title}: ${Math.round(told.value)} bytes for each connection, offline ${Math.round(truth)}`);
      expect(Math.abs(told.value - truth)).toBeLessThan(TOLERANCE * truth);
    },
  );

  it("is absent where connections hardly vary", async () => {
    app = runWithAgent({ code: application(false) }, sink.url, { TIDEMARK_TRACES: "0" });
    const { port } = new URL(await addressOf(app));
    for (let count = 0; count < 30; count++) connections.push(await keepAlive(port, false));
    const openAt = Date.now();
    await until("several intervals are told", () => (sink.points.at(-1)?.timeMs ?? 0) > openAt + 2500);
    expect(sink.select("tidemark.connections.memory", { "tidemark.connection.kind": "http" }).length).toBeGreaterThan(
      3,
    );
    expect(sink.select("tidemark.memory.per_connection")).toEqual([]);
  });
});
