import type { FastifyInstance } from "fastify";
import type { DurableLog } from "../log/durable-log.ts";

export interface HealthOptions {
  readonly log: DurableLog;
  readonly clickhouseHealthy: () => boolean;
  readonly stopping: () => boolean;
}

/**
 * /healthz: the process runs. /readyz: it can acknowledge data; ClickHouse being away does not make it unready, because
 * it goes on acknowledging. /metrics: Prometheus text.
 */
export default async function healthRoutes(app: FastifyInstance, options: HealthOptions): Promise<void> {
  const { log, clickhouseHealthy, stopping } = options;
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const ready = !stopping() && !log.full;
    reply.status(ready ? 200 : 503);
    return {
      status: ready ? "ready" : stopping() ? "stopping" : "log full",
      clickhouse: clickhouseHealthy() ? "ok" : "failing",
      queueBytes: log.queuedBytes,
    };
  });
  app.get("/metrics", async (_request, reply) => {
    const { registry } = app.telemetry;
    reply.type(registry.contentType);
    return registry.metrics();
  });
}
