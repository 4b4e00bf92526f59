import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createStoreClient, migrate, type StoreClient } from "@tidemark/store";

const MAIN = fileURLToPath(new URL("../../../services/engine/dist/main.cjs", import.meta.url));
const PASSWORD = "test-writer";

export interface TestEngine {
  readonly url: string;
  readonly writer: StoreClient;
  /** The user Grafana and the viewer read with. */
  readonly reader: StoreClient;
  stop(): Promise<void>;
}

/** A real embedded engine with the schema in it, on a free port and a directory of its own. */
export async function startTestEngine(): Promise<TestEngine> {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-dashboards-"));
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_CLICKHOUSE_PORT: "0",
      TIDEMARK_ENGINE_WRITER_PASSWORD: PASSWORD,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let url = "";
  for await (const line of createInterface({ input: child.stdout })) {
    url = (JSON.parse(line) as { url?: string }).url ?? "";
    if (url !== "") break;
  }
  if (url === "") throw new Error("the engine did not start");
  child.stdout.resume();
  const withUser = (user: string) => `${url.replace("//", `//${user}@`)}/tidemark`;
  await migrate(withUser(`tidemark:${PASSWORD}`));
  const writer = createStoreClient(withUser(`tidemark:${PASSWORD}`));
  const reader = createStoreClient(withUser("reader"), { readOnly: true });
  return {
    url,
    writer,
    reader,
    async stop() {
      await writer.close();
      await reader.close();
      child.kill("SIGTERM");
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
