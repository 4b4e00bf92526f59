import { expect, test } from "vitest";
import { buildApp } from "../../src/index.ts";
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
