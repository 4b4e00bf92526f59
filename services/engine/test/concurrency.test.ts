import { afterAll, beforeAll, expect, test } from "vitest";
import { type EngineProcess, startEngineProcess, until } from "./engine-process.ts";

const LONG = "SELECT max(sipHash64(number, 'long')) FROM numbers(1000000000000)";
const gauge = async (engine: EngineProcess, name: string) => {
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  return Number(new RegExp(`^tidemark_engine_${name} (\\d+)`, "m").exec(text)?.[1]);
};
const running = (engine: EngineProcess) => gauge(engine, 'queries_running\\{kind="read"\\}');
const waiting = (engine: EngineProcess) => gauge(engine, 'queries_waiting\\{kind="read"\\}');

let engine: EngineProcess;
beforeAll(async () => {
  engine = await startEngineProcess({ TIDEMARK_ENGINE_READERS: "2", TIDEMARK_ENGINE_READER_QUEUE: "2" });
  await engine.write("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a");
});
afterAll(() => engine.remove());

test("long reads hold up neither writes nor the HTTP server; too many readers are refused; a reader that hangs up is stopped", async () => {
  const gone = new AbortController();
  const read = () => engine.ask(LONG, {}, { signal: gone.signal }).catch(() => undefined);
  const longReads = [read(), read()];
  await until(async () => (await running(engine)) === 2);

  const started = performance.now();
  for (let i = 0; i < 5; i++) await engine.write(`INSERT INTO t VALUES (${i})`);
  await engine.write("CREATE TABLE u (a Int32) ENGINE = MergeTree ORDER BY a");
  expect((await fetch(`${engine.url}/ping`)).status).toBe(200);
  expect(performance.now() - started).toBeLessThan(5000);
  expect(await running(engine)).toBe(2);

  longReads.push(read(), read());
  await until(async () => (await waiting(engine)) === 2);
  const refused = await engine.ask("SELECT 1");
  expect([refused.status, refused.headers.get("x-clickhouse-exception-code")]).toEqual([503, "202"]);

  gone.abort();
  await Promise.all(longReads);
  await until(async () => (await running(engine)) === 0);
  expect((await engine.ask("SELECT count() FROM t")).text).toBe("5\n");
});

test("serves many small reads at once", async () => {
  const answers = await Promise.all(Array.from({ length: 4 }, (_, i) => engine.ask(`SELECT ${i}, count() FROM t`)));
  expect(answers.map((answer) => answer.text)).toEqual([0, 1, 2, 3].map((i) => `${i}\t5\n`));
});

test("as many long reads as the setting allows leave threads for inserts, and are stopped when their readers hang up", async () => {
  const most = await startEngineProcess({ TIDEMARK_ENGINE_READERS: "8" });
  try {
    await most.write("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a");
    const gone = new AbortController();
    const reads = Array.from({ length: 8 }, () => most.ask(LONG, {}, { signal: gone.signal }).catch(() => undefined));
    await until(async () => (await running(most)) === 8);
    await most.write("INSERT INTO t VALUES (1)");
    expect(await running(most)).toBe(8);
    gone.abort();
    await Promise.all(reads);
    await until(async () => (await running(most)) === 0);
  } finally {
    await most.remove();
  }
});
