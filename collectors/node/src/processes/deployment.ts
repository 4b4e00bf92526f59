import cluster from "node:cluster";
import type { Environment } from "../options.ts";

/** What this process is one of. */
export interface Deployment {
  /** Number among the workers; undefined for a process of its own. */
  readonly index: number | undefined;
  /** Process that started the workers, and the name it has for them where it has several groups. */
  readonly leader: string;
  /** How many workers there should be, where the one who starts them says so. */
  readonly configured: number | undefined;
}

/**
 * The variables as the application will find them: in its cluster mode pm2 hands its own, and those of its configuration,
 * over as JSON, in `pm2_env`, and only sets them after the preload. Source: pm2 7, lib/ProcessContainer.js.
 */
export function applicationEnvironment(environment: Environment): Environment {
  return { ...environment, ...pm2Variables(environment.pm2_env) };
}

/**
 * A worker of `cluster`, an instance that a process manager numbers by NODE_APP_INSTANCE (pm2), or neither.
 * `environment` is that of {@link applicationEnvironment}.
 */
export function deploymentOf(environment: Environment): Deployment {
  const number = integer(environment[environment.instance_var || "NODE_APP_INSTANCE"]);
  if (number !== undefined) {
    const name = environment.pm_id === undefined ? undefined : environment.name;
    return {
      index: number,
      leader: name === undefined ? String(process.ppid) : `${process.ppid}:${name}`,
      configured: integer(environment.instances),
    };
  }
  if (cluster.isWorker) return { index: cluster.worker?.id, leader: String(process.ppid), configured: undefined };
  return { index: undefined, leader: String(process.pid), configured: undefined };
}

function pm2Variables(text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined) return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return {};
    const plain = Object.entries(parsed).filter(([, value]) => ["string", "number"].includes(typeof value));
    return Object.fromEntries(plain.map(([name, value]) => [name, String(value)]));
  } catch {
    return {};
  }
}

function integer(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
