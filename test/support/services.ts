import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { migrate } from "@tidemark/store";
import { entryOf, freePorts, query, until } from "./tidemark.ts";

const PASSWORD = "writer-of-the-tests";
const READY_MS = 60_000;
const END_WITHIN_MS = 20_000;
const KEPT_LINES = 200;
const BYTES_PER_PAGE = 4096;

/** One of our services as a process that may be killed and started again on the same port and directory. */
export class Service {
  readonly name: "engine" | "ingest";
  readonly environment: Readonly<Record<string, string>>;
  private readonly readyLine: string;
  private child: ChildProcess | undefined;
  private ready = false;
  private ended: Promise<void> = Promise.resolve();
  /** The last lines of all its runs, with warnings and errors first to be looked at. */
  readonly lines: string[] = [];
  readonly warnings = new Map<string, number>();
  starts = 0;

  constructor(name: "engine" | "ingest", readyLine: string, environment: Record<string, string>) {
    this.name = name;
    this.readyLine = readyLine;
    this.environment = environment;
  }

  /** Undefined while none runs. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  get isReady(): boolean {
    return this.ready;
  }

  /** Starts the process, and does not wait until it can work. */
  spawn(): void {
    const child = spawn(process.execPath, [entryOf(this.name)], {
      env: { PATH: process.env.PATH ?? "", ...this.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.ready = false;
    this.starts++;
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => this.keep(child, line));
    }
    this.ended = new Promise((resolve) => {
      child.once("exit", (code) => {
        if (this.child === child) {
          this.child = undefined;
          this.ready = false;
        }
        if (code !== null && code !== 0) this.lines.push(`exit code ${code}`);
        resolve();
      });
    });
  }

  /** Throws with the end of its output when it ends before it is ready, or is not ready in time. */
  async untilReady(): Promise<void> {
    await until(
      () => `${this.name} to be ready:\n${this.lines.slice(-10).join("\n")}`,
      () => this.ready || this.child === undefined,
      READY_MS,
      5,
    );
    if (!this.ready) throw new Error(`${this.name} ended:\n${this.lines.slice(-10).join("\n")}`);
  }

  async start(): Promise<void> {
    this.spawn();
    await this.untilReady();
  }

  /** Sends the signal, if it runs, and waits for its end; what does not end in time is killed. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    child?.kill(signal);
    const timer = setTimeout(() => child?.kill("SIGKILL"), END_WITHIN_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Resident memory in bytes; 0 while it does not run. Linux only. */
  residentBytes(): number {
    const { pid } = this;
    if (pid === undefined) return 0;
    try {
      return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * BYTES_PER_PAGE;
    } catch {
      return 0;
    }
  }

  private keep(child: ChildProcess, line: string): void {
    this.lines.push(line);
    if (this.lines.length > KEPT_LINES) this.lines.shift();
    try {
      const { level, msg, event } = JSON.parse(line) as { level?: number; msg?: string; event?: string };
      if (msg === this.readyLine && this.child === child) this.ready = true;
      if ((level ?? 0) >= 40) {
        const key = event ?? msg ?? line;
        this.warnings.set(key, (this.warnings.get(key) ?? 0) + 1);
      }
    } catch {
      this.warnings.set(line, (this.warnings.get(line) ?? 0) + 1);
    }
  }
}

/** An engine and an ingest that writes to it, each in a directory of its own below `directory`. */
export interface Pair {
  readonly engine: Service;
  readonly ingest: Service;
  readonly engineDirectory: string;
  readonly logDirectory: string;
  /** `http://user:password@host:port/database` of the writer. */
  readonly clickhouseUrl: string;
  readonly otlp: string;
}

/** Nothing is started yet; the ports are free at this moment. */
export async function pairIn(directory: string, settings: Record<string, string> = {}): Promise<Pair> {
  const [enginePort, otlpPort, grpcPort] = await freePorts(3);
  const clickhouseUrl = `http://tidemark:${PASSWORD}@127.0.0.1:${enginePort}/tidemark`;
  const engineDirectory = join(directory, "engine");
  const ingestDirectory = join(directory, "ingest");
  return {
    engine: new Service("engine", "engine ready", {
      TIDEMARK_CLICKHOUSE_PORT: String(enginePort),
      TIDEMARK_DATA_DIR: engineDirectory,
      TIDEMARK_ENGINE_WRITER_PASSWORD: PASSWORD,
    }),
    ingest: new Service("ingest", "ready", {
      TIDEMARK_OTLP_PORT: String(otlpPort),
      TIDEMARK_OTLP_GRPC_PORT: String(grpcPort),
      TIDEMARK_DATA_DIR: ingestDirectory,
      TIDEMARK_CLICKHOUSE_URL: clickhouseUrl,
      ...settings,
    }),
    engineDirectory: join(engineDirectory, "engine"),
    logDirectory: join(ingestDirectory, "log"),
    clickhouseUrl,
    otlp: `http://127.0.0.1:${otlpPort}`,
  };
}

/** Rows of one SELECT as the writer, whom no limit for readers holds up; integers of 64 bits as numbers. */
export function rows<Row>(clickhouseUrl: string, sql: string): Promise<Row[]> {
  const { origin, username, password } = new URL(clickhouseUrl);
  return query<Row>(origin, sql, { "x-clickhouse-user": username, "x-clickhouse-key": password });
}

/** Both, on a database that has its tables. */
export async function startPair({ engine, ingest, clickhouseUrl }: Pair): Promise<void> {
  await engine.start();
  await migrate(clickhouseUrl);
  await ingest.start();
}

/** Value of a sample on a Prometheus page, all label sets added up; 0 where there is none. */
export function metric(page: string, name: string): number {
  let sum = 0;
  for (const line of page.split("\n")) {
    if (line.startsWith(name) && (line[name.length] === " " || line[name.length] === "{")) {
      sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
  }
  return sum;
}
