import { hostname } from "node:os";
import type { AgentOptions, Environment } from "./options.ts";
import { deploymentOf } from "./processes/deployment.ts";
import { randomUUID } from "./shared/uuid.ts";
import { AGENT_VERSION } from "./shared/version.ts";

/** Attributes of the OTLP resource: who speaks. */
export type Identity = Readonly<Record<string, string | number>>;

/**
 * Identity of this process. `service.instance.id` is new for each process: one from the environment would be that of
 * all workers, so it is taken for a process of its own only. The workers of one primary or process manager share
 * `tidemark.group.id`.
 */
export function identify(options: AgentOptions, environment: Environment): Identity {
  const { index, leader, configured } = deploymentOf(environment);
  return {
    ...options.resourceAttributes,
    "service.name": options.serviceName,
    "service.instance.id": (index === undefined && options.resourceAttributes["service.instance.id"]) || randomUUID(),
    "process.pid": process.pid,
    "process.runtime.name": "nodejs",
    "process.runtime.version": process.versions.node,
    "host.name": options.resourceAttributes["host.name"] ?? hostname(),
    "telemetry.sdk.language": "nodejs",
    "telemetry.distro.name": "tidemark-node",
    "telemetry.distro.version": AGENT_VERSION,
    "tidemark.server": "node-http",
    ...(index === undefined ? {} : { "tidemark.worker.index": index }),
    ...(configured === undefined ? {} : { "tidemark.workers.configured": configured }),
    "tidemark.group.id": `${hostname()}:${leader}`,
  };
}
