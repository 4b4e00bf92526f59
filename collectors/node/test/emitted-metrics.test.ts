import { METRICS, POINT_ATTRIBUTES, RESOURCE_ATTRIBUTES } from "@tidemark/semconv";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "./agent-process.ts";
import { type Sink, startSink } from "./otlp-sink.ts";

const METRIC = new Map(METRICS.map((metric) => [metric.name, metric]));
const ATTRIBUTE = new Map<string, string>(POINT_ATTRIBUTES.map(({ name, type }) => [name, type]));

describe.each(TEST_NODES)("an Express and WebSocket service under the agent on Node %s", (_version, node) => {
  let sink: Sink;
  let app: AgentProcess;
  let url: string;
  const sockets: WebSocket[] = [];
  const sum = (metric: string, attributes: Record<string, string | number>) =>
    sink.select(metric, attributes).reduce((total, { value, histogram }) => total + (histogram?.count ?? value), 0);

  beforeAll(async () => {
    sink = await startSink();
    app = runWithAgent("shop.mjs", sink.url, { OTEL_SERVICE_NAME: "shop", TIDEMARK_TRACE_RATIO: "0" }, PRELOAD, node);
    url = await addressOf(app);
    for (const path of [
      "/plain",
      "/plain",
      "/shops/1/items/7",
      "/shops/2/items/8?key=secret",
      "/fail",
      "/x/1",
      "/x/2",
    ]) {
      await fetch(url + path).then((response) => response.text());
    }
    const aborted = new AbortController();
    const never = fetch(`${url}/never`, { signal: aborted.signal }).catch(() => {});
    await until("the request is in flight", () =>
      sink.select("http.server.active_requests").some((p) => p.value === 1),
    );
    aborted.abort();
    await never;
    for (let index = 0; index < 3; index++) {
      const socket = new WebSocket(url.replace("http", "ws"));
      await new Promise((open) => socket.once("open", open));
      sockets.push(socket);
    }
    await until("the aborted request is told", () => sum("http.server.request.duration", { "error.type": "aborted" }));
    await until("the sockets are told", () =>
      sink.select("tidemark.connections", { "tidemark.connection.kind": "websocket" }).some(({ value }) => value === 3),
    );
    await until("heap and delay are told", () => sink.select("nodejs.eventloop.delay.p99").length > 0);
  });
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await app.stop();
    await sink.close();
  });

  it("sends only metrics of the registry, with their unit, kind and attributes", () => {
    for (const point of sink.points) {
      const metric = METRIC.get(point.metric);
      expect(metric, point.metric).toBeDefined();
      expect(point.unit, point.metric).toBe(metric!.unit);
      expect(point.instrument, point.metric).toBe(metric!.instrument);
      expect(metric!.runtimes, point.metric).toContain("node");
      for (const [key, value] of Object.entries(point.attributes)) {
        expect(metric!.attributes, point.metric).toContain(key);
        const type = ATTRIBUTE.get(key);
        expect(typeof value, `${point.metric} ${key}`).toBe(type === "int" || type === "double" ? "number" : type);
      }
    }
  });

  it("sends every saturation metric that applies to the event loop and the thread pool", () => {
    for (const name of ["capacity", "busy", "busy.max", "wait", "stall_age"]) {
      const loop = { "tidemark.resource.kind": "event_loop", "tidemark.resource.name": "main" };
      expect(sink.select(`tidemark.resource.${name}`, loop).length, name).toBeGreaterThan(0);
    }
    for (const lane of ["fast", "slow"]) {
      const pool = { "tidemark.resource.kind": "thread_pool", "tidemark.resource.name": lane };
      expect(sink.select("tidemark.resource.capacity", pool).at(-1)?.value).toBe(lane === "fast" ? 4 : 2);
      for (const name of ["wait", "stall_age"]) {
        expect(sink.select(`tidemark.resource.${name}`, pool).length, `${lane} ${name}`).toBeGreaterThan(0);
      }
    }
  });

  it("sends delta counters and histograms, and current values for what goes up and down", () => {
    for (const { metric, instrument, temporality } of sink.points) {
      const expected = { gauge: undefined, updowncounter: "cumulative" }[instrument as "gauge"];
      expect(temporality, metric).toBe(instrument in { gauge: 0, updowncounter: 0 } ? expected : "delta");
    }
    for (const { metric, histogram } of sink.points) {
      if (histogram === undefined) continue;
      const inBuckets = [...histogram.buckets.values()].reduce((total, count) => total + count, 0);
      expect(inBuckets + histogram.zeroCount, metric).toBe(histogram.count);
      expect(histogram.scale).toBe(4);
      expect(histogram.zeroThreshold).toBe(1e-6);
    }
  });

  it("gives all points of one export the same time, and intervals that touch", () => {
    const times = [...new Set(sink.points.map(({ timeMs }) => timeMs))].sort((a, b) => a - b);
    const intervals = sink.select("process.cpu.time", { "cpu.mode": "user" });
    expect(intervals.map(({ timeMs }) => timeMs)).toEqual(times);
    for (const [index, { startMs }] of intervals.entries()) {
      if (index > 0) expect(startMs).toBe(intervals[index - 1]?.timeMs);
    }
  });

  it("counts requests by route template, and never by path", () => {
    const durations = "http.server.request.duration";
    expect(sum(durations, { "http.route": "/plain", "http.response.status_code": 200 })).toBe(2);
    expect(sum(durations, { "http.route": "/shops/:shop/items/:item" })).toBe(2);
    expect(sum(durations, { "http.route": "/fail", "http.response.status_code": 500, "error.type": "500" })).toBe(1);
    expect(sum(durations, { "http.response.status_code": 404 })).toBe(2);
    const routes = new Set(sink.points.map(({ attributes }) => attributes["http.route"]));
    expect([...routes].filter((route) => route !== undefined).sort()).toEqual([
      "/fail",
      "/never",
      "/plain",
      "/shops/:shop/items/:item",
    ]);
    for (const { attributes } of sink.select(durations, { "http.response.status_code": 404 })) {
      expect(attributes).not.toHaveProperty("http.route");
    }
    expect(JSON.stringify(sink.points)).not.toContain("secret");
  });

  it("ends aborted requests: none stays in flight", async () => {
    expect(sum("http.server.request.duration", { "error.type": "aborted", "http.route": "/never" })).toBe(1);
    expect(sink.select("http.server.active_requests").at(-1)?.value).toBe(0);
  });

  it("counts WebSockets as such, and gives memory beside them", () => {
    const websocket = { "tidemark.connection.kind": "websocket" };
    expect(sum("tidemark.connections.opened", websocket)).toBe(3);
    const open = sink.select("tidemark.connections", websocket).at(-1);
    const memory = sink.select("tidemark.connections.memory", websocket).at(-1);
    expect(memory?.timeMs).toBe(open?.timeMs);
    if (process.platform === "linux") expect(memory?.value).toBeGreaterThan(1e6);
    expect(sink.select("tidemark.memory.per_connection", websocket)).toEqual([]); // three say nothing of a slope
  });

  it("says who speaks", () => {
    const resource = sink.points[0]!.resource;
    const known = new Set<string>(RESOURCE_ATTRIBUTES.map(({ name }) => name));
    expect(Object.keys(resource).filter((key) => !known.has(key))).toEqual(["telemetry.sdk.language"]);
    expect(resource).toMatchObject({
      "service.name": "shop",
      "process.pid": app.child.pid,
      "process.runtime.name": "nodejs",
      "telemetry.distro.name": "tidemark-node",
      "tidemark.server": "node-http",
    });
    expect(resource["service.instance.id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("keeps the traces of failed requests with a trace ratio of zero, without the query string", async () => {
    const failed = await until("the failed request's span", () =>
      sink.spans.find(({ kind, attributes }) => kind === 2 && attributes["http.response.status_code"] === 500),
    );
    expect(failed.attributes["http.route"]).toBe("/fail");
    // Those that took more than a second, on a machine full of other work, are kept as well.
    const slow = sink.select("http.server.request.duration").filter(({ histogram }) => (histogram?.max ?? 0) >= 1);
    const mayBeKept = slow.reduce((sum, { histogram }) => sum + (histogram?.count ?? 0), 0);
    const kept = sink.spans.filter(({ attributes }) => attributes["http.response.status_code"] === 200);
    expect(kept.length).toBeLessThanOrEqual(mayBeKept);
    expect(JSON.stringify(sink.spans)).not.toContain("key=");
  });

  it("counts no error of its own", () => {
    expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
    expect(app.output().stderr).toBe("");
  });
});
