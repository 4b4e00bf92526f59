import { createHash, timingSafeEqual } from "node:crypto";
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from "fastify";
import type { SelfMetrics } from "./self-metrics.ts";

/** One label set that is not calm, as `GET /api/alerts` tells it. Times in ISO 8601, UTC. */
export interface CurrentAlert {
  ruleId: string;
  title: string;
  severity: "warning" | "critical";
  state: "pending" | "firing" | "no_data" | "error";
  /** It fires, but the condition is over: it ends unless that comes back soon. */
  recovering: boolean;
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

/**
 * The HTTP side of the evaluator. Builds without a port.
 *
 * @param token Wanted for `/api/alerts` when given: as a Bearer token or as the password of basic authentication.
 */
export function buildApp(
  view: AlertsView,
  metrics: SelfMetrics,
  logger: NonNullable<FastifyServerOptions["logger"]>,
  token: string | undefined,
): FastifyInstance {
  const app = Fastify({
    logger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: "idle",
  });
  app.get("/api/alerts", { onRequest: async (request, reply) => refuseStrangers(request, reply, token) }, async () => ({
    alerts: view.alerts(),
    rules: view.rules(),
  }));
  app.get("/healthz", (_request, reply) => answer(reply, view.unhealthy()));
  app.get("/readyz", (_request, reply) => answer(reply, view.unready()));
  app.get("/metrics", async (_request, reply) => {
    reply.type(metrics.registry.contentType);
    return metrics.registry.metrics();
  });
  return app;
}

async function refuseStrangers(request: FastifyRequest, reply: FastifyReply, token: string | undefined): Promise<void> {
  if (token === undefined) return;
  const [scheme = "", value = ""] = (request.headers.authorization ?? "").split(" ");
  const decoded = Buffer.from(value, "base64").toString();
  const given = scheme.toLowerCase() === "basic" ? decoded.slice(decoded.indexOf(":") + 1) : value;
  if (timingSafeEqual(digest(given), digest(token))) return;
  await reply.code(401).header("www-authenticate", 'Basic realm="Tidemark", charset="UTF-8"').send({
    code: "TDM_ALERTS_TOKEN_WANTED",
    message: "Give the token of TIDEMARK_TOKEN as a Bearer token or as the password.",
  });
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function answer(
  reply: { code(status: number): unknown },
  fault: string | undefined,
): { status: string; reason?: string } {
  if (fault === undefined) return { status: "ok" };
  reply.code(503);
  return { status: "unavailable", reason: fault };
}
