import Module, { createRequire } from "node:module";
import type { Identity } from "../identity.ts";
import type { AgentOptions } from "../options.ts";
import type { PlainSpan } from "../shared/span.ts";
import { recordingSampler, TraceKeeper } from "./trace-keeper.ts";

// OpenTelemetry's packages are CommonJS, and are loaded only when the trace tier is on.
const require = createRequire(import.meta.url);

/** Modules whose imports are intercepted; all others load as ever. */
const TRACED = ["http", "https", "node:http", "node:https", "express", "pg", "pg-pool"];

/** Answers what the running code is part of. */
export type ActiveSpan = () => { readonly traceId: string; readonly spanId: string } | undefined;

/**
 * Starts the trace tier on OpenTelemetry's SDK: HTTP, Express and pg, before the application loads them. Finished
 * spans of kept traces are handed to `send`; the agent's thread exports them.
 */
export function startTracing(
  options: AgentOptions,
  identity: Identity,
  send: (spans: PlainSpan[]) => void,
): { stop(): void; activeSpan: ActiveSpan } {
  interceptImports();
  const { trace } = require("@opentelemetry/api") as typeof import("@opentelemetry/api");
  const { NodeSDK } = require("@opentelemetry/sdk-node") as typeof import("@opentelemetry/sdk-node");
  const { resourceFromAttributes } = require("@opentelemetry/resources") as typeof import("@opentelemetry/resources");
  const { HttpInstrumentation } =
    require("@opentelemetry/instrumentation-http") as typeof import("@opentelemetry/instrumentation-http");
  const { ExpressInstrumentation, ExpressLayerType } =
    require("@opentelemetry/instrumentation-express") as typeof import("@opentelemetry/instrumentation-express");
  const { PgInstrumentation } =
    require("@opentelemetry/instrumentation-pg") as typeof import("@opentelemetry/instrumentation-pg");
  const sdk = new NodeSDK({
    autoDetectResources: false,
    resource: resourceFromAttributes({ ...identity }),
    sampler: recordingSampler(options.traceRatio),
    spanProcessors: [new TraceKeeper(send)],
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [
      new HttpInstrumentation({ requireParentforOutgoingSpans: true }),
      new ExpressInstrumentation({ ignoreLayersType: [ExpressLayerType.MIDDLEWARE, ExpressLayerType.ROUTER] }),
      new PgInstrumentation({ requireParentSpan: true }),
    ],
  });
  sdk.start();
  return {
    stop: () => void sdk.shutdown().catch(() => {}),
    activeSpan: () => trace.getActiveSpan()?.spanContext(),
  };
}

/** For ES modules: in this thread where Node can, else by Node's own loader thread. */
function interceptImports(): void {
  const { supportsSyncHooks } = require("import-in-the-middle/supports-sync-hooks.mjs") as {
    supportsSyncHooks(): boolean;
  };
  if (supportsSyncHooks()) {
    const { register } = require("import-in-the-middle/register-hooks.mjs") as {
      register(options: { include: string[] }): void;
    };
    register({ include: TRACED });
  } else Module.register("import-in-the-middle/hook.mjs", import.meta.url, { data: { include: TRACED } });
}
