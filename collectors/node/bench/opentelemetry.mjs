// Preload: OpenTelemetry's own HTTP spans with its SDK and OTLP/HTTP, as its documentation sets them up.
import { createRequire } from "node:module";

// `import http from "node:http"` shares its object with require(), which the instrumentation patches.
const require = createRequire(import.meta.url);
const { NodeSDK } = require("@opentelemetry/sdk-node");
const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");

const sdk = new NodeSDK({
  autoDetectResources: false,
  traceExporter: new OTLPTraceExporter(), // endpoint and sampler come from the OTEL_ variables
  metricReaders: [],
  logRecordProcessors: [],
  instrumentations: [new HttpInstrumentation()],
});
sdk.start();
require("node:http"); // patched before the application imports it
const { syncBuiltinESMExports } = require("node:module");
syncBuiltinESMExports();
