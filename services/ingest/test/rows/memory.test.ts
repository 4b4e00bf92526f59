import { expect, test } from "vitest";
import { buildApp } from "../../src/index.ts";
import { Bytes } from "../../src/rows/columns.ts";
import { attribute, encode, gauge, METRICS, metricsRequest } from "../otlp-messages.ts";
import { temporaryDirectory } from "../processes.ts";

const MIB = 2 ** 20;
const REQUESTS = 1500;
const TEXT_BYTES = 60_000;

test("series and resources with huge attributes are forgotten before they fill the memory", async () => {
  const directory = await temporaryDirectory();
  const app = await buildApp({
    dataDirectory: directory.path,
    clickhouseUrl: "http://tidemark:x@127.0.0.1:9/tidemark",
    logLevel: "silent",
    maxSeries: 2000,
  });
  try {
    const residentBytes: number[] = [];
    for (let i = 0; i < REQUESTS; i++) {
      const text = `${i}`.padEnd(TEXT_BYTES, "x");
      const payload = encode(
        METRICS,
        metricsRequest([gauge("memory", 1, Date.now(), [attribute("text", text)])], { "service.name": "memory" }),
      );
      const reply = await app.inject({
        method: "POST",
        url: "/v1/metrics",
        headers: { "content-type": "application/x-protobuf" },
        payload,
      });
      expect(reply.statusCode).toBe(200);
      if (i % 100 === 0) residentBytes.push(process.memoryUsage().external + process.memoryUsage().heapUsed);
    }
    const { payload } = await app.inject({ url: "/metrics" });
    const series = Number(/^tidemark_ingest_series (\d+)/m.exec(payload)?.[1]);
    // Far fewer than the limit of their number: 2,000 of them would take 360 MB.
    expect(series).toBeLessThan(100);
    expect(Math.max(...residentBytes) - residentBytes[0]!).toBeLessThan(200 * MIB);
  } finally {
    await app.close();
    await directory.remove();
  }
});

test("a column's buffer that one large request has left behind shrinks again, one that is in use does not", () => {
  const bytes = new Bytes();
  const request = (size: number): number => {
    bytes.raw(Buffer.alloc(size), 0, size);
    bytes.clear();
    return bytes.buffer.length;
  };
  expect(request(16 * MIB)).toBeGreaterThanOrEqual(16 * MIB);
  const inUse = Array.from({ length: 10 }, () => request(8 * MIB));
  expect(Math.min(...inUse)).toBeGreaterThanOrEqual(16 * MIB);
  const after = Array.from({ length: 10 }, () => request(1000));
  expect(after.at(-1)).toBeLessThanOrEqual(MIB);
});

test("names too long to be read become one name in the ingest's own numbers", async () => {
  const directory = await temporaryDirectory();
  const app = await buildApp({
    dataDirectory: directory.path,
    clickhouseUrl: "http://tidemark:x@127.0.0.1:9/tidemark",
    logLevel: "silent",
  });
  try {
    for (const service of ["short", "long".repeat(10_000)]) {
      const payload = encode(METRICS, metricsRequest([gauge("named", 1, Date.now())], { "service.name": service }));
      const headers = { "content-type": "application/x-protobuf" };
      expect((await app.inject({ method: "POST", url: "/v1/metrics", headers, payload })).statusCode).toBe(200);
    }
    const { payload } = await app.inject({ url: "/metrics" });
    expect(payload).toContain('service="short"');
    expect(payload).toContain('service="(other)"');
    expect(payload).not.toContain("longlong");
  } finally {
    await app.close();
    await directory.remove();
  }
});
