import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AgentProcess, addressOf, runWithAgent, until } from "./agent-process.ts";
import { merge, type Point, type Sink, startSink } from "./otlp-sink.ts";
import { expectClose, TRUTH_CODE, type Truth, told } from "./truth.ts";

const LOOP = { "tidemark.resource.kind": "event_loop", "tidemark.resource.name": "main" };
const FAST = { "tidemark.resource.kind": "thread_pool", "tidemark.resource.name": "fast" };
/** Or 1 ms, whichever is larger. */
const TOLERANCE = 0.1;
const ARRIVALS_PER_SECOND = 800;
/** Five times the default: a tenth of a p99 takes more samples than 20 a second give within seconds. */
const PROBES_PER_SECOND = 100;

describe("the agent's waits against a truth it does not know", () => {
  let sink: Sink;
  let app: AgentProcess;
  beforeEach(async () => {
    sink = await startSink();
  });
  afterEach(async () => {
    await app.stop();
    await sink.close();
  });

  it.each([
    { load: "a block of 300 ms each second", seconds: 15, code: "setInterval(() => spin(300), 1000);" },
    {
      load: "slices of 8 ms back to back",
      seconds: 6,
      code: "(function slice() { spin(8); setImmediate(slice); })();",
    },
    { load: "5 ms of work each 10 ms", seconds: 6, code: "setInterval(() => spin(5), 10);" },
  ])("are what random arrivals wait beside $load: mean, p90, p99", async ({ load, seconds, code }) => {
    // The truth: another thread sends messages at exponential gaps; each says when it left.
    const program = `${TRUTH_CODE}
      import { Worker } from "node:worker_threads";
      const spin = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };
      const sender = new Worker(poisson(${ARRIVALS_PER_SECOND}, "parentPort.postMessage(nowMs())"), { eval: true });
      sender.on("message", (sent) => took(Number(process.hrtime.bigint()) / 1e6 - sent));
      ${code}
      setTimeout(() => {
        console.log(JSON.stringify(summary()));
        process.exit(0);
      }, ${1000 * seconds});`;
    app = runWithAgent({ code: program }, sink.url, {
      TIDEMARK_TRACES: "0",
      TIDEMARK_EXPORT_INTERVAL: "0.5",
      TIDEMARK_LOOP_PROBES: String(PROBES_PER_SECOND),
      TIDEMARK_STALL_THRESHOLD: "0", // its captures would lengthen the blocks
    });
    await app.ended;
    const truth = JSON.parse(app.output().stdout) as Truth;
    const measured = told(sink.select("tidemark.resource.wait", LOOP).filter(({ startMs }) => startMs >= truth.since));
    expect(measured.count).toBeGreaterThan((PROBES_PER_SECOND * seconds) / 2);
    expectClose(load, measured, truth, TOLERANCE, ["mean", "p90", "p99"]);
  });

  it("shows a block of 6 s in every second of it, with its culprit", async () => {
    app = runWithAgent("shop.mjs", sink.url, { TIDEMARK_EXPORT_INTERVAL: "1" });
    const url = await addressOf(app);
    // The watchdog leaves the first 3 s, in which modules are loaded, alone.
    await until("the agent has run for 4 s", () => (sink.select("process.uptime").at(-1)?.value ?? 0) > 4);
    const blockedAt = Date.now();
    const answered = fetch(`${url}/block/6000`).then(() => Date.now());
    const early = await until("the culprit is told while it blocks", () =>
      sink.logs.find(({ attributes }) => attributes["code.function.name"] === "blockOnPurpose"),
    );
    expect(Date.now() - blockedAt).toBeLessThan(4000);
    expect(early.event).toBe("tidemark.stall");
    expect(early.attributes).toMatchObject({
      "http.route": "/block/:ms",
      "tidemark.stall.late": false,
      "tidemark.stall.ended": false,
    });
    expect(early.traceId).toMatch(/^[0-9a-f]{32}$/);
    const endedAt = await answered;
    const during = (points: readonly Point[]) =>
      points.filter(({ receivedMs }) => receivedMs > blockedAt + 500 && receivedMs < endedAt);
    const ages = during(sink.select("tidemark.resource.stall_age", LOOP));
    console.log(`stall age while blocked: ${ages.map(({ value }) => value.toFixed(2)).join(", ")} s`);
    expect(ages.length).toBeGreaterThanOrEqual(5);
    for (const [index, { value, timeMs }] of ages.entries()) {
      const before = ages[index - 1];
      if (before === undefined) continue;
      expect(value).toBeGreaterThan(before.value);
      expect(timeMs - before.timeMs).toBeLessThan(1500);
    }
    expect(ages.at(-1)!.value).toBeGreaterThan(4.5);
    const busy = during(sink.select("tidemark.resource.busy", LOOP)).slice(2);
    for (const { value } of busy) expect(value).toBeGreaterThan(0.95);
    const told = await until("its end is told", () =>
      sink.logs.find(({ attributes }) => attributes["tidemark.stall.ended"] === true),
    );
    expect(told.attributes["tidemark.stall.duration"]).toBeGreaterThan(5.9);
    expect(told.attributes["tidemark.stall.duration"]).toBeLessThan(6.5);
    expect(told.timeMs).toBe(early.timeMs);
    // Once it is over, the probes it held up say how long each waited.
    const wait = await until("the waits are told", () => {
      const waits = sink.select("tidemark.resource.wait", LOOP).filter(({ receivedMs }) => receivedMs > endedAt);
      return waits.find(({ histogram }) => (histogram?.max ?? 0) > 5.5);
    });
    expect(wait.histogram!.max).toBeLessThan(6.5);
  });

  it("finds the silent pool: hashes queue for 4 threads while the event loop idles", async () => {
    app = runWithAgent("shop.mjs", sink.url, { TIDEMARK_TRACES: "0" });
    const url = await addressOf(app);
    await until("a first export", () => sink.points.length > 0);
    const startedAt = Date.now();
    await fetch(`${url}/hash/32`);
    const endedAt = Date.now();
    await until("the interval is exported", () => sink.points.some(({ timeMs }) => timeMs > endedAt));
    const within = (points: readonly Point[]) =>
      points.filter(({ timeMs, startMs }) => timeMs > startedAt && startMs < endedAt);
    const fast = within(sink.select("tidemark.resource.wait", FAST));
    const pending = within(sink.select("tidemark.resource.stall_age", FAST)).map(({ value }) => value);
    const time = (state: string) =>
      within(sink.select("nodejs.eventloop.time", { "nodejs.eventloop.state": state })).reduce(
        (sum, { value }) => sum + value,
        0,
      );
    const utilization = time("active") / (time("active") + time("idle"));
    const wait = Math.max(...fast.map(({ histogram }) => histogram?.max ?? 0), ...pending);
    console.log(`fast lane waits ${wait.toFixed(3)} s, event loop ${utilization.toFixed(3)} busy`);
    expect(merge(fast).max).toBeGreaterThan(0.3);
    expect(utilization).toBeLessThan(0.35);
    const threads = within(sink.select("tidemark.resource.busy.max", FAST)).map(({ value }) => value);
    if (process.platform === "linux") expect(Math.max(...threads)).toBe(4);
    else expect(threads).toEqual([]); // the threads cannot be told apart: absent, not zero
  });
});
