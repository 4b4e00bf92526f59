import { spawn } from "node:child_process";
import { Agent, request } from "undici";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  collect,
  freePorts,
  PYTHON,
  quantile,
  ROOT,
  startTidemark,
  stop,
  type Tidemark,
  until,
} from "./support/tidemark.ts";

const CLIENTS = 40;
const THREADS = 4;
const SERVICE_SECONDS = 0.5;
const ROUNDS = 4;

let tidemark: Tidemark;
beforeAll(async () => {
  tidemark = await startTidemark(["--no-viewer", "--no-alerts"]);
});
afterAll(() => tidemark?.stop());

interface Row {
  busy: number;
  capacity: number;
  waiting: number;
  wait_p50: number;
  wait_mean: number;
}

it("shows the queue that gunicorn gthread hides: 4 of 4 busy, 36 waiting, W + service time is what the client measured", async () => {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const args = ["-m", "gunicorn", "hidden_queue:application", "-k", "gthread", "-w", "1", "--threads", `${THREADS}`];
  const gunicorn = spawn(PYTHON, [...args, "-b", `127.0.0.1:${port}`, "--no-control-socket"], {
    cwd: `${ROOT}test/apps/hidden_queue`,
    env: {
      ...process.env,
      TIDEMARK_ENDPOINT: tidemark.otlp,
      TIDEMARK_EXPORT_INTERVAL: "1",
      OTEL_SERVICE_NAME: "hidden-queue",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(gunicorn);
  const dispatcher = new Agent({ connections: CLIENTS, pipelining: 1, headersTimeout: 60_000 });
  try {
    await until(
      () => `gunicorn to answer\n${output()}`,
      async () => (await fetch(`${url}/ready`)).ok,
    );
    const latencies: number[] = [];
    const from = Date.now();
    let steadyFrom = 0;
    const client = async (): Promise<void> => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const started = performance.now();
        const { body, statusCode } = await request(`${url}/sleep`, { dispatcher });
        await body.dump();
        expect(statusCode).toBe(200);
        // The first round fills the queue; from the second on every client waits behind the others.
        if (round > 0) latencies.push((performance.now() - started) / 1000);
        else steadyFrom = Date.now();
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    const to = Date.now();
    expect(to - from).toBeGreaterThan(10_000);

    const inLoad = `service = 'hidden-queue' AND kind = 'thread_pool' AND ts BETWEEN fromUnixTimestamp64Milli(${steadyFrom + 1_000}) AND fromUnixTimestamp64Milli(${to - 5_500})`;
    const row = await until("the saturation of the thread pool", async () => {
      const rows = await tidemark.query<Row>(
        `SELECT median(busy) AS busy, max(capacity) AS capacity, median(waiting) AS waiting, median(wait_p50) AS wait_p50, sum(wait_sum) / sum(wait_count) AS wait_mean
         FROM saturation WHERE ${inLoad} HAVING count() >= 3`,
      );
      return rows[0];
    });
    const client50 = quantile(latencies, 0.5);
    console.log(
      `client p50 ${client50.toFixed(2)} s; W p50 ${row.wait_p50.toFixed(2)} s; busy ${row.busy} of ${row.capacity}; waiting ${row.waiting}`,
    );
    expect(row.capacity).toBe(THREADS);
    expect(row.busy).toBeGreaterThan(THREADS * 0.95);
    expect(Math.abs(row.waiting - (CLIENTS - THREADS))).toBeLessThanOrEqual(2);
    expect(Math.abs(row.wait_p50 + SERVICE_SECONDS - client50) / client50).toBeLessThan(0.1);
  } finally {
    await dispatcher.close();
    await stop(gunicorn);
  }
});
