import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { createToken } from "../../src/security/tokens.ts";
import { encode, gauge, METRICS, metricsRequest } from "../otlp-messages.ts";
import { startIngest, temporaryDirectory } from "../processes.ts";

const FLOODERS = 64;
const QUIET_REQUESTS = 60;

let stop: () => Promise<void> = async () => {};
afterEach(() => stop());

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Status of one request with `token`, in a process of its own from the ingest's. */
function send(port: number, token: string, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/x-protobuf",
      authorization: `Bearer ${token}`,
      "content-length": body.length,
    };
    const sent = request({ port, host: "127.0.0.1", method: "POST", path: "/v1/metrics", headers, agent }, (reply) => {
      reply.resume().on("end", () => resolve(reply.statusCode ?? 0));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const body = (points: number, salt: number) =>
  encode(
    METRICS,
    metricsRequest(Array.from({ length: points }, (_, i) => gauge(`m${i % 50}`, i + salt / 1e6, Date.now()))),
  );

/** Milliseconds of quiet requests, one after the other, sorted. */
async function quiet(port: number, token: string): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < QUIET_REQUESTS; i++) {
    const started = performance.now();
    expect(await send(port, token, body(10, i))).toBe(200);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b);
}

test("while one source floods, every request of another is taken, and at its median waits less than half as long as the flood's own", async () => {
  const { path, remove } = await temporaryDirectory();
  const file = join(path, "tokens.json");
  const noisy = await createToken(file, { name: "noisy" });
  const other = await createToken(file, { name: "quiet" });
  const { service, port } = await startIngest({
    TIDEMARK_DATA_DIR: path,
    TIDEMARK_TOKENS_FILE: file,
    TIDEMARK_OTLP_GRPC_PORT: "off",
    TIDEMARK_CLICKHOUSE_URL: "http://tidemark:x@127.0.0.1:9/tidemark",
  });
  await quiet(port, other);
  const alone = await quiet(port, other);
  const bodies = Array.from({ length: 8 }, (_, i) => body(3000, i));
  const flood = new Worker(new URL("flood.mjs", import.meta.url), {
    workerData: { port, token: noisy, bodies, senders: FLOODERS },
  });
  stop = async () => {
    agent.destroy();
    await flood.terminate();
    await service.end("SIGKILL");
    await remove();
  };
  await once(flood, "online");
  const beside = await quiet(port, other);
  flood.postMessage("stop");
  const [{ answered, totalMs }] = (await once(flood, "message")) as [{ answered: number; totalMs: number }];
  const median = (times: readonly number[]) => times[times.length >> 1]!;
  const flooderMs = totalMs / answered;
  console.log(
    `quiet source: median ${median(alone).toFixed(1)} ms alone, ${median(beside).toFixed(1)} ms beside a flood whose own requests take ${flooderMs.toFixed(1)} ms`,
  );
  // A queue that is not fair gives both the same wait: that of the whole flood.
  expect(median(beside)).toBeLessThan(flooderMs / 2);
});
