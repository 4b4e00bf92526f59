import { spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collect, PYTHON, ROOT, startTidemark, type Tidemark, until } from "./support/tidemark.ts";

let tidemark: Tidemark;
beforeAll(async () => {
  tidemark = await startTidemark(["--no-viewer", "--no-alerts"]);
});
afterAll(() => tidemark?.stop());

describe.each([
  {
    sdk: "Node",
    service: "stock-node",
    command: process.execPath,
    args: [`${ROOT}test/apps/stock-node.mjs`],
    span: "GET /stock",
    route: "/stock",
  },
  {
    sdk: "Python",
    service: "stock-python",
    command: PYTHON,
    args: [`${ROOT}test/apps/stock_python.py`],
    span: "GET stock/",
    route: "stock/",
  },
])("the stock OpenTelemetry SDK for $sdk, without our agent", ({ service, command, args, span, route }) => {
  it("is accepted, and what it sent can be queried", async () => {
    const child = spawn(command, args, {
      env: {
        ...process.env,
        OTEL_SERVICE_NAME: service,
        OTEL_EXPORTER_OTLP_ENDPOINT: tidemark.otlp,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
        OTEL_METRICS_EXPORTER: "otlp",
        OTEL_LOGS_EXPORTER: "none",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = collect(child);
    const code = await new Promise((resolve) => child.once("exit", resolve));
    expect(code, output()).toBe(0);
    expect(output()).not.toMatch(/error|failed/i);

    const counter = await until("the counter", async () =>
      (
        await tidemark.query<{ value: number; shop: string; unit: string; temporality: string }>(
          `SELECT value, attributes['shop'] AS shop, unit, temporality FROM metrics WHERE metric = 'stock.orders' AND service = '${service}'`,
        )
      ).at(0),
    );
    expect(counter).toEqual({ value: 3, shop: "books", unit: "{order}", temporality: "cumulative" });

    const requests = await until("the HTTP durations", async () =>
      (
        await tidemark.query<{ route: string; status: number; count: number; sum: number }>(
          `SELECT route, status, count, sum FROM http_requests WHERE service = '${service}'`,
        )
      ).at(0),
    );
    expect(requests).toEqual({ route, status: 200, count: 1, sum: 0.25 });

    const spans = await until("the span", async () => {
      const rows = await tidemark.query<{ SpanName: string }>(
        `SELECT SpanName FROM otel_traces WHERE ServiceName = '${service}'`,
      );
      return rows.length > 0 ? rows : undefined;
    });
    expect(spans).toEqual([{ SpanName: span }]);
  });
});
