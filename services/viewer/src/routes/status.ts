import type { FastifyInstance } from "fastify";
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";
import { type Database, DatabaseError } from "../database.ts";
import { describeError } from "../errors.ts";

const MS_PER_S = 1000;

/** Health, readiness (ClickHouse answers) and the viewer's own metrics. */
export function statusRoutes(app: FastifyInstance, database: Database): void {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: "tidemark_viewer_request_duration_seconds",
    help: "Time to answer a request, by route and status",
    labelNames: ["route", "status"],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers: [registry],
  });
  const errors = new Counter({
    name: "tidemark_viewer_errors_total",
    help: "Answers with an error, by code",
    labelNames: ["code"],
    registers: [registry],
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "unknown";
    duration.observe({ route, status: String(reply.statusCode) }, reply.elapsedTime / MS_PER_S);
  });
  app.addHook("onError", async (_request, _reply, error) => {
    errors.inc({ code: describeError(error).body.code });
  });

  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    try {
      await database.ping();
      return { status: "ready" };
    } catch (error) {
      const { body } = describeError(error);
      return reply.code(503).send(body);
    }
  });
  app.get("/api/status", async () => {
    try {
      await database.ping();
      return { database: "ok" as const };
    } catch (error) {
      const { body } = describeError(error);
      const reachable = !(error instanceof DatabaseError && error.code === "VIEWER_DATABASE_UNREACHABLE");
      return { database: reachable ? ("error" as const) : ("unreachable" as const), ...body };
    }
  });
  app.get("/metrics", async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
}
