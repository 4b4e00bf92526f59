import Module, { createRequire } from "node:module";
import type { Attributes } from "@opentelemetry/api";
import type { Identity } from "../identity.ts";
import type { Guard } from "../main/guard.ts";
import type { ModuleLoads } from "../main/module-loads.ts";
import type { RequestContexts, RequestEnd } from "../main/request-context.ts";
import type { AgentOptions } from "../options.ts";
import type { PlainSpan } from "../shared/span.ts";
import { followPackages } from "./instrumentations.ts";
import { withoutRequireHook } from "./loaded-files.ts";
import { RequestSpans, sharedContextManager } from "./request-tracing.ts";
import { recordingSampler, TraceKeeper } from "./trace-keeper.ts";

// OpenTelemetry's packages are CommonJS, and are loaded only when the trace tier is on.
const require = createRequire(import.meta.url);

const SERVER_ERROR_STATUS = 500;

/** Answers what the running code is part of. */
export type ActiveSpan = () => { readonly traceId: string; readonly spanId: string } | undefined;

/**
 * Starts the trace tier on OpenTelemetry's SDK, before the application loads anything: outgoing HTTP, and
 * frameworks and drivers as the application loads them, by its instrumentations; the requests served by spans of our
 * own that cost less. Finished spans of kept traces are handed to `send`; the agent's thread exports them.
 */
export function startTracing(
  options: AgentOptions,
  identity: Identity,
  contexts: RequestContexts,
  loads: ModuleLoads,
  guard: Guard,
  send: (spans: PlainSpan[]) => void,
): { stop(): void; activeSpan: ActiveSpan } {
  const api = require("@opentelemetry/api") as typeof import("@opentelemetry/api");
  const hooks = require("@opentelemetry/context-async-hooks") as typeof import("@opentelemetry/context-async-hooks");
  const { NodeSDK } = require("@opentelemetry/sdk-node") as typeof import("@opentelemetry/sdk-node");
  const { resourceFromAttributes } = require("@opentelemetry/resources") as typeof import("@opentelemetry/resources");
  const { HttpInstrumentation } =
    require("@opentelemetry/instrumentation-http") as typeof import("@opentelemetry/instrumentation-http");
  const keeper = new TraceKeeper(options.traceRatio, requestAttributes(), send);
  const outgoing = withoutRequireHook(
    loads,
    () => new HttpInstrumentation({ disableIncomingRequestInstrumentation: true, requireParentforOutgoingSpans: true }),
  );
  const sdk = new NodeSDK({
    autoDetectResources: false,
    resource: resourceFromAttributes({ ...identity }),
    contextManager: sharedContextManager(api, hooks, contexts),
    sampler: recordingSampler(options.traceRatio, api.trace),
    spanProcessors: [keeper],
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [outgoing],
  });
  sdk.start();
  // For ES modules that import single functions of what is patched.
  Module.syncBuiltinESMExports();
  contexts.tracing = new RequestSpans(api, keeper);
  const stopPackages = followPackages(loads, guard);
  return {
    stop: () => {
      stopPackages();
      void sdk.shutdown().catch(() => {});
    },
    activeSpan: () => api.trace.getActiveSpan()?.spanContext(),
  };
}

/** Attributes of a served request's span: those that OpenTelemetry's own instrumentation gives it. */
function requestAttributes(): (end: RequestEnd) => Attributes {
  const { getIncomingRequestAttributes } =
    require("@opentelemetry/instrumentation-http/build/src/utils.js") as typeof import("@opentelemetry/instrumentation-http/build/src/utils.js");
  const { diag } = require("@opentelemetry/api") as typeof import("@opentelemetry/api");
  return ({ request, status, route }) => ({
    ...getIncomingRequestAttributes(
      request,
      {
        component: (request.socket as { encrypted?: boolean }).encrypted === true ? "https" : "http",
        enableSyntheticSourceDetection: false,
      },
      diag,
    ),
    ...(status === undefined ? { "error.type": "aborted" } : { "http.response.status_code": status }),
    ...(status !== undefined && status >= SERVER_ERROR_STATUS ? { "error.type": String(status) } : {}),
    ...(route === undefined ? {} : { "http.route": route }),
  });
}
