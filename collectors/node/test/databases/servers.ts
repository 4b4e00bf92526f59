import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";
import { until } from "../agent-process.ts";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const PYTHON = process.env.TIDEMARK_PYTHON ?? join(ROOT, ".venv", "bin", "python");

/** A database server of the test's own, with its data in a directory of its own. */
export interface DatabaseServer {
  /** Its socket, or its URL where it has none. */
  readonly address: string;
  stop(): Promise<void>;
}

interface Program {
  readonly command: string;
  /** What to install where it is missing. */
  readonly package: string;
  parameters(directory: string, socket: string): string[];
}

const MARIADB: Program = {
  command: "mariadbd",
  package: "the Debian package mariadb-server-core",
  // Without its tables of users: everybody on the socket may do everything, and no installation is needed.
  parameters: (directory, socket) => [
    "--no-defaults",
    ...(process.getuid?.() === 0 ? ["--user=root"] : []),
    `--datadir=${directory}`,
    `--socket=${socket}`,
    `--pid-file=${join(directory, "pid")}`,
    "--skip-networking",
    "--skip-grant-tables",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=4M",
  ],
};
const REDIS: Program = {
  command: "redis-server",
  package: "the Debian package redis-server",
  parameters: (directory, socket) => ["--port", "0", "--unixsocket", socket, "--dir", directory, "--save", ""],
};

/** A server of MongoDB's protocol on SQLite: MongoDB itself comes by no package. */
const MONGODB: Program = {
  command: join(dirname(PYTHON), "nx-27017"),
  package: "the Python package nx-27017 in .venv",
  parameters: (directory, port) => [
    ...["--db", "memory", "--port", port],
    ...["--log-file", join(directory, "log"), "--pid-file", join(directory, "pid")],
  ],
};
const PROGRAMS = { mariadb: MARIADB, redis: REDIS, mongodb: MONGODB } as const;

/** The tests of a database. Where its server is missing they are left out, and say what to install; in CI that throws. */
export function describeDatabase(database: keyof typeof PROGRAMS, title: string, tests: () => void): void {
  const reason = missing(database);
  if (reason === undefined) describe(title, tests);
  else it(`${title} (${reason})`, (context) => context.skip(reason));
}

/** Why the tests of a database cannot run on this machine; undefined where they can. */
function missing(database: keyof typeof PROGRAMS): string | undefined {
  const program = PROGRAMS[database];
  if (spawnSync(program.command, ["--help"]).error === undefined) return undefined;
  const reason = `needs ${program.package}`;
  if (process.env.CI) throw new Error(reason);
  return reason;
}

/** @throws when it ends before it answers; the message holds its last lines. */
export async function startDatabase(database: keyof typeof PROGRAMS): Promise<DatabaseServer> {
  const { command, parameters } = PROGRAMS[database];
  const directory = mkdtempSync(join(tmpdir(), `tidemark-${database}-`));
  const address = database === "mongodb" ? String(await freePort()) : join(directory, "socket");
  const child = spawn(command, parameters(directory, address), { stdio: ["ignore", "pipe", "pipe"] });
  let lines = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      lines = (lines + chunk).slice(-4096);
    });
  }
  await until(`${command} answers`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${lines}`);
    return answers(address);
  });
  return {
    address: database === "mongodb" ? `mongodb://127.0.0.1:${address}` : address,
    stop: () => stop(child, directory),
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

async function answers(address: string): Promise<boolean> {
  const connection = /^\d+$/.test(address) ? connect(Number(address), "127.0.0.1") : connect(address);
  try {
    await once(connection, "connect");
    return true;
  } catch {
    return false;
  } finally {
    connection.destroy();
  }
}

async function stop(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
}
