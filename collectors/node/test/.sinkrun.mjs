// ../work/main/collectors/node/test/otlp-sink.ts
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";

var root = protobuf.loadSync(fileURLToPath(new URL("fixtures/otlp.proto", import.meta.url)));
var types = {
  "/v1/metrics": root.lookupType("otlp.ExportMetricsServiceRequest"),
  "/v1/logs": root.lookupType("otlp.ExportLogsServiceRequest"),
};
var EXPONENTIAL_SCALE_BASE = 2 ** (1 / 16);
async function startSink(status = () => 200) {
  const points = [];
  const logs = [];
  const spans = [];
  const requests = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      const code = status();
      const raw = Buffer.concat(chunks);
      requests.push({ path, headers: request.headers, bytes: raw.length });
      if (code === 200) {
        const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
        if (path === "/v1/traces") spans.push(...readSpans(body));
        else if (path === "/v1/metrics") points.push(...readMetrics(body));
        else logs.push(...readLogs(body));
      }
      response.writeHead(code, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    points,
    logs,
    spans,
    requests,
    select: (metric, attributes = {}) =>
      points.filter((point) => point.metric === metric && has(point.attributes, attributes)),
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
function has(attributes, wanted) {
  return Object.entries(wanted).every(([key, value]) => attributes[key] === value);
}
function decode(path, body) {
  const type = types[path];
  return type.toObject(type.decode(body), { longs: Number, bytes: Buffer });
}
function readMetrics(body) {
  const points = [];
  const receivedMs = Date.now();
  for (const resourceMetrics of decode("/v1/metrics", body).resourceMetrics) {
    const resource = attributesOf(resourceMetrics.resource.attributes);
    for (const metric of resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)) {
      const data = metric.gauge ?? metric.sum ?? metric.exponentialHistogram;
      const instrument = metric.gauge
        ? "gauge"
        : metric.exponentialHistogram
          ? "exponential_histogram"
          : metric.sum.isMonotonic
            ? "counter"
            : "updowncounter";
      for (const point of data.dataPoints ?? []) {
        points.push({
          resource,
          metric: metric.name,
          unit: metric.unit,
          instrument,
          temporality: { 1: "delta", 2: "cumulative" }[data.aggregationTemporality],
          attributes: attributesOf(point.attributes),
          value: point.asDouble ?? point.asInt ?? Number.NaN,
          histogram: metric.exponentialHistogram === void 0 ? void 0 : histogramOf(point),
          startMs: point.startTimeUnixNano / 1e6,
          timeMs: point.timeUnixNano / 1e6,
          receivedMs,
        });
      }
    }
  }
  return points;
}
function histogramOf(point) {
  const offset = point.positive?.offset ?? 0;
  const counts = point.positive?.bucketCounts ?? [];
  return {
    count: point.count,
    sum: point.sum,
    min: point.min,
    max: point.max,
    scale: point.scale,
    zeroCount: point.zeroCount ?? 0,
    zeroThreshold: point.zeroThreshold,
    buckets: new Map(counts.map((count, index) => [offset + index, count])),
  };
}
function readLogs(body) {
  return decode("/v1/logs", body).resourceLogs.flatMap((resourceLogs) =>
    resourceLogs.scopeLogs.flatMap((scope) =>
      scope.logRecords.map((record) => ({
        resource: attributesOf(resourceLogs.resource.attributes),
        event: record.eventName,
        body: record.body?.stringValue,
        attributes: attributesOf(record.attributes),
        traceId: Buffer.from(record.traceId ?? []).toString("hex"),
        timeMs: record.timeUnixNano / 1e6,
      })),
    ),
  );
}
function readSpans(body) {
  const decoded = JSON.parse(body.toString());
  return decoded.resourceSpans.flatMap((resourceSpans) =>
    resourceSpans.scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({ ...span, attributes: attributesOf(span.attributes) })),
    ),
  );
}
function attributesOf(list) {
  return Object.fromEntries(
    (list ?? []).map(({ key, value }) => {
      const { stringValue, boolValue, intValue, doubleValue } = value ?? {};
      return [key, stringValue ?? boolValue ?? (intValue === void 0 ? void 0 : Number(intValue)) ?? doubleValue];
    }),
  );
}

// sinkrun.ts
import { spawn } from "node:child_process";

var sink = await startSink();
var node = process.argv[2];
var args = process.argv.slice(3);
var c = spawn(node, ["--import", "/work/main/collectors/node/dist/register.js", ...args], {
  env: { ...process.env, TIDEMARK_ENDPOINT: sink.url, TIDEMARK_EXPORT_INTERVAL: "1" },
  stdio: "inherit",
});
c.on("exit", async (code, sig) => {
  console.log("exit", code, sig);
  const last = /* @__PURE__ */ new Map();
  for (const p of sink.points) {
    const k = p.metric + JSON.stringify(p.attributes);
    const h = p.histogram;
    last.set(
      k,
      h
        ? `${p.unit} n=${last.get(k + "#") ?? 0} cnt=${h.count} mean=${(h.sum / h.count).toFixed(5)} max=${h.max}`
        : `${p.unit} ${p.value}`,
    );
  }
  for (const [k, v] of [...last].sort()) console.log(k, v);
  console.log(sink.points[0]?.resource, sink.requests.length, sink.requests.map((r) => r.path + r.bytes).join(" "));
  for (const l of sink.logs) console.log(l.event, l.body, l.attributes);
  for (const s of sink.spans)
    console.log("span", s.name, s.kind, s.traceId, s.parentSpanId, JSON.stringify(s.attributes).slice(0, 300));
  await sink.close();
});
