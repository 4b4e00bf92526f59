import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LogLocked } from "../errors.ts";

interface Owner {
  readonly pid: number;
  /** Tells this run of the pid from any other: boot id and start time where /proc has them. */
  readonly incarnation: string;
  readonly id: string;
}

/**
 * Takes the directory for this process and returns how to give it back.
 *
 * The lock is a file that names its owner. A lock whose owner no longer runs, as after kill -9, is taken over: the pid
 * alone would not tell, because pids are reused. Throws LogLocked when the owner is alive.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, "lock");
  const mine: Owner = { pid: process.pid, incarnation: incarnation(process.pid), id: randomUUID() };
  const draft = join(directory, `lock.${mine.id}`);
  await writeFile(draft, JSON.stringify(mine));
  try {
    while (!(await claim(draft, path))) {
      const owner = await readOwner(path);
      if (owner !== undefined && isAlive(owner)) throw new LogLocked(directory, String(owner.pid));
      await removeStale(path, owner, `${draft}.stale`);
    }
  } finally {
    await unlink(draft).catch(() => {});
  }
  return async () => {
    if ((await readOwner(path))?.id === mine.id) await unlink(path);
  };
}

async function claim(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Two starters may find the same stale lock: the one whose rename took another's fresh lock puts it back. */
async function removeStale(path: string, seen: Owner | undefined, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const taken = await readOwner(aside);
  if (taken?.id !== seen?.id) await link(aside, path).catch(() => {});
  await unlink(aside).catch(() => {});
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const owner: unknown = JSON.parse(await readFile(path, "utf8"));
    if (owner !== null && typeof owner === "object" && "pid" in owner && typeof owner.pid === "number") {
      return owner as Owner;
    }
    return undefined;
  } catch {
    // Gone, or never finished: no owner either way.
    return undefined;
  }
}

function isAlive(owner: Owner): boolean {
  // A lock of this very process is another log in it; the same pid with another incarnation is a container restart.
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return owner.incarnation === incarnation(owner.pid);
}

function incarnation(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const afterName = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, startTicks] = [afterName[0], afterName[19]];
    if (state === "Z" || state === "X") return "dead";
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${startTicks}`;
  } catch {
    return "";
  }
}
