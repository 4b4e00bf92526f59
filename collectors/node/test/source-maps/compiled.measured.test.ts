import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "../agent-process.ts";
import { type LogRecord, startSink } from "../otlp-sink.ts";
import { compile, type Loaded, load } from "./build.ts";

const APPS = fileURLToPath(new URL("../apps", import.meta.url));
const SOURCES = fileURLToPath(new URL("app", import.meta.url));
const TYPESCRIPT = createRequire(new URL("../drivers/", import.meta.url)).resolve("typescript");
const TS_NODE = {
  TS_NODE_SKIP_PROJECT: "1",
  TS_NODE_COMPILER: TYPESCRIPT,
  TS_NODE_COMPILER_OPTIONS: '{"allowImportingTsExtensions":true,"module":"commonjs","target":"es2022"}',
};
const BLOCKING_LINE = 22;
const GRACE_S = 3.5;
const APART_MS = 1100;

describe.each(TEST_NODES)("a service compiled from TypeScript on Node %s", (_version, node) => {
  const inFolder = async (body: (folder: string) => Promise<unknown>) => {
    const folder = mkdtempSync(join(tmpdir(), "compiled-"));
    try {
      await body(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it("is told of by the function, file and line of its source, however it was compiled", () =>
    inFolder(async (folder) => {
      const programs = Object.entries(await compile(folder));
      await Promise.all(
        programs.map(([how, program]) => expectSource(how, { program, folder: SOURCES, preload: PRELOAD }, node)),
      );
    }));

  it("is told of in the same way where the map is in memory only, as it is compiled while it is loaded", () =>
    inFolder((folder) =>
      Promise.all(Object.entries(load(folder)).map(([how, loaded]) => expectSource(how, loaded, node))),
    ));
});

async function expectSource(how: string, { program, folder, preload }: Loaded, node: string): Promise<void> {
  const sink = await startSink();
  const app = runWithAgent(relative(APPS, program), sink.url, { TIDEMARK_TRACES: "0", ...TS_NODE }, preload, node);
  try {
    const url = await addressOf(app);
    await until("the watchdog watches", () => (sink.select("process.uptime").at(-1)?.value ?? 0) > GRACE_S);
    // Where the machine has no core for it, a stall is nobody's fault, its caller's or was seen too late: then it blocks once more.
    const inService = ({ attributes }: LogRecord) =>
      [folder, dirname(program)].includes(dirname(String(attributes["code.file.path"]))) &&
      attributes["code.function.name"] !== "Server.<anonymous>" &&
      attributes["tidemark.stall.late"] !== true;
    const stall = await until(`the stall of ${how}`, async () => {
      await fetch(url).then((response) => response.text());
      await new Promise((passed) => setTimeout(passed, APART_MS));
      return sink.logs.find(inService);
    });
    expect(stall.attributes, how).toMatchObject({
      "code.function.name": "blockHere",
      "code.file.path": join(folder, "work.ts"),
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
