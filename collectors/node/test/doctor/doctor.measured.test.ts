import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Check } from "../../src/doctor/checks.ts";
import { type Sink, startSink } from "../otlp-sink.ts";
import { runCommand } from "./run-command.ts";

describe("tidemark-node doctor", () => {
  let sink: Sink;
  beforeAll(async () => {
    sink = await startSink();
  });
  afterAll(() => sink.close());

  it("injects known waits, finds each, and reaches the ingest with the agent's settings", async () => {
    sink.requests.length = 0;
    const environment = {
      TIDEMARK_ENDPOINT: sink.url,
      TIDEMARK_TOKEN: "secret",
      OTEL_EXPORTER_OTLP_HEADERS: "x-team=a",
      NODE_OPTIONS: "--stack-trace-limit=20",
    };
    const { code, stdout, stderr } = await runCommand(["doctor", "--json"], environment, tmpdir());
    const { good, checks } = JSON.parse(stdout) as { good: boolean; checks: Check[] };
    console.log(checks.map(({ name, injected, measured }) => `${name}: ${injected}, ${measured}`).join("\n"));
    expect(checks.filter(({ verdict }) => verdict !== "ok")).toEqual([]);
    expect([good, code, stderr]).toEqual([true, 0, ""]);
    expect(checks.map(({ name }) => name)).toEqual([
      "event-loop wait, mean",
      "event-loop wait, longest",
      "what blocked the event loop",
      "thread-pool wait, mean",
      "requests",
      "time of a request, mean",
      "database pool wait, mean",
      "database pool, connections",
      "time of a query, mean",
      "repeated statement",
      "losses and errors of the agent",
      "ingest",
    ]);
    for (const { measured, name } of checks.filter(({ name }) => /mean/.test(name))) {
      expect(Number.parseFloat(measured), name).toBeGreaterThan(0.01);
    }
    const culprit = checks.find(({ name }) => name.startsWith("what blocked"));
    expect(culprit?.measured).toMatch(/^blockOnPurpose \(.*program\.mjs:\d+\)$/);
    expect(sink.requests).toHaveLength(1); // what the program measured went to the doctor, and not to the ingest
    expect(sink.requests[0]?.headers).toMatchObject({ "x-team": "a", authorization: "Bearer secret" });
  });
});
