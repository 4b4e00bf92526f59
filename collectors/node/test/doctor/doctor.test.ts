import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { compare } from "../../src/doctor/checks.ts";
import { reachEndpoint } from "../../src/doctor/endpoint.ts";
import { Inbox } from "../../src/doctor/inbox.ts";
import type { Report } from "../../src/doctor/report.ts";
import { startSink } from "../otlp-sink.ts";
import { runCommand } from "./run-command.ts";

describe("tidemark-node", () => {
  it("explains itself, and refuses what it does not know with exit code 2", async () => {
    const help = await runCommand(["--help"], {}, tmpdir());
    expect([help.code, help.stderr]).toEqual([0, ""]);
    for (const flag of ["--no-endpoint", "--postgres URL", "--json"]) expect(help.stdout).toContain(flag);
    for (const wrong of [[], ["patient"], ["doctor", "--fast"]]) {
      const refused = await runCommand(wrong, {}, tmpdir());
      expect([refused.code, refused.stdout]).toEqual([2, ""]);
      expect(refused.stderr).toMatch(/^tidemark-node: .*\n\nusage: tidemark-node doctor/);
    }
  });
});

describe("the doctor's endpoint check", () => {
  it.each([
    [401, "status 401: the token is not accepted"],
    [503, "status 503"],
  ])("fails with status %i", async (status, measured) => {
    const refusing = await startSink(() => status);
    const check = await reachEndpoint({ TIDEMARK_ENDPOINT: refusing.url });
    await refusing.close();
    expect(check).toEqual({ name: "ingest", injected: `${refusing.url}/v1/metrics`, measured, verdict: "FAIL" });
  });

  it("fails where nobody listens, and where the settings cannot be used", async () => {
    const nobody = await reachEndpoint({ TIDEMARK_ENDPOINT: "http://127.0.0.1:9" });
    expect(nobody.measured).toContain("ECONNREFUSED");
    expect((await reachEndpoint({ TIDEMARK_ENDPOINT: "nowhere" })).measured).toMatch(/endpoint must be .*"nowhere"/);
  });
});

describe("the doctor's comparison", () => {
  const truth = { count: 10, mean: 0.05, max: 0.3 };
  const window = { startMs: 0, endMs: 1e15, waits: [{ endedMs: 1e12, seconds: 0.05 }] };
  const report: Report = {
    pool: window,
    stall: { ...window, culprit: "block" },
    requests: truth,
    query: { ...window, duration: truth, repeats: 7, capacity: 4 },
  };

  it("fails every check of an agent that measured nothing, but the one of its errors", () => {
    const good = compare(new Inbox(), report).filter(({ verdict }) => verdict === "ok");
    expect(good.map(({ name }) => name)).toEqual(["losses and errors of the agent"]);
  });

  it("skips the database where there is no driver, and says why", () => {
    const skipped = compare(new Inbox(), { ...report, query: undefined }).filter(({ verdict }) => verdict === "skip");
    expect(skipped.map(({ measured }) => measured)).toEqual(["pg is not installed here"]);
  });
});
