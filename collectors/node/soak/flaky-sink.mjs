import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";

const DEFINITIONS = fileURLToPath(new URL("../test/fixtures/otlp.proto", import.meta.url));
const type = protobuf.loadSync(DEFINITIONS).lookupType("otlp.ExportMetricsServiceRequest");

/** An OTLP endpoint that goes away and comes back, and adds up what it gets in between. */
export async function startFlakySink() {
  const routes = new Set();
  const sums = new Map();
  let exports = 0;
  let downMs = 0;
  let totalMs = 0;
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === "/v1/metrics") {
      const { resourceMetrics } = type.decode(gunzipSync(Buffer.concat(chunks)));
      for (const { scopeMetrics } of resourceMetrics) for (const { metrics } of scopeMetrics) metrics.forEach(take);
      exports += 1;
    }
    response.setHeader("content-type", "application/json").end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();

  function take({ name, sum, exponentialHistogram }) {
    for (const { attributes, asDouble } of (sum ?? exponentialHistogram)?.dataPoints ?? []) {
      if (sum !== undefined && sum !== null) sums.set(name, (sums.get(name) ?? 0) + (asDouble ?? 0));
      const route = attributes.find(({ key }) => key === "http.route")?.value.stringValue;
      if (name === "http.server.request.duration" && route !== undefined) routes.add(route);
    }
  }

  return {
    url: `http://127.0.0.1:${port}`,
    routes,
    exports: () => exports,
    sum: (name) => sums.get(name) ?? 0,
    downShare: () => downMs / totalMs,
    /** Up and down in turns, each of that length; ends when it is up again. */
    async flip(turns, turnMs) {
      for (let turn = 0; turn < turns; turn++) {
        const down = turn % 2 === 1;
        const fromMs = performance.now();
        if (down) {
          server.closeAllConnections();
          server.close();
        }
        await new Promise((done) => setTimeout(done, turnMs));
        if (down) {
          server.listen(port, "127.0.0.1");
          await once(server, "listening");
          downMs += performance.now() - fromMs;
        }
        totalMs += performance.now() - fromMs;
      }
    },
    /** Waits for two more exports. */
    async heard(withinMs) {
      const wanted = exports + 2;
      const untilMs = performance.now() + withinMs;
      while (exports < wanted && performance.now() < untilMs) await new Promise((done) => setTimeout(done, 50));
    },
    async close() {
      server.closeAllConnections();
      if (server.listening) server.close();
    },
  };
}
