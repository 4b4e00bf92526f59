import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "./agent-process.ts";
import { type Sink, type Span, startSink } from "./otlp-sink.ts";

const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;
const CALLER = "b7ad6b7169203331";
const traceId = (number: number) => (number + 1).toString(16).padStart(32, "5");
const traceparent = (id: string, sampled: boolean) => `00-${id}-${CALLER}-0${sampled ? 1 : 0}`;

describe.each(TEST_NODES)("the trace tier on Node %s", (_version, node) => {
  let sink: Sink;
  let app: AgentProcess;
  let url: string;
  const ask = async (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) => {
    const response = await fetch(url + path, { headers, ...init });
    const text = await response.text();
    return (text.startsWith("{") ? JSON.parse(text) : {}) as { number: string; calls: string[] };
  };
  const served = (path: string) => (span: Span) => span.kind === SERVER && span.attributes["url.path"] === path;
  const find = (what: string, which: (span: Span) => boolean) => until(what, () => sink.spans.find(which));

  beforeAll(async () => {
    sink = await startSink();
    app = runWithAgent("traced.mjs", sink.url, { TIDEMARK_TRACE_RATIO: "0" }, PRELOAD, node);
    url = await addressOf(app);
  });
  afterAll(async () => {
    await app.stop();
    await sink.close();
  });

  it("hangs what a request does below its span, and that below the caller's", async () => {
    const id = traceId(1000);
    const { calls } = await ask("/chain/7?key=secret", { traceparent: traceparent(id, true) });
    const root = await find("the request's span", served("/chain/7"));
    const inTrace = await until("the trace is whole", () => {
      const spans = sink.spans.filter((span) => span.traceId === id);
      return spans.length === 6 ? spans : undefined;
    });
    expect(root).toMatchObject({ name: "GET /chain/:number", parentSpanId: CALLER, status: 0 });
    const handler = inTrace.find(({ parentSpanId }) => parentSpanId === root.spanId)!;
    expect(handler.name).toBe("request handler");
    const clients = inTrace.filter(({ kind }) => kind === CLIENT);
    expect(clients.map(({ parentSpanId }) => parentSpanId)).toEqual([handler.spanId, handler.spanId]);
    // Downstream got the calling span, and the service that was called hangs its own below that.
    expect(calls.sort()).toEqual(clients.map(({ spanId }) => `00-${id}-${spanId}-01`).sort());
    const leaves = inTrace.filter(({ kind, spanId }) => kind === SERVER && spanId !== root.spanId);
    expect(leaves.map(({ parentSpanId }) => parentSpanId).sort()).toEqual(clients.map(({ spanId }) => spanId).sort());
  });

  it("gives a request's span the attributes of OpenTelemetry's conventions, without the query string", async () => {
    const headers = { "user-agent": "browser", "x-forwarded-for": "10.1.2.3, 10.9.9.9", authorization: "secret" };
    await ask("/chain/8?key=secret", { ...headers, traceparent: traceparent(traceId(1001), true) });
    const { attributes } = await find("the request's span", served("/chain/8"));
    expect(attributes).toEqual({
      "http.request.method": "GET",
      "http.response.status_code": 200,
      "http.route": "/chain/:number",
      "url.scheme": "http",
      "url.path": "/chain/8",
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(url).port),
      "client.address": "10.1.2.3",
      "network.peer.address": "127.0.0.1",
      "network.peer.port": expect.any(Number),
      "network.protocol.version": "1.1",
      "user_agent.original": "browser",
      "app.set": "by the application",
      "tidemark.loop.active_ms": expect.any(Number),
    });
    expect(JSON.stringify(sink.spans)).not.toContain("secret");
  });

  it("keeps a hundred requests side by side apart", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, number) =>
        ask(`/chain/${number}`, { traceparent: traceparent(traceId(number), false) }),
      ),
    );
    for (const [number, answer] of answers.entries()) {
      expect(answer.number).toBe(String(number));
      expect(answer.calls.map((header) => header.split("-")[1])).toEqual([traceId(number), traceId(number)]);
    }
  });

  it("knows the request where its body arrives", async () => {
    const id = traceId(1002);
    const { calls } = await ask(
      "/body",
      { traceparent: traceparent(id, true) },
      { method: "POST", body: "x".repeat(200_000) },
    );
    expect(calls[0]?.split("-")[1]).toBe(id);
    const root = await find("the request's span", served("/body"));
    const client = await find("its call", ({ traceId, kind }) => traceId === id && kind === CLIENT);
    expect(client.parentSpanId).toBe(root.spanId);
  });

  it("starts a trace of its own without a caller, and samples none at a ratio of zero", async () => {
    const { calls } = await ask("/chain/1");
    const other = await ask("/chain/2");
    const ids = [...calls, ...other.calls].map((header) => header.split("-"));
    for (const [, id, , flags] of ids) {
      expect(id).toMatch(/^[0-9a-f]{32}$/);
      expect(flags).toBe("00");
    }
    expect(new Set(ids.map(([, id]) => id)).size).toBe(2);
  });

  it("keeps what was slow, failed or aborted, and nothing else", async () => {
    await Promise.all([ask("/slow"), ask("/broken"), ask("/chain/500")]);
    const leaving = new AbortController();
    const left = fetch(`${url}/never`, { signal: leaving.signal }).catch(() => {});
    await until("it is in flight", () => sink.select("http.server.active_requests").some(({ value }) => value > 0));
    leaving.abort();
    await left;
    const slow = await find("the slow request", served("/slow"));
    expect([slow.status, slow.parentSpanId]).toEqual([0, undefined]);
    const broken = await find("the failed request", served("/broken"));
    expect(broken).toMatchObject({ status: ERROR, attributes: { "error.type": "500" } });
    expect(await find("the aborted request", served("/never"))).toMatchObject({
      status: ERROR,
      attributes: { "error.type": "aborted" },
    });
    expect(sink.spans.filter(served("/chain/500"))).toEqual([]);
    expect(app.output().stderr).toBe("");
  });
});
