import { once } from "node:events";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type EngineProcess, spawnEngine, startEngineProcess, temporaryDirectory, until } from "./engine-process.ts";

const engines: EngineProcess[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.remove();
});
async function start(...args: Parameters<typeof startEngineProcess>): Promise<EngineProcess> {
  const engine = await startEngineProcess(...args);
  engines.push(engine);
  return engine;
}
async function fails(directory: string, env: Record<string, string> = {}): Promise<string> {
  const { child, output } = spawnEngine(directory, env);
  const [code] = await once(child, "exit");
  expect(code).toBe(1);
  return output();
}

test("a second process on the same directory gets a clear error and harms nothing", async () => {
  const first = await start();
  await first.write("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a");
  expect(await fails(first.directory)).toMatch(/data directory .* is in use by another engine process/);
  await first.write("INSERT INTO t VALUES (1)");
  expect((await first.ask("SELECT count() FROM t")).text).toBe("1\n");
});

test("starts after kill -9, with what was inserted, and without what was half sent", async () => {
  const first = await start();
  await first.write("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a");
  await first.write("INSERT INTO t VALUES (1)");
  const half = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from("1\n2\n"));
    },
  });
  const request = first
    .write(half as never, { query: "INSERT INTO t FORMAT TSV" }, { duplex: "half" } as RequestInit)
    .catch(() => "cut");
  const spooled = join(first.directory, "engine", "tmp");
  await until(() => readdirSync(spooled).length > 0);
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  expect(await request).toBe("cut");
  const second = await start({}, first.directory);
  expect((await second.ask("SELECT count() FROM t")).text).toBe("1\n");
  expect(readdirSync(spooled)).toEqual([]);
});

test("says in one sentence what is wrong with port, directory and settings", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  const directory = temporaryDirectory();
  expect(await fails(directory, { TIDEMARK_CLICKHOUSE_PORT: String(port) })).toMatch(
    new RegExp(`Port ${port} on 127.0.0.1 is taken. Set TIDEMARK_CLICKHOUSE_PORT`),
  );
  taken.close();
  expect(await fails(directory, { TIDEMARK_CLICKHOUSE_PORT: "eighty" })).toContain(
    'TIDEMARK_CLICKHOUSE_PORT is \\"eighty\\"',
  );
  expect(await fails(directory, { TIDEMARK_ENGINE_MEMORY: "1k" })).toContain("TIDEMARK_ENGINE_MEMORY");
  expect(await fails(directory, { TIDEMARK_CLICKHOUSE_HOST: "0.0.0.0" })).toContain("TIDEMARK_ENGINE_READER_PASSWORD");
  const file = join(directory, "file");
  writeFileSync(file, "");
  expect(await fails(file)).toMatch(/Cannot write to the data directory .* \(E\w+\)\. Set TIDEMARK_DATA_DIR/);
  expect(await fails(join(directory, "a*b"))).toContain("must not contain");
  rmSync(directory, { recursive: true });
});

test("makes the writer's password once, readable by its user only", async () => {
  const directory = temporaryDirectory();
  const first = await start({ TIDEMARK_ENGINE_WRITER_PASSWORD: "" }, directory);
  const file = join(directory, "engine-password");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(existsSync(file)).toBe(true);
  expect((await first.ask("CREATE TABLE t (a Int8) ENGINE = Memory", { user: "tidemark", password: "" })).status).toBe(
    403,
  );
});

test("keeps time in UTC whatever the machine's zone", async () => {
  const engine = await start({ TZ: "America/New_York" });
  expect((await engine.ask("SELECT timezone(), toDateTime(0)")).text).toBe("UTC\t1970-01-01 00:00:00\n");
});

test("asks the reader for a password when one is set", async () => {
  const engine = await start({ TIDEMARK_ENGINE_READER_PASSWORD: "r" });
  expect((await engine.ask("SELECT 1")).status).toBe(403);
  expect((await engine.ask("SELECT 1", { user: "reader", password: "r" })).text).toBe("1\n");
  expect((await fetch(`${engine.url}/ping`)).status).toBe(200);
});
