import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../dist/main.cjs", import.meta.url));
const START_MS = 60_000;

export const WRITER_PASSWORD = "writer-secret";
export const WRITER = { authorization: `Basic ${Buffer.from(`tidemark:${WRITER_PASSWORD}`).toString("base64")}` };

/** A real engine process on an ephemeral port. */
export interface EngineProcess {
  url: string;
  pid: number;
  directory: string;
  child: ChildProcess;
  /** Sends SQL; resolves to status, headers and body. */
  ask(sql: string | Uint8Array, query?: Record<string, string>, init?: RequestInit): Promise<Reply>;
  /** As `ask`, by the writer; throws unless the status is 200. */
  write(sql: string | Uint8Array, query?: Record<string, string>, init?: RequestInit): Promise<Reply>;
  /** Ends the process and removes its directory. */
  remove(): Promise<void>;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  bytes: Uint8Array;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "tidemark-engine-"));
}

/** Starts the process without waiting; `output` collects what it prints. */
export function spawnEngine(
  directory: string,
  env: Record<string, string> = {},
): { child: ChildProcess; output: () => string } {
  let printed = "";
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_CLICKHOUSE_PORT: "0",
      TIDEMARK_ENGINE_WRITER_PASSWORD: WRITER_PASSWORD,
      TIDEMARK_ENGINE_MEMORY: "2g",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const collect = (chunk: Buffer): void => {
    printed += chunk.toString();
  };
  child.stdout!.on("data", collect);
  child.stderr!.on("data", collect);
  return { child, output: () => printed };
}

/** Starts an engine and waits until it says that it is ready. */
export async function startEngineProcess(
  env: Record<string, string> = {},
  directory = temporaryDirectory(),
): Promise<EngineProcess> {
  const { child, output } = spawnEngine(directory, env);
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`engine not ready after ${START_MS} ms: ${output()}`)), START_MS);
    const look = (): void => {
      const found = /"url":"(http[^"]+)"[^\n]*engine ready/.exec(output())?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout!.on("data", look);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`engine exited with ${code}: ${output()}`));
    });
  });
  const ask = async (
    sql: string | Uint8Array,
    query: Record<string, string> = {},
    init: RequestInit = {},
  ): Promise<Reply> => {
    const response = await fetch(`${url}/?${new URLSearchParams(query)}`, {
      method: "POST",
      body: sql as BodyInit,
      ...init,
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, text: new TextDecoder().decode(bytes) };
  };
  return {
    url,
    pid: child.pid!,
    directory,
    child,
    ask,
    async write(sql, query, init = {}) {
      const reply = await ask(sql, query, {
        ...init,
        headers: { ...WRITER, ...(init.headers as Record<string, string>) },
      });
      if (reply.status !== 200) throw new Error(reply.text);
      return reply;
    },
    async remove() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Polls until `look` gives something truthy. Throws after `seconds`. */
export async function until<T>(look: () => Promise<T> | T, seconds = 30): Promise<NonNullable<T>> {
  const deadline = performance.now() + seconds * 1e3;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`not true within ${seconds} s: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
