import { describe, expect, it } from "vitest";
import { REQUIRED, TEST_NODES, until } from "./agent-process.ts";
import { eachTest } from "./each-test.ts";
import { missingFor, RELEASES } from "./releases.ts";

const FAST = { "tidemark.resource.kind": "thread_pool", "tidemark.resource.name": "fast" };
const NODES = [...TEST_NODES, ...RELEASES.map(({ release, program }) => [`${release}`, program] as const)];
/** Intervals that must tell just so many threads: others may tell a task of the agent's own as well. */
const INTERVALS = 2;
/** From this release on the pool's threads have a name. */
const NAMED = 22;
const WORK = [
  { size: 4, stuck: 3, hashes: 2 },
  { size: 1, stuck: 1, hashes: 1 },
];

describe.each(NODES)("the busy threads of libuv's pool on Node %s", (version, node) => {
  const missing = missingFor(node) ?? (process.platform === "linux" ? undefined : "needs Linux");
  const isNamed = Number.parseInt(version.replace("v", ""), 10) >= NAMED;
  const own = eachTest(node);

  /** Answers how to wait for what is told of the program's pool, and how to have it do the next thing. */
  const work = async (settings: Record<string, string>) => {
    const environment = { TIDEMARK_TRACES: "0", TIDEMARK_EXPORT_INTERVAL: "0.3", ...settings };
    const app = own.run("pool-work.cjs", environment, REQUIRED);
    const says = (step: string) => until(`the program says ${step}`, () => app.output().stdout.includes(step));
    await says("ready");
    return {
      told: (busy: number) => {
        const sinceMs = Date.now();
        return until(`${busy} threads are told`, () => {
          const later = own.sink.select("tidemark.resource.busy", FAST).filter(({ startMs }) => startMs > sinceMs);
          return later.filter(({ value }) => value === busy).length >= INTERVALS;
        });
      },
      next: async (step: string) => {
        app.child.kill("SIGUSR2");
        await says(step);
      },
      end: async () => {
        app.child.kill("SIGTERM");
        await app.ended;
      },
    };
  };

  it.for(WORK.slice(0, isNamed ? 1 : undefined))(
    "are $stuck of $size that are stuck, and $hashes that hash",
    async ({ size, stuck, hashes }, context) => {
      if (missing !== undefined) return context.skip(missing);
      const pool = await work({ UV_THREADPOOL_SIZE: `${size}`, STUCK: `${stuck}`, HASHES: `${hashes}` });
      await pool.told(0);
      await pool.next("stuck");
      await pool.told(stuck);
      await pool.next("hashing");
      await pool.told(hashes);
      await pool.end();
      expect(own.sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
    },
  );

  if (!isNamed)
    it("are not told where the program has set the size itself, so that they are not known", async (context) => {
      if (missing !== undefined) return context.skip(missing);
      const pool = await work({ POOL: "7" });
      const intervals = () => own.sink.select("process.uptime").length;
      const before = intervals();
      await until("some intervals are told", () => intervals() > before + INTERVALS);
      await pool.end();
      expect(own.sink.select("tidemark.resource.wait", FAST)).not.toEqual([]);
      expect(own.sink.select("tidemark.resource.busy", FAST)).toEqual([]);
    });
});
