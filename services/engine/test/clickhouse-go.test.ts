import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EngineProcess, startEngineProcess, temporaryDirectory, WRITER_PASSWORD } from "./engine-process.ts";

const SOURCE = fileURLToPath(new URL("clickhouse-go/", import.meta.url));
const BUILD_MS = 300_000;
const run = promisify(execFile);
let engine: EngineProcess;
let binary: string;

beforeAll(async () => {
  engine = await startEngineProcess();
  binary = join(temporaryDirectory(), "conformance");
  await run("go", ["version"]).catch(() => {
    throw new Error(
      "Go is not installed: this test drives the engine with clickhouse-go, the driver of Grafana's ClickHouse plugin.",
    );
  });
  await run("go", ["build", "-o", binary, "."], { cwd: SOURCE, timeout: BUILD_MS });
}, BUILD_MS);
afterAll(async () => {
  rmSync(dirname(binary), { recursive: true, force: true });
  await engine.remove();
});

/** The driver and version that Grafana's ClickHouse plugin uses, plain and gzipped. */
test("clickhouse-go reads every type, binds, batches and reports errors", async () => {
  const { stdout } = await run(binary, [new URL(engine.url).host, WRITER_PASSWORD]);
  const checks: { check: string; error: string }[] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(checks.filter((check) => check.error !== "")).toEqual([]);
  expect(checks.length).toBeGreaterThan(50);
});
