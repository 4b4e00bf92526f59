import { execFile } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const PREFIX = "tidemark-lab-pg-";

/** How the name of a server's directory starts: it says which process made it. */
export function directoryPrefix(owner: number): string {
  return `${PREFIX}${owner}-`;
}

/**
 * Removes what starts that were killed have left: their server, if it still runs, and their data.
 *
 * A directory counts as stale when the process that made it is gone. A server is ended only when its own command line
 * names that directory, so a process number that was given away again harms nobody.
 */
export async function removeStale(parent: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(parent)) {
    const owner = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (!(owner > 1) || isAlive(owner)) continue;
    const directory = path.join(parent, name);
    const server = await firstNumber(path.join(directory, "data", "postmaster.pid"));
    if (server !== undefined && (await commandLine(server)).includes(directory)) signal(server, "SIGQUIT");
    try {
      await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      removed.push(directory);
    } catch {
      // Another account's, or a start that is removing it right now.
    }
  }
  return removed;
}

async function firstNumber(file: string): Promise<number | undefined> {
  try {
    const value = Number.parseInt(await readFile(file, "utf8"), 10);
    return value > 1 ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Ended in between.
  }
}

async function commandLine(pid: number): Promise<string> {
  try {
    return (await run("ps", ["-ww", "-o", "command=", "-p", String(pid)])).stdout;
  } catch {
    return "";
  }
}
