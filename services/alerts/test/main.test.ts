import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startReceiver } from "./support/servers.ts";
import { until } from "./support/wait.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

let directory: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tidemark-alerts-main-"));
});

afterEach(async () => {
  if (child && child.exitCode === null) {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
  rmSync(directory, { recursive: true, force: true });
});

function start(env: Record<string, string>) {
  const started = spawn(process.execPath, [MAIN], {
    env: { ...process.env, TIDEMARK_DATA_DIR: directory, TIDEMARK_ALERTS_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child = started;
  const lines: string[] = [];
  for (const stream of [started.stdout, started.stderr]) {
    stream.on("data", (chunk: Buffer) =>
      lines.push(
        ...chunk
          .toString()
          .split("\n")
          .filter((line) => line.startsWith("{")),
      ),
    );
  }
  const messages = () => lines.map((line) => JSON.parse(line) as { msg: string; url?: string });
  return { started, messages };
}

it("serves without ClickHouse, and ends with 0 on SIGTERM", async () => {
  const { started, messages } = start({
    TIDEMARK_CLICKHOUSE_URL: "http://127.0.0.1:1/tidemark",
    TIDEMARK_ALERTS_INTERVAL: "1",
  });
  const ready = await until("the ready line", () => messages().find(({ msg }) => msg === "alerts ready"));
  expect((await fetch(`${ready.url}/healthz`)).status).toBe(200);
  await until("a failed evaluation", async () => (await fetch(`${ready.url}/readyz`)).status === 503);
  started.kill("SIGTERM");
  expect((await once(started, "exit"))[0]).toBe(0);
});

it("says which port is taken and which variable changes it", async () => {
  const other = await startReceiver();
  const { started, messages } = start({ TIDEMARK_ALERTS_PORT: String(other.port) });
  expect((await once(started, "exit"))[0]).toBe(1);
  await until("the message", () =>
    messages().some(({ msg }) => msg.includes(`Port ${other.port}`) && msg.includes("TIDEMARK_ALERTS_PORT")),
  );
  await other.close();
});

it("says that the data directory cannot be used", async () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  const { started, messages } = start({ TIDEMARK_DATA_DIR: file });
  expect((await once(started, "exit"))[0]).toBe(1);
  await until("the message", () => messages().some(({ msg }) => msg.includes("TIDEMARK_DATA_DIR")));
});
