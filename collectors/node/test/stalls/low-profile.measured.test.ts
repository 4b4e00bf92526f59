import { describe, expect, it } from "vitest";
import { mostFrequentStack, type Profile } from "../../src/main/low-profile.ts";
import { addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "../agent-process.ts";
import { startSink } from "../otlp-sink.ts";

const GRACE_S = 3.5;
/** The profile is asked once in 10 s. */
const WITHIN_MS = 11_000;

const callFrame = (functionName: string, url = "file:///srv/app.js") => ({
  functionName,
  url,
  lineNumber: 4,
  columnNumber: 2,
});

describe("the most frequent stack of a profile", () => {
  const profile: Profile = {
    nodes: [
      { id: 1, callFrame: callFrame("(root)", ""), children: [2, 3, 6] },
      { id: 2, callFrame: callFrame("(idle)", "") },
      { id: 3, callFrame: callFrame("handle"), children: [4, 5] },
      { id: 4, callFrame: callFrame("parse") },
      { id: 5, callFrame: callFrame("") },
      { id: 6, callFrame: callFrame("before"), children: [7] },
      { id: 7, callFrame: callFrame("earlier") },
    ],
    samples: [7, 7, 7, 7, 2, 2, 2, 4, 5, 4],
    timeDeltas: Array.from({ length: 10 }, () => 10_000),
  };

  it("is what most samples of the time ran, innermost first", () => {
    expect(mostFrequentStack(profile, 45, 100)).toEqual([
      { function: "parse", file: "/srv/app.js", line: 5, column: 3 },
      { function: "handle", file: "/srv/app.js", line: 5, column: 3 },
    ]);
    expect(mostFrequentStack(profile, 0, 45).map((frame) => frame.function)).toEqual(["earlier", "before"]);
  });

  it("is empty where nothing ran, or nothing was sampled", () => {
    expect(mostFrequentStack(profile, 45, 75)).toEqual([]);
    expect(mostFrequentStack(profile, 200, 300)).toEqual([]);
    expect(mostFrequentStack({ nodes: [] }, 0, 1)).toEqual([]);
  });
});

describe.each(TEST_NODES)("a native call under a profile on Node %s", (_version, node) => {
  it("is named, and the process ends without a word", async () => {
    const sink = await startSink();
    const app = runWithAgent("blocking.mjs", sink.url, { TIDEMARK_PROFILE: "low" }, PRELOAD, node);
    try {
      const url = await addressOf(app);
      await until("the watchdog watches", () => (sink.select("process.uptime").at(-1)?.value ?? 0) > GRACE_S);
      const stall = await until("the stall", async () => {
        const asked = sink.logs.length;
        await fetch(`${url}/key`).then((response) => response.text());
        await until(
          "it is told, or the profile may be asked again",
          passed(WITHIN_MS, () => sink.logs.length > asked),
        );
        return sink.logs.find(
          ({ attributes }) =>
            attributes["code.function.name"] === "deriveKey" && attributes["tidemark.stall.late"] === false,
        );
      });
      expect(stall.attributes["code.file.path"]).toMatch(/\/apps\/blocking\.mjs$/);
      expect(stall.attributes["code.stacktrace"]).toMatch(/;deriveKey \([^)]*\);pbkdf2Sync /);
      app.child.kill("SIGTERM");
      expect(await app.ended).toEqual({ code: null, signal: "SIGTERM" });
      expect(app.output().stderr).toBe("");
    } finally {
      await app.stop();
      await sink.close();
    }
  });
});

function passed(milliseconds: number, probe: () => boolean): () => boolean {
  const deadline = performance.now() + milliseconds;
  return () => probe() || performance.now() > deadline;
}
