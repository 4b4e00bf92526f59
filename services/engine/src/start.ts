import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { buildEngine } from "./app.ts";
import type { EngineConfig } from "./config.ts";

/** A running engine. */
export interface RunningEngine {
  app: FastifyInstance;
  /** For example `http://127.0.0.1:8123`. */
  url: string;
  /** Stops taking requests, lets running ones finish for 3 s, cancels the rest, releases the data directory. */
  close(): Promise<void>;
}

/** Opens the data directory and listens. Throws one clear sentence when either cannot be had. */
export async function startEngine(config: EngineConfig): Promise<RunningEngine> {
  const app = buildEngine(config);
  try {
    await app.listen({ host: config.host, port: config.port });
  } catch (error) {
    await app.close();
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EADDRINUSE") {
      throw new Error(
        `Port ${config.port} on ${config.host} is taken. Set TIDEMARK_CLICKHOUSE_PORT to a free port, or stop what uses it.`,
      );
    }
    if (code === "EACCES")
      throw new Error(
        `This user may not listen on port ${config.port}. Set TIDEMARK_CLICKHOUSE_PORT to a port above 1023.`,
      );
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  return { app, url: `http://${host}:${port}`, close: () => app.close() };
}
