import { createServer } from "node:net";
import getPort from "get-port";
import { UsageError } from "./settings.ts";

/** One port that a service wants, and how the user can choose another. */
export interface WantedPort {
  readonly service: string;
  readonly port: number;
  readonly variable: string;
  readonly flag: string;
}

/** True where nothing listens on the port and this user may. */
export function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Checks all ports before anything starts, so that one message names every conflict.
 *
 * @throws UsageError naming each port that is taken, its service, and the flag and variable to change.
 */
export async function assertFree(wanted: readonly WantedPort[], host: string): Promise<void> {
  const lines: string[] = [];
  for (const { service, port, variable, flag } of wanted) {
    if (await isFree(port, host)) continue;
    lines.push(
      `Port ${port} on ${host} (${service}) is taken: stop what listens there, or use ${flag} or ${variable}.`,
    );
  }
  if (lines.length > 0) throw new UsageError(lines.join("\n"));
}

/** Each wanted port where it is free, otherwise a free one that none of the others uses. */
export async function freeInstead(wanted: readonly number[], host: string): Promise<number[]> {
  const chosen: number[] = [];
  for (const port of wanted) {
    chosen.push((await isFree(port, host)) ? port : await getPort({ host, exclude: [...wanted, ...chosen] }));
  }
  return chosen;
}
