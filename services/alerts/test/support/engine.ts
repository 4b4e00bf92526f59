import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { migrate } from "@tidemark/store";

const MAIN = createRequire(import.meta.url).resolve("../../../engine/dist/main.cjs");
const START_TIMEOUT_MS = 60_000;

/** The embedded ClickHouse as a process of its own, with Tidemark's tables. */
export async function startEngine() {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-alerts-engine-"));
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_CLICKHOUSE_HOST: "127.0.0.1",
      TIDEMARK_CLICKHOUSE_PORT: "0",
      TIDEMARK_ENGINE_WRITER_PASSWORD: "writer",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), START_TIMEOUT_MS);
  let origin: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, url } = JSON.parse(line) as { msg: string; url?: string };
    if (msg === "engine ready" && url) {
      origin = url;
      break;
    }
  }
  clearTimeout(timer);
  if (!origin) throw new Error("the engine did not start");
  child.stdout.resume();
  const url = new URL("/tidemark", origin);
  url.username = "tidemark";
  url.password = "writer";
  await migrate(url.href);
  return {
    url: url.href,
    async stop() {
      const exited = once(child, "exit");
      child.kill();
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
