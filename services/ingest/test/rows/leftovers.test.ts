import { expect, test } from "vitest";
import { buildApp } from "../../src/index.ts";
import { encode, gauge, METRICS, metricsRequest, nanos, TRACES } from "../otlp-messages.ts";
import { temporaryDirectory } from "../processes.ts";

test("what a refused request of spans had read gets neither into the next request nor in its way", async () => {
  const directory = await temporaryDirectory();
  const app = await buildApp({
    dataDirectory: directory.path,
    clickhouseUrl: "http://tidemark:x@127.0.0.1:9/tidemark",
    logLevel: "silent",
  });
  const post = async (url: string, payload: Buffer) => {
    const headers = { "content-type": "application/x-protobuf" };
    return (await app.inject({ method: "POST", url, headers, payload })).statusCode;
  };
  const acknowledged = async () => {
    const { payload } = await app.inject({ url: "/metrics" });
    return Number(/^tidemark_ingest_acknowledged_points_total (\d+)/m.exec(payload)?.[1]);
  };
  try {
    const time = nanos(Date.now());
    const span = (id: number) => ({
      traceId: Buffer.alloc(16, id),
      spanId: Buffer.alloc(8, id),
      name: "left over",
      startTimeUnixNano: time,
      endTimeUnixNano: time,
    });
    const spans = encode(TRACES, { resourceSpans: [{ scopeSpans: [{ spans: [span(1), span(2)] }] }] });
    // A second resource that ends too early: the spans of the first have been read by then.
    expect(await post("/v1/traces", Buffer.concat([spans, Buffer.from([0x0a, 0x7f, 0x01])]))).toBe(400);
    // The first request makes the series known, the second finds it known and takes the short way.
    for (let i = 1; i <= 3; i++) {
      expect(await post("/v1/metrics", encode(METRICS, metricsRequest([gauge("after", i, Date.now())])))).toBe(200);
      expect(await acknowledged()).toBe(i);
    }
    expect(await post("/v1/traces", spans)).toBe(200);
    expect(await acknowledged()).toBe(5);
  } finally {
    await app.close();
    await directory.remove();
  }
});
