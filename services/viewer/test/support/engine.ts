import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createStoreClient, migrate } from "@tidemark/store";

const MAIN = fileURLToPath(new URL("../../../engine/dist/main.cjs", import.meta.url));
const PASSWORD = "viewer-test-writer";

/** Start of the seeded ten minutes, milliseconds since 1970. */
export const SEED_FROM = Date.UTC(2026, 10, 20, 12, 0, 0);
export const SEED_TO = SEED_FROM + 600_000;
/** Rows of each of the two services: one each 5 s. */
export const SEED_ROWS = 120;

export interface SeededEngine {
  /** As TIDEMARK_CLICKHOUSE_URL has it, with the reader's rights. */
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** A real embedded engine with the schema and the rows that the fixture dashboard asks for. `port` 0 takes a free one. */
export async function startSeededEngine(port = 0, directory?: string): Promise<SeededEngine> {
  const data = directory ?? mkdtempSync(join(tmpdir(), "tidemark-viewer-"));
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      TIDEMARK_DATA_DIR: data,
      TIDEMARK_CLICKHOUSE_PORT: String(port),
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
  const writerUrl = `${url.replace("//", `//tidemark:${PASSWORD}@`)}/tidemark`;
  await migrate(writerUrl);
  if (directory === undefined) await seed(writerUrl);
  return {
    url: `${url}/tidemark`,
    port: Number(new URL(url).port),
    async stop() {
      child.kill("SIGTERM");
      await exited;
      if (directory === undefined) rmSync(data, { recursive: true, force: true });
    },
  };
}

async function seed(url: string): Promise<void> {
  const writer = createStoreClient(url);
  await writer.command({
    query: `CREATE TABLE viewer_fixture (ts DateTime64(3, 'UTC'), service LowCardinality(String), runtime String, state Float64,
      busy Nullable(Float64), waiting Float64, bytes Float64) ENGINE = MergeTree ORDER BY (service, ts)`,
  });
  const rows = ["books-django", "books-node"].flatMap((service, s) =>
    Array.from({ length: SEED_ROWS }, (_, i) => ({
      ts: new Date(SEED_FROM + i * 5000).toISOString().slice(0, 23).replace("T", " "),
      service,
      runtime: service.slice(6),
      state: i < 40 ? 0 : i < 80 ? 1 + s : 0,
      // A gap that must show as a gap.
      busy: i >= 100 && i < 106 ? null : 0.5 + 0.45 * Math.sin(i / 12 + s),
      waiting: Math.max(0, 12 * Math.sin(i / 20 + s)),
      bytes: 60e6 + i * 4e5 * (s + 1),
    })),
  );
  await writer.insert({ table: "viewer_fixture", values: rows, format: "JSONEachRow" });
  await writer.command({
    query: `INSERT INTO alert_events (ts, rule_id, title, severity, state, fingerprint, service, runtime, value, summary, started_at)
      VALUES (now64(3), 'fixture', 'Threads are all busy', 'critical', 'firing', 'f1', 'books-django', 'django', 1, 'busy 4 of 4', now64(3))`,
  });
  await writer.close();
}
