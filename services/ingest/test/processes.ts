import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ENGINE = fileURLToPath(new URL("../../engine/dist/main.cjs", import.meta.url));
const INGEST = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const PASSWORD = "writer-of-the-tests";
const POLL_MS = 20;

/** Waits until `condition` returns something, and returns it. */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value as T;
    if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export async function temporaryDirectory(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "tidemark-ingest-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** A service of ours as a process of its own that logs JSON lines. */
export class Service {
  readonly lines: Record<string, unknown>[] = [];
  exited: { code: number | null; signal: string | null } | undefined;
  private readonly child: ChildProcess;

  constructor(script: string, environment: Record<string, string>) {
    this.child = spawn(process.execPath, [script], {
      env: { PATH: process.env.PATH ?? "", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => {
        try {
          this.lines.push(JSON.parse(line));
        } catch {
          this.lines.push({ msg: line });
        }
      });
    }
    this.child.on("exit", (code, signal) => {
      this.exited = { code, signal };
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  line(message: string): Promise<Record<string, unknown>> {
    return until(`a line "${message}"`, () => {
      const found = this.lines.find((line) => line.msg === message);
      if (found === undefined && this.exited !== undefined) {
        throw new Error(`exited with ${this.exited.code}: ${JSON.stringify(this.lines)}`);
      }
      return found;
    });
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.exited === undefined) this.child.kill(signal);
    await until("the process to end", () => this.exited !== undefined);
  }
}

/** The embedded engine on a directory; started again it keeps its port. */
export class Engine {
  private readonly directory: string;
  private service: Service | undefined;
  private port = "0";
  url = "";

  constructor(directory: string) {
    this.directory = directory;
  }

  async start(): Promise<void> {
    this.service = new Service(ENGINE, {
      TIDEMARK_CLICKHOUSE_PORT: this.port,
      TIDEMARK_DATA_DIR: this.directory,
      TIDEMARK_ENGINE_WRITER_PASSWORD: PASSWORD,
    });
    const { url } = await this.service.line("engine ready");
    this.port = new URL(String(url)).port;
    this.url = `http://tidemark:${PASSWORD}@127.0.0.1:${this.port}/tidemark`;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.service?.end(signal);
  }

  /** Rows of a query; `parameters` fill its `{name:Type}`. */
  async query<T = Record<string, unknown>>(sql: string, parameters: Record<string, string> = {}): Promise<T[]> {
    const url = new URL(`http://127.0.0.1:${this.port}/?database=tidemark`);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(`param_${name}`, value);
    const response = await fetch(url, {
      method: "POST",
      body: `${sql} FORMAT JSON`,
      headers: { "x-clickhouse-user": "tidemark", "x-clickhouse-key": PASSWORD },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return (JSON.parse(text) as { data: T[] }).data;
  }
}

/** The ingest as a process of its own. */
export async function startIngest(
  environment: Record<string, string>,
): Promise<{ service: Service; url: string; port: number }> {
  const service = new Service(INGEST, { TIDEMARK_OTLP_PORT: "0", TIDEMARK_FLUSH_INTERVAL: "0.05", ...environment });
  const { port } = await service.line("ready");
  return { service, url: `http://127.0.0.1:${port}`, port: Number(port) };
}

/** A ClickHouse in front of a real one that refuses inserts into some tables. */
export interface RefusingClickHouse {
  /** Of the real one, by way of this one. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Passes requests on to `url`, but answers with `exception` what names one of `tables()`: `{ code: 53, name: "TYPE_MISMATCH" }`.
 */
export async function refusingClickHouse(
  url: string,
  tables: () => readonly string[],
  exception: { readonly code: number; readonly name: string },
): Promise<RefusingClickHouse> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (tables().some((table) => request.url!.includes(table))) {
      response.writeHead(500, { "x-clickhouse-exception-code": String(exception.code) });
      response.end(`Code: ${exception.code}. DB::Exception: Refused by the test. (${exception.name})`);
      return;
    }
    const reply = await fetch(new URL(request.url!, new URL(url).origin), {
      method: "POST",
      body: new Uint8Array(Buffer.concat(chunks)),
      headers: {
        "x-clickhouse-user": String(request.headers["x-clickhouse-user"]),
        "x-clickhouse-key": String(request.headers["x-clickhouse-key"]),
      },
    });
    response.writeHead(reply.status).end(await reply.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const through = new URL(url);
  through.port = String((server.address() as AddressInfo).port);
  return {
    url: through.href,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
