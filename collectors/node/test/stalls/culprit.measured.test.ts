import { describe, expect, it } from "vitest";
import { PRELOAD, runWithAgent, TEST_NODES } from "../agent-process.ts";
import { merge, quantile, startSink } from "../otlp-sink.ts";

const SCRIPTS = 4000;
const BLOCKS = 7;
/** With a core taken away 20 ms at a time, five times a second, one block in five or six is left in peace. */
const MOST_BLOCKS = 28;
const MAX_HELD_MS = 1;
const BLOCKING_LINE = 3;

/**
 * Loads scripts, then blocks its loop now and again. Each block looks at the clock without a pause, so that the longest
 * time between two looks is how long anything else held the thread: the truth that the agent cannot know. What is not
 * the agent's is told by the second block of each pair, which the watchdog leaves alone: it looks once a second. As the
 * machine only adds to a gap, and on a shared one by milliseconds, the block of either kind with the least counts, and
 * there are more until one was held shortly enough.
 */
const PROGRAM = `import vm from "node:vm";
let longest = 0;
function blockHere(end) { let last = performance.now(); while (last < end) { const now = performance.now(); if (now - last > longest) longest = now - last; last = now; } }
const kept = [];
for (let index = 0; index < ${SCRIPTS}; index++) {
  const source = "(function generated" + index + "(a) { return a + " + index + "; })";
  kept.push(new vm.Script(source, { filename: "/srv/generated/" + index + ".js" }).runInThisContext());
}
const pause = (ms) => new Promise((passed) => setTimeout(passed, ms));
const block = () => {
  longest = 0;
  blockHere(performance.now() + 190);
  return longest;
};
const asked = [];
const leftAlone = [];
await pause(4000);
while (asked.length < ${BLOCKS} || (Math.min(...asked) >= ${MAX_HELD_MS} && asked.length < ${MOST_BLOCKS})) {
  asked.push(block());
  await pause(150);
  leftAlone.push(block());
  await pause(900);
}
console.log(JSON.stringify({ asked, leftAlone, kept: kept.length }));
`;

const list = (numbers: number[]) =>
  numbers
    .toSorted((a, b) => a - b)
    .map((number) => number.toFixed(2))
    .join(", ");

describe.each(TEST_NODES)("a block beside 4,000 scripts on Node %s", (_version, node) => {
  it("is blamed on the right function and line, and the thread is held for less than a millisecond", async () => {
    const sink = await startSink();
    const app = runWithAgent({ code: PROGRAM }, sink.url, { TIDEMARK_TRACES: "0" }, PRELOAD, node);
    try {
      expect(await app.ended).toEqual({ code: 0, signal: null });
      const { asked, leftAlone, kept } = JSON.parse(app.output().stdout) as Record<"asked" | "leftAlone", number[]> & {
        kept: number;
      };
      expect(kept).toBe(SCRIPTS);
      const held = merge(sink.select("tidemark.agent.hold.duration"));
      const toldMs = 1000 * quantile(held, 0.5);
      const heldMs = Math.min(...asked) - Math.min(...leftAlone);
      console.log(`main held: ${heldMs.toFixed(2)} ms, the agent says ${toldMs.toFixed(2)} ms at the median`);
      console.log(`longest gap of each block: asked ${list(asked)}; left alone ${list(leftAlone)} ms`);
      expect(held.count).toBeGreaterThan(asked.length / 2);
      expect(heldMs).toBeLessThan(MAX_HELD_MS);
      expect(toldMs).toBeLessThan(MAX_HELD_MS);
      const blamed = sink.logs.map(({ attributes }) => attributes);
      const { "code.file.path": file, ...rest } = blamed.find((record) => "code.function.name" in record) ?? {};
      expect(rest).toMatchObject({ "code.function.name": "blockHere", "code.line.number": BLOCKING_LINE });
      expect(file).toMatch(/program\.mjs$/);
    } finally {
      await app.stop();
      await sink.close();
    }
  });
});
