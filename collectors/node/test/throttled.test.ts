import { afterEach, beforeEach, expect, it } from "vitest";
import { type AgentProcess, runWithAgent, until } from "./agent-process.ts";
import { type Sink, startSink } from "./otlp-sink.ts";

/** By then a thread that takes 3 % of a core has spent what it may within 60 s. */
const SPENT_MS = 65_000;

let sink: Sink;
let app: AgentProcess;
beforeEach(async () => {
  sink = await startSink();
});
afterEach(async () => {
  await app.stop();
  await sink.close();
});

// Only Linux tells a thread's processor time.
it.runIf(process.platform === "linux")(
  "an agent that is asked for too much gives up probes, and says so",
  async () => {
    app = runWithAgent({ code: "setInterval(() => {}, 1000);" }, sink.url, {
      TIDEMARK_TRACES: "0",
      TIDEMARK_LOOP_PROBES: "1000",
      TIDEMARK_POOL_PROBES: "1000",
      TIDEMARK_EXPORT_INTERVAL: "0.1",
    });
    const levels = () => sink.select("tidemark.agent.throttled");
    await until("half of the probes are given up", () => levels().at(-1)?.value === 0.5, SPENT_MS);
    const spent = (upToMs: number) =>
      sink
        .select("tidemark.agent.cpu.time")
        .filter(({ timeMs }) => timeMs <= upToMs)
        .reduce((sum, { value }) => sum + value, 0);
    const throttledAt = levels().find(({ value }) => value === 0.5)!.timeMs;
    expect(spent(throttledAt)).toBeGreaterThan(0.03 * 60);
    expect(levels().filter(({ value, timeMs }) => value !== 0 && timeMs < throttledAt)).toEqual([]);
  },
  2 * SPENT_MS,
);
