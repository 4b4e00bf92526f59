// A Node service with the stock OpenTelemetry SDK alone: one counter, one histogram, one span, then it ends.
import { metrics, trace } from "@opentelemetry/api";
import { NodeSDK } from "@opentelemetry/sdk-node";

const sdk = new NodeSDK();
sdk.start();
const meter = metrics.getMeter("stock");
meter.createCounter("stock.orders", { unit: "{order}" }).add(3, { shop: "books" });
meter
  .createHistogram("http.server.request.duration", {
    unit: "s",
    advice: { explicitBucketBoundaries: [0.005, 0.05, 0.5, 5] },
  })
  .record(0.25, {
    "http.request.method": "GET",
    "http.route": "/stock",
    "http.response.status_code": 200,
  });
trace.getTracer("stock").startActiveSpan("GET /stock", (span) => span.end());
await sdk.shutdown();
