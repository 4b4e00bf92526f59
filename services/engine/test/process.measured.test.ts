import { once } from "node:events";
import { expect, test } from "vitest";
import { startEngineProcess, until } from "./engine-process.ts";

const STOP_SECONDS = 5;
const START_SECONDS = 3;

test("SIGTERM lets running queries finish or stops them, and exits 0 within 5 s", async () => {
  const engine = await startEngineProcess();
  const long = engine.ask("SELECT max(sipHash64(number)) FROM numbers(1000000000000)").catch(() => undefined);
  await until(async () =>
    (await (await fetch(`${engine.url}/metrics`)).text()).includes('queries_running{kind="read"} 1'),
  );
  const started = performance.now();
  engine.child.kill("SIGTERM");
  const [code] = await once(engine.child, "exit");
  expect(code).toBe(0);
  expect((performance.now() - started) / 1e3).toBeLessThan(STOP_SECONDS);
  await long;
  await engine.remove();
});

test("starts in less than 3 s, also after kill -9 with data", async () => {
  const first = await startEngineProcess();
  await first.write("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
  for (let i = 0; i < 50; i++) await first.write(`INSERT INTO t SELECT number FROM numbers(${i * 100})`);
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  const started = performance.now();
  const second = await startEngineProcess({}, first.directory);
  expect((performance.now() - started) / 1e3).toBeLessThan(START_SECONDS);
  expect((await second.ask("SELECT count() FROM t")).text).toBe("122500\n");
  await second.remove();
});
