import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listenAsPostgres } from "../src/doctor/fake-postgres.ts";
import { addressOf, until } from "./agent-process.ts";
import { eachTest } from "./each-test.ts";
import { expectSameWhileLoading, expectToldAndSame, MAIN_ENDINGS } from "./processes/ending.ts";
import { missingFor, RELEASES } from "./releases.ts";

const WITHIN_MS = 60_000;

let database: Awaited<ReturnType<typeof listenAsPostgres>>;
beforeAll(async () => {
  database = await listenAsPostgres();
});
afterAll(() => database.close());

describe.each(RELEASES)("a service on Node $release", ({ release, program }) => {
  const missing = missingFor(program);
  const own = eachTest(program);

  it("tells its waits, culprit, worker thread and repeated statements, and all the rest as it ends", async (context) => {
    if (missing !== undefined) return context.skip(missing);
    const app = own.run("release.mjs", { POSTGRES_URL: database.url });
    const url = await addressOf(app);
    const ask = (page: string) => fetch(url + page).then((response) => response.text());
    const told = (event: string) => own.sink.logs.filter((log) => log.event === event).map((log) => log.attributes);
    let asked = 0;
    const blamed = async () => {
      asked += 1;
      await ask("/block");
      return told("tidemark.stall").find((stall) => stall["code.function.name"] === "blockOnPurpose");
    };
    const stall = await until("the culprit is named", blamed, WITHIN_MS);
    expect(stall["code.file.path"]).toMatch(/\/apps\/release\.mjs$/);
    for (const resource of ["main", "worker-busy"]) {
      const wait = () => own.sink.select("tidemark.resource.wait", { "tidemark.resource.name": resource });
      await until(`the waits for ${resource} show`, () => wait().length > 0, WITHIN_MS);
    }
    asked += 1;
    await ask("/repeat");
    const repeat = await until("the repetition is told", () => told("tidemark.db.n_plus_one")[0], WITHIN_MS);
    expect(repeat).toMatchObject({ "tidemark.db.repeats": 7, "tidemark.db.site": expect.stringMatching(/ oneByOne$/) });

    asked += 1;
    await ask("/end");
    expect(await app.ended).toEqual({ code: 7, signal: null });
    expect(app.output().stderr).toBe("");
    // The last export has half a second, which a machine full of other work may exceed.
    const requests = own.sink.select("http.server.request.duration");
    expect(requests.reduce((sum, { histogram }) => sum + (histogram?.count ?? 0), 0)).toBe(asked);
    const [point] = own.sink.points;
    expect(point?.resource["process.runtime.version"]).toMatch(new RegExp(`^v?${release}\\.`));
    expect(own.sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
  });

  it.for(MAIN_ENDINGS)("%s a program has told everything, and ends as without the agent", async (ending, context) => {
    if (missing !== undefined) return context.skip(missing);
    await expectToldAndSame(ending, program);
  });

  it("is not on the stack of what is thrown while a CommonJS file is loaded", async (context) => {
    if (missing !== undefined) return context.skip(missing);
    await expectSameWhileLoading(own.sink.url, program);
  });
});
