import type { FastifyInstance } from "fastify";
import { isLoopback } from "../config.ts";
import type { DurableLog } from "../log/durable-log.ts";
import type { Reachability } from "../writer/reach.ts";

export interface HealthOptions {
  readonly log: DurableLog;
  /** What ClickHouse answered last: see `Reach`. */
  readonly clickhouse: () => Reachability;
  /** ClickHouse took the last inserts that were tried. */
  readonly inserting: () => boolean;
  readonly stopping: () => boolean;
  /** Throws Unauthorized. */
  readonly checkToken: (authorization: string | undefined) => void;
}

/**
 * /healthz: the process runs, and acknowledges data. /readyz: the data also reaches ClickHouse; the status says what is
 * in the way, though data goes on being acknowledged until the log is full. /metrics: Prometheus text.
 */
export default async function healthRoutes(app: FastifyInstance, options: HealthOptions): Promise<void> {
  const { log, clickhouse, inserting, stopping, checkToken } = options;
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const reachable = clickhouse();
    const clickhouseState = reachable === "ok" && !inserting() ? "failing" : reachable;
    let status = "ready";
    if (stopping()) status = "stopping";
    else if (log.lockLost) status = "another process took the log";
    else if (log.full) status = "log full";
    else if (clickhouseState !== "ok") status = "ClickHouse does not take data";
    reply.status(status === "ready" ? 200 : 503);
    return {
      status,
      clickhouse: clickhouseState,
      queueBytes: log.queuedBytes,
      /** What a person should look at; none of it keeps data from being taken. */
      damagedSegments: log.damagedSegments,
      keptAside: await log.keptAside(),
    };
  });
  app.get("/metrics", async (request, reply) => {
    // It names services and sources: from another machine it takes a token, as sending does.
    if (!isLoopback(request.socket.remoteAddress ?? "")) checkToken(request.headers.authorization);
    const { registry } = app.telemetry;
    reply.type(registry.contentType);
    return registry.metrics();
  });
}
