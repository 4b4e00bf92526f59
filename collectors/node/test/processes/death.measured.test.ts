import { describe, expect, it } from "vitest";
import { PRELOAD, TEST_NODES } from "../agent-process.ts";
import { eachTest } from "../each-test.ts";

/**
 * Serves one request and ends as `ending` says, so that what there is to tell of it is told at the end, or never. What
 * ends before the agent's thread is up has nothing to tell, so under the agent it waits for a first export.
 */
const program = (sinkUrl: string, ending: string) => `
  import { createServer } from "node:http";
  const server = createServer((request, response) => response.end("x")).listen(0, "127.0.0.1", async () => {
    const spoken = () => fetch("${sinkUrl}").then((response) => response.text());
    if (process.execArgv.length > 0) while (await spoken() === "0");
    await fetch("http://127.0.0.1:" + server.address().port).then((response) => response.text());
    console.log("served");
    server.closeAllConnections();
    server.close();
    setImmediate(() => { ${ending} });
  });`;

const SIGTERM = 'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 1000);';
/** Blocks are not looked at in the first 3 s, in which modules are loaded. */
const BLOCK = `
  function blockBeforeTheEnd() { const end = performance.now() + 1000; while (performance.now() < end); }
  setTimeout(() => { blockBeforeTheEnd(); process.exit(5); }, 3500);`;
const ENDINGS: [string, string, Record<string, string>][] = [
  ["by having nothing left to do", "", {}],
  ["by process.exit", "process.exit(3);", {}],
  ["by an exception", 'throw new Error("mine");', {}],
  ["by an exception that is no error", 'throw "mine";', {}],
  ["by a rejection that nobody handles", 'Promise.reject(new Error("mine"));', {}],
  ["by its own listener for SIGTERM", `process.on("SIGTERM", () => process.exit(143)); ${SIGTERM}`, {}],
  ["by SIGTERM, with the signal among the flush signals", SIGTERM, { TIDEMARK_FLUSH_SIGNALS: "SIGTERM,SIGINT" }],
  ["by SIGINT, the same", SIGTERM.replace("SIGTERM", "SIGINT"), { TIDEMARK_FLUSH_SIGNALS: "SIGTERM, SIGINT" }],
  [
    "by its own listener that ends itself by the signal, the same",
    `process.once("SIGTERM", () => { console.log("last words"); process.kill(process.pid, "SIGTERM"); }); ${SIGTERM}`,
    { TIDEMARK_FLUSH_SIGNALS: "SIGTERM" },
  ],
];

describe.each(TEST_NODES)("a program that ends under Node %s", (_version, node) => {
  const own = eachTest(node);

  const run = async (ending: string, settings: Record<string, string>, preload: string[]) => {
    const environment = { TIDEMARK_EXPORT_INTERVAL: "1", TIDEMARK_TRACE_RATIO: "1", ...settings };
    const started = own.run({ code: program(own.sink.url, ending) }, environment, preload);
    const how = await started.ended;
    const { stdout, stderr } = started.output();
    // One directory for each run; and a frame of Node.js 20 and 22 itself, as soon as anything follows async contexts.
    const told = stderr
      .replace(/node-program-\w+/g, "node-program")
      .replace(/\n +at process\.callbackTrampoline \(node:.*\)/g, "");
    return { ...how, stdout, stderr: told };
  };

  // The last export has half a second, which a machine full of other work may exceed.
  it.each(ENDINGS)("%s has told everything, and ends as without the agent", async (_, ending, settings) => {
    own.sink.points.length = own.sink.spans.length = 0;
    expect(await run(ending, settings, PRELOAD)).toEqual(await run(ending, settings, []));
    const requests = own.sink.select("http.server.request.duration");
    expect(requests.map(({ histogram }) => histogram?.count)).toEqual([1]);
    expect(own.sink.spans.filter(({ kind }) => kind === 2)).toHaveLength(1);
    // Every number arrives once: the intervals follow each other without gap or overlap.
    const intervals = own.sink.select("process.cpu.time", { "cpu.mode": "user" });
    const starts = intervals.slice(1).map(({ startMs }) => startMs);
    expect(starts).toEqual(intervals.slice(0, -1).map(({ timeMs }) => timeMs));
  });

  it("right after a block has told what blocked it", async () => {
    own.sink.logs.length = 0;
    expect(await run(BLOCK, {}, PRELOAD)).toEqual({ code: 5, signal: null, stdout: "served\n", stderr: "" });
    const stalls = own.sink.logs.filter(({ event }) => event === "tidemark.stall");
    expect(stalls.map(({ attributes }) => attributes["code.function.name"])).toContain("blockBeforeTheEnd");
  });

  it("by SIGTERM that it does not listen for ends at once, and has told all but its last interval", async () => {
    const later = `setTimeout(() => { ${SIGTERM} }, 2500)`;
    expect(await run(later, {}, PRELOAD)).toEqual({ code: null, signal: "SIGTERM", stdout: "served\n", stderr: "" });
    expect(own.sink.select("http.server.request.duration")).toHaveLength(1);
    expect(own.sink.select("process.uptime").at(-1)!.value).toBeGreaterThan(1.5);
  });
});
