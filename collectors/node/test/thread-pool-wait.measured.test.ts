import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AgentProcess, runWithAgent, until } from "./agent-process.ts";
import { merge, type Sink, startSink } from "./otlp-sink.ts";
import { expectClose, TRUTH_CODE, type Truth, told } from "./truth.ts";

const NO_NAMESPACES = "needs a mount namespace: Linux, root, and unshare of the Debian package util-linux";
const FAST = { "tidemark.resource.kind": "thread_pool", "tidemark.resource.name": "fast" };
const SLOW = { "tidemark.resource.kind": "thread_pool", "tidemark.resource.name": "slow" };
/** Or 1 ms, whichever is larger. */
const TOLERANCE = 0.15;
const SECONDS = 6;
/** Standard error of the means that are compared: a machine with other work makes longer waits, and fewer of them. */
const SETTLED = 0.03;
const MAX_SECONDS = 25;
const STUCK_MS = 3000;
/** Share of that time which what does not stand behind the stuck tasks may take, on a busy machine too. */
const LITTLE = 0.1;
/** Seconds by which two clocks of one machine may differ: one is read whole, one goes on from the process's start. */
const CLOCKS = 0.02;
const AGENT = { TIDEMARK_TRACES: "0", TIDEMARK_POOL_PROBES: "100" };

describe("the agent's waits for libuv's pool of 4 threads", () => {
  let sink: Sink;
  let app: AgentProcess;
  let directory: string;
  beforeEach(async () => {
    sink = await startSink();
    directory = mkdtempSync(join(tmpdir(), "pool-"));
  });
  afterEach(async () => {
    await app.stop();
    await sink.close();
    rmSync(directory, { recursive: true });
  });

  it.each([8, 32])("are those of a small task that arrives at random beside %i hashes", async (hashes) => {
    const code = `${TRUTH_CODE}
      import { pbkdf2 } from "node:crypto";
      import { Worker } from "node:worker_threads";
      const task = "const sent = nowMs(); require('node:fs').access('/', () => parentPort.postMessage(nowMs() - sent))";
      new Worker(poisson(100, task), { eval: true }).on("message", took);
      const hash = () => pbkdf2("secret", "salt", 5_000, 64, "sha512", hash);
      for (let index = 0; index < ${hashes}; index++) hash();
      setInterval(() => {
        const ranMs = performance.now();
        if (ranMs < ${1000 * SECONDS} || (ranMs < settled(${SETTLED}) && ranMs < ${1000 * MAX_SECONDS})) return;
        console.log(JSON.stringify(summary()));
        process.exit(0);
      }, 500);`;
    app = runWithAgent({ code }, sink.url, AGENT);
    await app.ended;
    const truth = JSON.parse(app.output().stdout) as Truth;
    const measured = told(sink.select("tidemark.resource.wait", FAST).filter(({ startMs }) => startMs >= truth.since));
    expect(measured.count).toBeGreaterThan(50);
    expectClose(`${hashes} hashes`, measured, truth, TOLERANCE, ["mean", "p90"]);
  });

  it("grow while 4 reads are stuck, in both lanes, and are told in full once they end", async () => {
    const fifo = join(directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    const code = `
      import { access, closeSync, open, openSync, writeSync } from "node:fs";
      setTimeout(() => {
        for (let index = 0; index < 4; index++) open(${JSON.stringify(fifo)}, "r", () => {});
        const sentMs = performance.now();
        const line = (text) => writeSync(1, JSON.stringify(text) + "\\n"); // not through the pool
        line({ stuckAt: Date.now() });
        access("/", () => line({ endedAt: Date.now(), waitSeconds: (performance.now() - sentMs) / 1000 }));
        setTimeout(() => closeSync(openSync(${JSON.stringify(fifo)}, "r+")), ${STUCK_MS});
      }, 1500);
      setInterval(() => {}, 1000);`;
    app = runWithAgent({ code }, sink.url, AGENT);
    const lines = await until("the reads have ended", () => {
      const text = app.output().stdout.trim().split("\n");
      return text.length === 2 && text.map((line) => JSON.parse(line));
    });
    const { stuckAt } = lines[0];
    const { endedAt, waitSeconds } = lines[1];
    await until("the interval is told", () => (sink.points.at(-1)?.startMs ?? 0) > endedAt);
    for (const lane of [FAST, SLOW]) {
      const ages = sink
        .select("tidemark.resource.stall_age", lane)
        .filter(({ timeMs }) => timeMs > stuckAt + 1000 && timeMs < endedAt);
      expect(ages.length).toBeGreaterThanOrEqual(3);
      for (const { value, timeMs } of ages) {
        const age = (timeMs - stuckAt) / 1000;
        expect(Math.abs(value - age), `age ${value} s after ${age} s`).toBeLessThan(TOLERANCE * age);
      }
      const { max } = merge(sink.select("tidemark.resource.wait", lane));
      console.log(`${lane["tidemark.resource.name"]} lane: waited ${max} s, the injected task ${waitSeconds} s`);
      expect(Math.abs(max! - waitSeconds)).toBeLessThan(TOLERANCE * waitSeconds);
    }
  });

  // A name server that never answers needs a mount namespace of one's own: Linux, as root.
  it("grow in the slow lane only while 20 look-ups hang", async (context) => {
    if (!namespaces()) {
      if (process.env.CI) throw new Error(NO_NAMESPACES);
      return context.skip(NO_NAMESPACES);
    }
    writeFileSync(join(directory, "resolv.conf"), "nameserver 127.9.9.9\noptions timeout:30 attempts:1\n");
    const code = `
      import { createSocket } from "node:dgram";
      import { lookup } from "node:dns";
      const silent = createSocket("udp4");
      silent.bind(53, "127.9.9.9", () => {
        const hangingAt = Date.now();
        for (let index = 0; index < 20; index++) lookup("name" + index + ".example.org", () => {});
        process.stdout.write(JSON.stringify({ hangingAt }) + "\\n");
      });`;
    const isolate = join(directory, "isolate.sh");
    const bind = `mount --bind ${join(directory, "resolv.conf")} /etc/resolv.conf`;
    writeFileSync(isolate, `#!/bin/sh\nexec unshare -m sh -c '${bind} && exec "$0" "$@"' ${process.execPath} "$@"\n`, {
      mode: 0o755,
    });
    app = runWithAgent({ code }, sink.url, AGENT, undefined, isolate);
    const hangingAt: number = await until("the look-ups hang", () => {
      const line = app.output().stdout;
      return line.includes("\n") && JSON.parse(line).hangingAt;
    });
    await until("they hang for a while", () => (sink.points.at(-1)?.timeMs ?? 0) > hangingAt + STUCK_MS);
    const after = (metric: string, lane: typeof FAST) =>
      sink.select(metric, lane).filter(({ startMs, timeMs }) => timeMs > hangingAt + 1000 && startMs > hangingAt);
    const ages = after("tidemark.resource.stall_age", SLOW);
    // The first probe that waits was sent after the look-ups: at once, or when a busy machine let the agent.
    const unseen = ages.map(({ value, timeMs }) => (timeMs - hangingAt) / 1000 - value);
    console.log(`hanging look-ups: not in their age ${Math.min(...unseen)} to ${Math.max(...unseen)} s`);
    expect(ages.at(-1)?.value).toBeGreaterThan(((1 - TOLERANCE) * STUCK_MS) / 1000);
    expect(Math.min(...unseen)).toBeGreaterThan(-CLOCKS);
    expect(Math.max(...unseen) - Math.min(...unseen)).toBeLessThan((TOLERANCE * STUCK_MS) / 1000);
    expect(after("tidemark.resource.wait", SLOW)).toEqual([]);
    const fast = told(after("tidemark.resource.wait", FAST));
    console.log(`fast lane beside hanging look-ups: p90 ${(1000 * fast.p90).toFixed(2)} ms of ${fast.count} probes`);
    expect(fast.count).toBeGreaterThan(20);
    expect(fast.p90).toBeLessThan((LITTLE * STUCK_MS) / 1000);
  });
});

function namespaces(): boolean {
  try {
    execFileSync("unshare", ["-m", "true"], { stdio: "ignore" });
    return process.platform === "linux";
  } catch {
    return false;
  }
}
