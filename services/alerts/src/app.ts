import Fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from "fastify";
import type { SelfMetrics } from "./self-metrics.ts";

/** One label set that is not calm, as `GET /api/alerts` tells it. Times in ISO 8601, UTC. */
export interface CurrentAlert {
  ruleId: string;
  title: string;
  severity: "warning" | "critical";
  state: "pending" | "firing" | "recovering" | "no_data" | "error";
  fingerprint: string;
  labels: Readonly<Record<string, string>>;
  value: number | null;
  unit: string;
  threshold: number;
  summary: string;
  startedAt: string;
  dashboard: string;
  panelId: number;
}

/** How a rule itself is doing. */
export interface CurrentRule {
  id: string;
  title: string;
  health: "unknown" | "ok" | "no_data" | "error";
  message: string;
  evaluatedAt: string | null;
}

export interface AlertsView {
  alerts(): CurrentAlert[];
  rules(): CurrentRule[];
  /** Undefined while the evaluator lives; otherwise what is wrong. */
  unhealthy(): string | undefined;
  /** Undefined while every rule can be judged; otherwise what is in the way. */
  unready(): string | undefined;
}

/** The HTTP side of the evaluator. Builds without a port. */
export function buildApp(
  view: AlertsView,
  metrics: SelfMetrics,
  logger: NonNullable<FastifyServerOptions["logger"]>,
): FastifyInstance {
  const app = Fastify({
    logger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: "idle",
  });
  app.get("/api/alerts", () => ({ alerts: view.alerts(), rules: view.rules() }));
  app.get("/healthz", (_request, reply) => answer(reply, view.unhealthy()));
  app.get("/readyz", (_request, reply) => answer(reply, view.unready()));
  app.get("/metrics", async (_request, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.registry.metrics();
  });
  return app;
}

function answer(
  reply: { code(status: number): unknown },
  fault: string | undefined,
): { status: string; reason?: string } {
  if (fault === undefined) return { status: "ok" };
  reply.code(503);
  return { status: "unavailable", reason: fault };
}
