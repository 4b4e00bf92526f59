import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../agent-process.ts";

/** A database server of the test's own, on a socket in a directory of its own. */
export interface DatabaseServer {
  readonly socket: string;
  stop(): Promise<void>;
}

interface Program {
  readonly command: string;
  /** Debian package that has it. */
  readonly package: string;
  parameters(directory: string, socket: string): string[];
}

const MARIADB: Program = {
  command: "mariadbd",
  package: "mariadb-server-core",
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
  package: "redis-server",
  parameters: (directory, socket) => ["--port", "0", "--unixsocket", socket, "--dir", directory, "--save", ""],
};

/** Why the tests of MariaDB, or Redis, cannot run on this machine; undefined where they can. In CI that throws. */
export function missing(...programs: readonly ("mariadb" | "redis")[]): string | undefined {
  for (const name of programs) {
    const { command, package: debian } = name === "mariadb" ? MARIADB : REDIS;
    if (spawnSync(command, ["--version"]).status === 0) continue;
    const reason = `needs ${command}, of the Debian package ${debian}`;
    if (process.env.CI) throw new Error(reason);
    return reason;
  }
  return undefined;
}

export const startMariadb = () => start(MARIADB);
export const startRedis = () => start(REDIS);

async function start({ command, parameters }: Program): Promise<DatabaseServer> {
  const directory = mkdtempSync(join(tmpdir(), `tidemark-${command}-`));
  chmodSync(directory, 0o700);
  const socket = join(directory, "socket");
  const child = spawn(command, parameters(directory, socket), { stdio: ["ignore", "pipe", "pipe"] });
  let lines = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      lines = (lines + chunk).slice(-4096);
    });
  }
  await until(`${command} answers`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${lines}`);
    return answers(socket);
  });
  return { socket, stop: () => stop(child, directory) };
}

async function answers(socket: string): Promise<boolean> {
  const connection = connect(socket);
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
