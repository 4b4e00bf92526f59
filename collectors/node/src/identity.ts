import cluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { AgentOptions, Environment } from "./options.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** Version of the agent. */
export const AGENT_VERSION = version;

/** Attributes of the OTLP resource: who speaks. */
export type Identity = Readonly<Record<string, string | number>>;

/**
 * Identity of this process. `service.instance.id` is new for each process, also for each worker of `cluster`; the
 * workers of one primary share `tidemark.group.id`. Process managers that number their processes by
 * NODE_APP_INSTANCE (pm2) are grouped by their parent.
 */
export function identify(options: AgentOptions, environment: Environment): Identity {
  const managed = environment.NODE_APP_INSTANCE;
  const index = cluster.isWorker ? cluster.worker?.id : managed !== undefined ? Number(managed) : undefined;
  const leader = index === undefined ? process.pid : process.ppid;
  return {
    ...options.resourceAttributes,
    "service.name": options.serviceName,
    "service.instance.id": (!cluster.isWorker && options.resourceAttributes["service.instance.id"]) || randomUUID(),
    "process.pid": process.pid,
    "process.runtime.name": "nodejs",
    "process.runtime.version": process.versions.node,
    "host.name": options.resourceAttributes["host.name"] ?? hostname(),
    "telemetry.sdk.language": "nodejs",
    "telemetry.distro.name": "tidemark-node",
    "telemetry.distro.version": AGENT_VERSION,
    "tidemark.server": "node-http",
    ...(index !== undefined && Number.isInteger(index) ? { "tidemark.worker.index": index } : {}),
    "tidemark.group.id": `${hostname()}:${leader}`,
  };
}
