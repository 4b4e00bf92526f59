import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { lstat, lutimes, readlink, rename, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { LogLocked } from "../errors.ts";

/** `pid.start.space.nonce`: short enough to be kept in the inode, so that a full disk does not keep us from starting. */
type Owner = string;

const FILE = "lock";
const BEAT_MS = 1_000;
/** An owner that cannot be asked whether it lives has this long to show a beat. */
const SILENT_MS = 5_000;
const POLL_MS = 100;

export interface LockTiming {
  readonly beatMs: number;
  readonly silentMs: number;
}

/**
 * Takes the directory for this process and returns how to give it back.
 *
 * The lock is a symbolic link whose target names its owner: made in one step, without a byte of disk space. A lock whose
 * owner no longer runs, as after kill -9, is taken over at once. A pid tells that only in the same pid namespace of the
 * same boot: of an owner in another container or on another host the link's time is watched, which it renews every
 * second. `lost` is called when another process took the directory, after this one was silent for too long.
 * Throws LogLocked when the owner is alive.
 */
export async function lockDirectory(
  directory: string,
  lost: () => void = () => {},
  { beatMs, silentMs }: LockTiming = { beatMs: BEAT_MS, silentMs: SILENT_MS },
): Promise<() => Promise<void>> {
  const path = join(directory, FILE);
  const mine = [process.pid, startOf(process.pid), space(), randomBytes(4).toString("hex")].join(".");
  while (!(await claim(mine, path))) {
    const owner = await readOwner(path);
    if (owner === undefined) continue;
    if (await isAlive(owner, path, silentMs)) throw new LogLocked(directory, describe(owner));
    await removeStale(path, owner, join(directory, `${FILE}.${mine}.stale`));
  }
  const beat = setInterval(() => {
    const now = new Date();
    readOwner(path)
      .then((owner) => {
        if (owner === mine) return lutimes(path, now, now);
        clearInterval(beat);
        return lost();
      })
      // A beat that fails is one that is missed.
      .catch(() => {});
  }, beatMs);
  beat.unref();
  return async () => {
    clearInterval(beat);
    if ((await readOwner(path)) === mine) await unlink(path);
  };
}

/** Who holds the directory at this moment, for people; undefined when nobody does. Waits for a beat where it must. */
export async function ownerOf(directory: string): Promise<string | undefined> {
  const path = join(directory, FILE);
  const owner = await readOwner(path);
  return owner !== undefined && (await isAlive(owner, path, SILENT_MS)) ? describe(owner) : undefined;
}

async function claim(owner: Owner, path: string): Promise<boolean> {
  try {
    await symlink(owner, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Two starters may find the same stale lock: the one whose rename took another's fresh lock puts it back. */
async function removeStale(path: string, seen: Owner, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const taken = await readOwner(aside);
  if (taken !== undefined && taken !== seen) await claim(taken, path);
  await unlink(aside).catch(() => {});
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    // A plain file of that name is none of ours: nobody beats it.
    if (code === "EINVAL") return "";
    throw error;
  }
}

async function isAlive(owner: Owner, path: string, silentMs: number): Promise<boolean> {
  const [pid = "", start = "", there = ""] = owner.split(".");
  if (there !== space() || !/^\d+$/.test(pid)) return beats(path, silentMs);
  // A lock of this very process is another log in it; the same pid with another start is another process.
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return start === startOf(Number(pid));
}

async function beats(path: string, silentMs: number): Promise<boolean> {
  const first = await lstat(path).catch(() => undefined);
  const until = performance.now() + silentMs;
  while (first !== undefined && performance.now() < until) {
    await delay(POLL_MS);
    const now = await lstat(path).catch(() => undefined);
    if (now === undefined) return false;
    if (now.mtimeMs !== first.mtimeMs) return true;
  }
  return false;
}

function describe(owner: Owner): string {
  const [pid = "", , there = ""] = owner.split(".");
  return there === space() ? pid : `${pid} of another container or host`;
}

/** When a process started, in clock ticks since the boot; "dead" for what only waits to be reaped, "" without /proc. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const afterName = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (afterName[0] === "Z" || afterName[0] === "X") return "dead";
    return afterName[19] ?? "";
  } catch {
    return "";
  }
}

/** The boot and pid namespace that a pid means something in. */
function space(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return createHash("sha1")
      .update(`${boot} ${readlinkSync("/proc/self/ns/pid")}`)
      .digest("hex")
      .slice(0, 12);
  } catch {
    return "";
  }
}
