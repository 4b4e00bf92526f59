import { describe, expect, it } from "vitest";
import { PRELOAD, TEST_NODES } from "../agent-process.ts";
import { eachTest } from "../each-test.ts";
import { type Ending, endOf, expectToldAndSame, MAIN_ENDINGS, SIGTERM } from "./ending.ts";

/** Blocks are not looked at in the first 3 s, in which modules are loaded. */
const BLOCK = `
  function blockBeforeTheEnd() { const end = performance.now() + 1000; while (performance.now() < end); }
  setTimeout(() => { blockBeforeTheEnd(); process.exit(5); }, 3500);`;
const ENDINGS: readonly Ending[] = [
  ...MAIN_ENDINGS,
  ["by an exception that is no error", 'throw "mine";', {}],
  ["by its own listener for SIGTERM", `process.on("SIGTERM", () => process.exit(143)); ${SIGTERM}`, {}],
  ["by SIGINT, the same", SIGTERM.replace("SIGTERM", "SIGINT"), { TIDEMARK_FLUSH_SIGNALS: "SIGTERM, SIGINT" }],
  [
    "by its own listener that ends itself by the signal, the same",
    `process.once("SIGTERM", () => { console.log("last words"); process.kill(process.pid, "SIGTERM"); }); ${SIGTERM}`,
    { TIDEMARK_FLUSH_SIGNALS: "SIGTERM" },
  ],
];

describe.each(TEST_NODES)("a program that ends under Node %s", (_version, node) => {
  const own = eachTest(node);

  // The last export has half a second, which a machine full of other work may exceed.
  it.each(ENDINGS)("%s has told everything, and ends as without the agent", (...ending) =>
    expectToldAndSame(ending, node),
  );

  it("right after a block has told what blocked it", async () => {
    own.sink.logs.length = 0;
    expect(await endOf(own.sink.url, BLOCK, {}, PRELOAD, node)).toEqual({
      code: 5,
      signal: null,
      stdout: "served\n",
      stderr: "",
    });
    const stalls = own.sink.logs.filter(({ event }) => event === "tidemark.stall");
    expect(stalls.map(({ attributes }) => attributes["code.function.name"])).toContain("blockBeforeTheEnd");
  });

  it("by SIGTERM that it does not listen for ends at once, and has told all but its last interval", async () => {
    const later = `setTimeout(() => { ${SIGTERM} }, 2500)`;
    expect(await endOf(own.sink.url, later, {}, PRELOAD, node)).toEqual({
      code: null,
      signal: "SIGTERM",
      stdout: "served\n",
      stderr: "",
    });
    expect(own.sink.select("http.server.request.duration")).toHaveLength(1);
    expect(own.sink.select("process.uptime").at(-1)!.value).toBeGreaterThan(1.5);
  });
});
