import { expect } from "vitest";
import { PRELOAD, REQUIRED, runWithAgent } from "../agent-process.ts";
import { startSink } from "../otlp-sink.ts";

/** A way in which a program ends: what it does, and its settings. */
export type Ending = readonly [how: string, code: string, settings: Readonly<Record<string, string>>];

export const SIGTERM = 'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 1000);';
/** Those that every release of Node.js is tested with. */
export const MAIN_ENDINGS: readonly Ending[] = [
  ["by having nothing left to do", "", {}],
  ["by process.exit", "process.exit(3);", {}],
  ["by an exception", 'throw new Error("mine");', {}],
  ["by a rejection that nobody handles", 'Promise.reject(new Error("mine"));', {}],
  ["by SIGTERM, with the signal among the flush signals", SIGTERM, { TIDEMARK_FLUSH_SIGNALS: "SIGTERM,SIGINT" }],
];

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

/** How a program ended, and what it printed. */
export async function endOf(
  sinkUrl: string,
  ending: string,
  settings: Readonly<Record<string, string>>,
  preload: string[],
  node: string,
) {
  const environment = { TIDEMARK_EXPORT_INTERVAL: "1", TIDEMARK_TRACE_RATIO: "1", ...settings };
  const started = runWithAgent({ code: program(sinkUrl, ending) }, sinkUrl, environment, preload, node);
  const how = await started.ended;
  const { stdout, stderr } = started.output();
  // One directory for each run; and a frame of Node.js 20 and 22 itself, as soon as anything follows async contexts.
  const told = stderr
    .replace(/node-program-\w+/g, "node-program")
    .replace(/\n +at process\.callbackTrampoline \(node:.*\)/g, "");
  return { ...how, stdout, stderr: told };
}

/** Runs the program with and without the agent: it ends in the same way, and under the agent has told everything. */
export async function expectToldAndSame([how, ending, settings]: Ending, node: string): Promise<void> {
  const sink = await startSink();
  try {
    const [under, without] = await Promise.all(
      [PRELOAD, []].map((preload) => endOf(sink.url, ending, settings, preload, node)),
    );
    expect(under, how).toEqual(without);
    const requests = sink.select("http.server.request.duration");
    expect(
      requests.map(({ histogram }) => histogram?.count),
      how,
    ).toEqual([1]);
    expect(
      sink.spans.filter(({ kind }) => kind === 2),
      how,
    ).toHaveLength(1);
    // Every number arrives once: the intervals follow each other without gap or overlap.
    const intervals = sink.select("process.cpu.time", { "cpu.mode": "user" });
    const starts = intervals.slice(1).map(({ startMs }) => startMs);
    expect(starts, how).toEqual(intervals.slice(0, -1).map(({ timeMs }) => timeMs));
  } finally {
    await sink.close();
  }
}

/** Programs that end while a CommonJS file is loaded, after they have shown what Node.js knows of their files. */
const LOADING = ["loading/throws.cjs", "loading/misses.cjs"];
/** Any `--import` has Node.js load the first file in another way. */
const OTHER_PRELOAD = ["--import", "data:text/javascript,"];

/** Runs them with and without the agent, all of its tiers: what is printed is the same, the stack included. */
export async function expectSameWhileLoading(sinkUrl: string, node: string): Promise<void> {
  for (const script of LOADING) {
    const [under, without, required, bare] = await Promise.all(
      [PRELOAD, OTHER_PRELOAD, REQUIRED, []].map(async (preload) => {
        const program = runWithAgent(script, sinkUrl, {}, preload, node);
        return { ...(await program.ended), ...program.output() };
      }),
    );
    expect(under, script).toEqual(without);
    expect(required, script).toEqual(bare);
    expect(bare).toMatchObject({ code: 1, stderr: expect.stringMatching(/\.cjs/) });
  }
}
