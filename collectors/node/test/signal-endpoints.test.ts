import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AgentProcess, addressOf, runWithAgent, until } from "./agent-process.ts";

describe("an OTLP endpoint that has a path of its own for each signal", () => {
  const received: { path: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    received.push({ path: request.url ?? "", headers: request.headers });
    request.resume().on("end", () => response.end());
  });
  let app: AgentProcess;
  const first = (path: string) => until(path, () => received.find((request) => request.path === path));

  beforeAll(async () => {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    app = runWithAgent("traced.mjs", url, {
      TIDEMARK_ENDPOINT: undefined,
      TIDEMARK_EXPORT_INTERVAL: undefined,
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/all`,
      OTEL_EXPORTER_OTLP_HEADERS: "x-team=all",
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${url}/numbers?tenant=1`,
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-team=numbers",
      OTEL_EXPORTER_OTLP_COMPRESSION: "none",
      OTEL_TRACES_SAMPLER: "always_on",
    });
    const address = await addressOf(app);
    await fetch(`${address}/chain/1`).then((response) => response.text());
  });
  afterAll(async () => {
    await app.stop();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  it("gets metrics at their URL as it is, with their headers and not compressed", async () => {
    const { headers } = await first("/numbers?tenant=1");
    expect(headers).toMatchObject({ "x-team": "numbers", "content-type": "application/x-protobuf" });
    expect(headers).not.toHaveProperty("content-encoding");
  });

  it("gets traces below the common URL, with the common headers, every one of them", async () => {
    const { headers } = await first("/all/v1/traces");
    expect(headers).toMatchObject({ "x-team": "all" });
    expect(app.output().stderr).toBe("");
  });
});
