import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What Node runs as a service of ours. */
export const entryOf = (service: string): string =>
  join(ROOT, "services", service, "dist", service === "engine" ? "main.cjs" : "main.js");
export const PYTHON = process.env.TIDEMARK_PYTHON ?? join(ROOT, ".venv", "bin", "python");
const MAIN = entryOf("tidemark");

/** A Tidemark started by its own command line, in a directory of its own. */
export interface Tidemark {
  readonly otlp: string;
  readonly clickhouse: string;
  readonly viewer: string;
  readonly alerts: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
  readonly output: () => string;
  /** Rows of a query, as the read-only user. */
  query<Row>(sql: string): Promise<Row[]>;
  stop(): Promise<void>;
}

/** Runs `tidemark up` on free ports and waits until it can be used. Its directory, also a given one, is removed with it. */
export async function startTidemark(
  flags: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
  dataDir: string = mkdtempSync(join(tmpdir(), "tidemark-test-")),
): Promise<Tidemark> {
  const [otlp, clickhouse, viewer, alerts] = await freePorts(4);
  const args = [MAIN, "up", "--data-dir", dataDir, "--otlp-port", `${otlp}`, "--clickhouse-port", `${clickhouse}`];
  args.push("--otlp-grpc-port", "0", "--viewer-port", `${viewer}`, "--alerts-port", `${alerts}`, ...flags);
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const output = collect(child);
  const tidemark: Tidemark = {
    otlp: `http://127.0.0.1:${otlp}`,
    clickhouse: `http://127.0.0.1:${clickhouse}`,
    viewer: `http://127.0.0.1:${viewer}`,
    alerts: `http://127.0.0.1:${alerts}`,
    dataDir,
    process: child,
    output,
    query: (sql) => query(`http://127.0.0.1:${clickhouse}`, sql),
    stop: async () => {
      await stop(child);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  try {
    await until(
      () => `Tidemark to be ready\n${output()}`,
      async () => {
        if (child.exitCode !== null) throw new Fatal(`tidemark up ended with ${child.exitCode}:\n${output()}`);
        return output().includes("Stop with Ctrl-C");
      },
    );
  } catch (error) {
    await tidemark.stop();
    throw error;
  }
  return tidemark;
}

/** Rows of one SELECT through ClickHouse's HTTP interface, as the read-only user if `headers` name no other; integers of 64 bits as numbers. */
export async function query<Row>(url: string, sql: string, headers: Record<string, string> = {}): Promise<Row[]> {
  const response = await fetch(
    `${url}/?database=tidemark&default_format=JSONEachRow&output_format_json_quote_64bit_integers=0`,
    { method: "POST", headers, body: sql },
  );
  const text = await response.text();
  if (!response.ok) throw new Error(`${sql}\n${text}`);
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row);
}

/** A failure that waiting longer does not mend. */
export class Fatal extends Error {}

/** Polls until the condition gives something truthy, and returns that; `what` may say more when it is too late. */
export async function until<T>(
  what: string | (() => string),
  condition: () => Promise<T> | T,
  timeoutMs = 60_000,
  everyMs = 200,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(
        `waited ${timeoutMs / 1000} s for ${typeof what === "string" ? what : what()}; last: ${String(last)}`,
      );
    await delay(everyMs);
  }
}

/** Free TCP ports, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const { port } = server.address() as { port: number };
      await new Promise((resolve) => server.close(resolve));
      return port;
    }),
  );
}

/** Pid of the child of `tidemark up` or `demo` that runs the service; 0 where it does not run just now. */
export function childOf(parent: ChildProcess, service: string): number {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const ppid = Number(readFileSync(`/proc/${entry}/stat`, "utf8").split(") ")[1]?.split(" ")[1]);
      if (ppid !== parent.pid) continue;
      if (readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(entryOf(service))) return Number(entry);
    } catch {
      // It ended while we looked.
    }
  }
  return 0;
}

/** Command lines of the processes that carry the marker in their environment; this one is not among them. */
export function marked(marker: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${entry}/environ`, "utf8").includes(marker)) continue;
      found.push(readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " "));
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/** What a child prints, so far. */
export function collect(child: ChildProcess): () => string {
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    text += chunk;
  });
  return () => text;
}

/** Ends a child by SIGTERM, and by SIGKILL where that takes longer than 10 s. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(timer);
}

/** The q-quantile of measured values by linear interpolation; NaN where there are none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}
