import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "../agent-process.ts";
import { startSink } from "../otlp-sink.ts";
import { compile } from "./build.ts";

const APPS = fileURLToPath(new URL("../apps", import.meta.url));
const SOURCE = fileURLToPath(new URL("app/work.ts", import.meta.url));
const BLOCKING_LINE = 22;
const GRACE_S = 3.5;
const APART_MS = 1100;

describe.each(TEST_NODES)("a service compiled from TypeScript on Node %s", (_version, node) => {
  it("is told of by the function, file and line of its source, however it was compiled", async () => {
    const folder = mkdtempSync(join(tmpdir(), "compiled-"));
    try {
      const programs = Object.entries(await compile(folder));
      await Promise.all(programs.map(([how, program]) => expectSource(how, program, node)));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

async function expectSource(how: string, program: string, node: string): Promise<void> {
  const sink = await startSink();
  const app = runWithAgent(relative(APPS, program), sink.url, { TIDEMARK_TRACES: "0" }, PRELOAD, node);
  try {
    const url = await addressOf(app);
    await until("the watchdog watches", () => (sink.select("process.uptime").at(-1)?.value ?? 0) > GRACE_S);
    // Where the machine has no core for it, a stall is nobody's fault: then it blocks once more.
    const stall = await until(`the stall of ${how}`, async () => {
      await fetch(url).then((response) => response.text());
      await new Promise((passed) => setTimeout(passed, APART_MS));
      return sink.logs.find(({ attributes }) => "code.function.name" in attributes);
    });
    expect(stall.attributes, how).toMatchObject({
      "code.function.name": "blockHere",
      "code.file.path": SOURCE,
      "code.line.number": BLOCKING_LINE,
    });
    const places = String(stall.attributes["code.stacktrace"]).match(/[^/]*\.ts:\d+/g);
    expect(places?.slice(0, 3), how).toEqual(["main.ts:12", "work.ts:11", `work.ts:${BLOCKING_LINE}`]);
    const failures = sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0);
    expect(failures, how).toEqual([]);
  } finally {
    await app.stop();
    await sink.close();
  }
}
