import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createStoreClient, type StoreClient } from "../src/client.ts";

const PASSWORD = "secret";
const MAIN = join(dirname(createRequire(import.meta.url).resolve("@tidemark/engine/package.json")), "dist", "main.cjs");

/** A real embedded engine in a process of its own, on an ephemeral port. */
export interface Engine {
  /** URL of the writer for a database of this engine. */
  url(database?: string): string;
  readerUrl(database?: string): string;
  stop(): Promise<void>;
}

export async function startEngine(): Promise<Engine> {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-store-"));
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_CLICKHOUSE_PORT: "0",
      TIDEMARK_ENGINE_WRITER_PASSWORD: PASSWORD,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const host = await listening(child);
  return {
    url: (database = "tidemark") => `http://tidemark:${PASSWORD}@${host}/${database}`,
    readerUrl: (database = "tidemark") => `http://${host}/${database}`,
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function listening(child: ChildProcess): Promise<string> {
  let printed = "";
  for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false })) {
    printed += chunk;
    const host = /"url":"http:\/\/([^"]+)"[^\n]*engine ready/.exec(printed)?.[1];
    if (host !== undefined) {
      child.stdout!.resume();
      return host;
    }
  }
  throw new Error(`the engine did not start: ${printed}`);
}

/** Rows of a query; closes its client. */
export async function rows<T>(url: string, query: string): Promise<T[]> {
  const client = createStoreClient(url);
  try {
    return await rowsOf<T>(client, query);
  } finally {
    await client.close();
  }
}

export async function rowsOf<T>(client: StoreClient, query: string): Promise<T[]> {
  return (await client.query({ query, format: "JSONEachRow" })).json<T>();
}
