import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chown, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { type Account, canEnter, findBinaries, reachableBinaries, serverAccount } from "./binaries.ts";
import { createContent } from "./content.ts";
import { directoryPrefix, removeStale } from "./stale.ts";

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 4_000;
const POLL_MS = 25;
const START_ATTEMPTS = 3;
const KEPT_LINES = 12;
const USER = "tidemark";
const PUBLIC_DIRECTORIES = ["/tmp", "/var/tmp"];

/** The data lives as long as the demo, so nothing waits for the disk; small buffers start faster. */
const SERVER_SETTINGS = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "60",
  shared_buffers: "32MB",
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  jit: "off",
  timezone: "UTC",
  log_min_messages: "warning",
};

/**
 * Runs the server and outlives us by a moment: when our end of its standard input closes, also by `kill -9`, it stops
 * the server and removes the directory. The reader is ended too when the server stops by itself.
 */
const GUARD = `
directory=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & server=$!
( read -r line <&3; kill -INT $server 2>/dev/null ) & reader=$!
wait $server; code=$?
kill $reader 2>/dev/null
rm -rf "$directory"
exit $code
`;

export interface PostgresOptions {
  /** An existing server, for an account that may create databases. Without it an embedded server is started. */
  url?: string | undefined;
  /** Where the embedded server's data goes; default the system's temporary directory. */
  parentDirectory?: string;
  /** Receives the server's own lines. */
  onLog?: (line: string) => void;
}

export interface Postgres {
  /** URL of the bookshop, for LAB_DATABASE_URL. */
  databaseUrl: string;
  /** URL of the second database, for LAB_EVENTS_DATABASE_URL. */
  eventsDatabaseUrl: string;
  /** Process that holds the embedded server; undefined for a server given by URL. */
  pid: number | undefined;
  /** Settles when the embedded server has ended, wanted or not. */
  ended: Promise<void>;
  /** Stops the embedded server and removes its data; leaves a server given by URL as it is. */
  stop(): Promise<void>;
}

/**
 * A PostgreSQL with the bookshop and the events in it: the server at `options.url`, or an embedded one on a free
 * port of the loopback interface with a password of its own.
 *
 * @throws when the server cannot be started or reached; the message holds its last lines.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  if (options.url !== undefined) {
    const urls = await createContent(options.url);
    return { ...urls, pid: undefined, ended: new Promise(() => {}), stop: async () => {} };
  }
  if (process.platform === "win32") throw new Error("the embedded PostgreSQL needs Linux or macOS; give a URL instead");
  const account = await serverAccount();
  const parent = await enterable(await realpath(options.parentDirectory ?? tmpdir()), account);
  await removeStale(parent);
  for (let attempt = 1; ; attempt++) {
    const directory = await mkdtemp(path.join(parent, directoryPrefix(process.pid)));
    try {
      return await startEmbedded(directory, account, options.onLog ?? (() => {}));
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      // Somebody else may take the free port before the server does.
      if (attempt === START_ATTEMPTS || !/could not bind|already in use/.test((error as Error).message)) throw error;
    }
  }
}

/**
 * The wanted directory, or a public one where the server's account cannot enter that: root's own temporary directory may be private.
 *
 * @throws when the account can enter none of them.
 */
async function enterable(wanted: string, account: Account | undefined): Promise<string> {
  if (!account) return wanted;
  for (const directory of [wanted, ...PUBLIC_DIRECTORIES]) if (await canEnter(directory, account)) return directory;
  throw new Error(
    `PostgreSQL runs as user ${account.uid}, who may enter neither ${wanted} nor ${PUBLIC_DIRECTORIES.join(" nor ")}`,
  );
}

async function startEmbedded(
  directory: string,
  account: Account | undefined,
  onLog: (line: string) => void,
): Promise<Postgres> {
  const password = randomBytes(18).toString("base64url");
  const passwordFile = path.join(directory, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  const data = path.join(directory, "data");
  await mkdir(data, { mode: 0o700 });
  if (account) await Promise.all([directory, data, passwordFile].map((each) => chown(each, account.uid, account.gid)));

  const found = await findBinaries();
  const { initdb, postgres } = account ? await reachableBinaries(found, account, directory) : found;
  const identity = { ...account, cwd: directory, env: { ...process.env, LC_ALL: "C" } };
  const lines = new LastLines(onLog);
  const creating = spawn(
    initdb,
    [
      `--pgdata=${data}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--no-locale",
      "--no-sync",
      "--no-instructions",
    ],
    { ...identity, stdio: ["ignore", "pipe", "pipe"] },
  );
  lines.follow(creating);
  const [code] = await once(creating, "close");
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${lines}`);
  await rm(passwordFile);

  const port = await freePort();
  const settings = Object.entries(SERVER_SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = spawn(
    "/bin/sh",
    ["-c", GUARD, "tidemark-lab-postgres", directory, postgres, "-D", data, "-p", String(port), ...settings],
    // A group of its own: Ctrl-C in the terminal must reach the services first, the database last.
    { ...identity, detached: true, stdio: ["pipe", "pipe", "pipe"] },
  );
  lines.follow(server);
  const ended = once(server, "exit").then(() => undefined);
  const url = `postgresql://${USER}:${password}@127.0.0.1:${port}/postgres`;
  const stop = () => stopServer(server, directory);
  try {
    await answering(url, ended, lines);
    return { ...(await createContent(url)), pid: server.pid, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function answering(url: string, ended: Promise<void>, lines: LastLines): Promise<void> {
  let exited = false;
  ended.then(() => {
    exited = true;
  });
  const deadline = Date.now() + START_DEADLINE_MS;
  for (;;) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
    client.on("error", () => {});
    try {
      await client.connect();
      return;
    } catch (error) {
      if (exited) throw new Error(`PostgreSQL ended while starting: ${lines}`);
      if (Date.now() > deadline) throw new Error(`PostgreSQL does not answer: ${(error as Error).message}; ${lines}`);
    } finally {
      await client.end().catch(() => {});
    }
    await delay(POLL_MS);
  }
}

/** Closes the guard's standard input, which stops the server; kills the whole group when that takes too long. */
async function stopServer(server: ChildProcess, directory: string): Promise<void> {
  const running = () => server.exitCode === null && server.signalCode === null;
  if (running()) {
    const exited = once(server, "exit");
    server.stdin?.end();
    const timer = setTimeout(() => {
      try {
        if (running() && server.pid !== undefined) process.kill(-server.pid, "SIGKILL");
      } catch {
        // The group ended in between.
      }
    }, STOP_DEADLINE_MS);
    await exited;
    clearTimeout(timer);
  }
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** Passes a process's lines on and keeps the last ones for an error message. */
class LastLines {
  readonly #lines: string[] = [];
  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  follow(child: ChildProcess): void {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LINES) this.#lines.shift();
        this.#onLine(line);
      });
    }
  }

  toString(): string {
    return this.#lines.join(" | ") || "it printed nothing";
  }
}
