import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Instrumentation } from "@opentelemetry/instrumentation";
import type { Guard } from "../main/guard.ts";
import type { ModuleLoads } from "../main/module-loads.ts";
import { withoutRequireHook } from "./loaded-files.ts";

// OpenTelemetry's packages are CommonJS, and each is loaded only when the application loads what it is for.
const require = createRequire(import.meta.url);

/** Makes the instrumentation of a package; undefined where there is none. `file` is the first one of the package. */
type Make = (file: string) => Instrumentation | undefined;

/** Values are left out where the span is made; `plain` in `trace-keeper.ts` takes out what is left of them. */
const commandOnly = (command: string): string => command;

const MAKERS: Readonly<Record<string, Make>> = {
  express: () => {
    const { ExpressInstrumentation, ExpressLayerType } =
      require("@opentelemetry/instrumentation-express") as typeof import("@opentelemetry/instrumentation-express");
    return new ExpressInstrumentation({ ignoreLayersType: [ExpressLayerType.MIDDLEWARE, ExpressLayerType.ROUTER] });
  },
  koa: () => {
    const { KoaInstrumentation, KoaLayerType } =
      require("@opentelemetry/instrumentation-koa") as typeof import("@opentelemetry/instrumentation-koa");
    return new KoaInstrumentation({ ignoreLayersType: [KoaLayerType.MIDDLEWARE] });
  },
  fastify: () => {
    const { FastifyOtelInstrumentation } = require("@fastify/otel") as typeof import("@fastify/otel");
    return new FastifyOtelInstrumentation({ registerOnInitialization: true, instrumentHooks: false });
  },
  "@nestjs/core": () => {
    const { NestInstrumentation } =
      require("@opentelemetry/instrumentation-nestjs-core") as typeof import("@opentelemetry/instrumentation-nestjs-core");
    return new NestInstrumentation();
  },
  pg: () => {
    const { PgInstrumentation } =
      require("@opentelemetry/instrumentation-pg") as typeof import("@opentelemetry/instrumentation-pg");
    return new PgInstrumentation({ requireParentSpan: true });
  },
  mysql2: () => {
    const { MySQL2Instrumentation } =
      require("@opentelemetry/instrumentation-mysql2") as typeof import("@opentelemetry/instrumentation-mysql2");
    // The statement as it was given: the values would be put into it otherwise.
    return new MySQL2Instrumentation({ maskStatement: true, maskStatementHook: (statement) => statement });
  },
  mongodb: () => {
    const { MongoDBInstrumentation } =
      require("@opentelemetry/instrumentation-mongodb") as typeof import("@opentelemetry/instrumentation-mongodb");
    return new MongoDBInstrumentation({ requireParentSpan: true });
  },
  ioredis: () => {
    const { IORedisInstrumentation } =
      require("@opentelemetry/instrumentation-ioredis") as typeof import("@opentelemetry/instrumentation-ioredis");
    return new IORedisInstrumentation({ requireParentSpan: true, dbStatementSerializer: commandOnly });
  },
  "@redis/client": () => {
    const { RedisInstrumentation } =
      require("@opentelemetry/instrumentation-redis") as typeof import("@opentelemetry/instrumentation-redis");
    return new RedisInstrumentation({ requireParentSpan: true, dbStatementSerializer: commandOnly });
  },
  "@prisma/client": (file) => {
    const path = optional("@prisma/instrumentation", file);
    if (path === undefined) return undefined;
    const { PrismaInstrumentation } = require(path) as { PrismaInstrumentation: new () => Instrumentation };
    return new PrismaInstrumentation();
  },
};

/**
 * Where the application has a package that it may bring, in the version it needs; undefined where it does not. It is
 * looked for from `file`, then from the program and the working directory, as some package managers keep packages apart.
 */
function optional(name: string, file: string): string | undefined {
  for (const from of [file, process.argv[1], join(process.cwd(), "package.json")]) {
    try {
      if (from !== undefined) return createRequire(from).resolve(name);
    } catch {
      // not there
    }
  }
  return undefined;
}

/**
 * Loads OpenTelemetry's instrumentation of a package just before the application loads the package, so that nothing
 * is paid for what is not used. After the SDK's start. Returns a function that switches those off that were loaded.
 */
export function followPackages(loads: ModuleLoads, guard: Guard): () => void {
  const loaded: Instrumentation[] = [];
  for (const [name, make] of Object.entries(MAKERS)) {
    loads.beforePackage(name, (file) => {
      const instrumentation = withoutRequireHook(loads, () => make(file));
      if (instrumentation !== undefined) loaded.push(instrumentation);
    });
  }
  const stopFetch = followFetch(guard, (instrumentation) => loaded.push(instrumentation));
  return () => {
    stopFetch();
    for (const instrumentation of loaded) instrumentation.disable();
  };
}

/** `fetch` and undici speak on channels of Node's own: their instrumentation is loaded with the first request they send. */
function followFetch(guard: Guard, made: (instrumentation: Instrumentation) => void): () => void {
  const channel = "undici:request:create";
  const first = guard((message: unknown) => {
    unsubscribe(channel, first);
    const { UndiciInstrumentation } =
      require("@opentelemetry/instrumentation-undici") as typeof import("@opentelemetry/instrumentation-undici");
    const instrumentation = new UndiciInstrumentation({ requireParentforSpans: true });
    made(instrumentation);
    // It listens from the next message on; this one is handed to it.
    (instrumentation as unknown as { onRequestCreated(message: unknown): void }).onRequestCreated(message);
  });
  subscribe(channel, first);
  return () => void unsubscribe(channel, first);
}
