import { spawn } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { collect, freePorts, ROOT, startTidemark, stop, type Tidemark, until } from "./support/tidemark.ts";

const HASHES = 32;
const LOAD_MS = 12_000;

let tidemark: Tidemark;
beforeAll(async () => {
  tidemark = await startTidemark(["--no-viewer", "--no-alerts"]);
});
afterAll(() => tidemark?.stop());

it("shows the libuv pool that every event-loop number calls healthy: W of the fast lane > 0.3 s at a utilisation < 0.35", async () => {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const register = `${ROOT}collectors/node/dist/register.js`;
  const service = spawn(process.execPath, ["--import", register, `${ROOT}test/apps/silent-pool.mjs`], {
    env: {
      ...process.env,
      PORT: `${port}`,
      TIDEMARK_ENDPOINT: tidemark.otlp,
      TIDEMARK_EXPORT_INTERVAL: "1",
      OTEL_SERVICE_NAME: "silent-pool",
      UV_THREADPOOL_SIZE: "4",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(service);
  try {
    await until(
      () => `the service to answer\n${output()}`,
      async () => (await fetch(url)).ok,
    );
    const from = Date.now();
    const victims: number[] = [];
    const hasher = async (): Promise<void> => {
      while (Date.now() - from < LOAD_MS) await (await fetch(`${url}/hash`)).text();
    };
    const victim = async (): Promise<void> => {
      while (Date.now() - from < LOAD_MS) {
        const started = performance.now();
        await (await fetch(`${url}/stat`)).text();
        victims.push((performance.now() - started) / 1000);
      }
    };
    await Promise.all([...Array.from({ length: HASHES }, hasher), victim()]);
    const to = Date.now();
    const window = `service = 'silent-pool' AND ts BETWEEN fromUnixTimestamp64Milli(${from + 3_000}) AND fromUnixTimestamp64Milli(${to - 1_000})`;
    const row = await until("rows of the pool and the loop", async () => {
      const rows = await tidemark.query<{ pool_wait: number; loop: number; rows: number }>(
        `SELECT sumIf(wait_sum, kind = 'thread_pool' AND name = 'fast') / sumIf(wait_count, kind = 'thread_pool' AND name = 'fast') AS pool_wait,
                avgIf(utilization, kind = 'event_loop' AND name = 'main') AS loop, count() AS rows
         FROM saturation WHERE ${window} HAVING rows >= 10`,
      );
      return rows[0];
    });
    const victimMean = victims.reduce((sum, value) => sum + value, 0) / victims.length;
    console.log(
      `W of the fast lane ${row.pool_wait.toFixed(3)} s, a file stat took its caller ${victimMean.toFixed(3)} s, event-loop utilisation ${row.loop.toFixed(3)}`,
    );
    expect(row.pool_wait).toBeGreaterThan(0.3);
    expect(row.loop).toBeLessThan(0.35);
    expect(Math.abs(row.pool_wait - victimMean) / victimMean).toBeLessThan(0.35);
  } finally {
    await stop(service);
  }
});
