import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listenAsPostgres } from "../../src/doctor/fake-postgres.ts";
import type { Frame } from "../../src/shared/description.ts";
import { bySource } from "../../src/worker/source-site.ts";
import { addressOf, PRELOAD, REQUIRED, TEST_NODES, until } from "../agent-process.ts";
import { eachTest } from "../each-test.ts";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const APPS = join(HERE, "apps");
const SOURCES = join(HERE, "source-maps", "orders");
const DRIVERS = createRequire(new URL("../drivers/", import.meta.url));
const REPEATED = "tidemark.db.n_plus_one";

/** Ways in which the service is compiled: its program, the folder of its sources, and what it is preloaded with. */
async function compile(folder: string) {
  const bundle = join(folder, "server.mjs");
  const entryPoints = [join(SOURCES, "main.ts")];
  await build({
    entryPoints,
    bundle: true,
    platform: "node",
    format: "esm",
    sourcemap: true,
    minify: true,
    outfile: bundle,
  });
  const sources = join(folder, "sources");
  cpSync(SOURCES, sources, { recursive: true });
  writeFileSync(join(sources, "package.json"), '{"type":"commonjs"}');
  const inMemory = [...REQUIRED, "--require", DRIVERS.resolve("esbuild-register")];
  return [
    { how: "a minified bundle", program: bundle, sources: SOURCES, preload: PRELOAD },
    { how: "what is compiled in memory", program: join(sources, "main.ts"), sources, preload: inMemory },
  ];
}

describe.each(TEST_NODES)("the place that repeats a statement on Node %s", (_version, node) => {
  const own = eachTest(node);
  let folder: string;
  let database: Awaited<ReturnType<typeof listenAsPostgres>>;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "orders-"));
    database = await listenAsPostgres();
  });
  afterAll(async () => {
    await database.close();
    rmSync(folder, { recursive: true });
  });

  it("is told by its source, however the service was compiled", async () => {
    for (const { how, program, sources, preload } of await compile(folder)) {
      const environment = { POSTGRES_URL: database.url, PACKAGES: join(HERE, "main.js"), TIDEMARK_TRACES: "0" };
      const app = own.run(relative(APPS, program), environment, preload);
      const url = await addressOf(app);
      await fetch(url).then((response) => response.text());
      const site = `${relative(HERE, join(sources, "titles.ts"))}:13 titlesOf`;
      const told = await until(`${how} is told`, () => own.sink.logs.find(({ event }) => event === REPEATED));
      expect(told.attributes, how).toMatchObject({ "tidemark.db.site": site, "tidemark.db.repeats": 7 });
      const [counted] = await until(`${how} is counted`, () => {
        const points = own.sink.select(REPEATED);
        return points.length > 0 && points;
      });
      expect(counted?.attributes["tidemark.db.site"], how).toBe(site);
      expect(own.sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
      await app.stop();
      own.sink.logs.length = 0;
      own.sink.points.length = 0;
    }
  });
});

describe("the call site in a bundle", () => {
  const frame = (file: string, line: number): Frame => ({ function: "ask", file, line, column: 1 });
  const told = (...sources: string[]) =>
    bySource(
      {
        attributes: { "tidemark.db.site": "dist/all.js:1 ask" },
        site: sources.map((_, line) => frame("/all.js", line)),
      },
      (frames) => frames.map(({ line }) => frame(sources[line]!, line)),
    ).attributes["tidemark.db.site"];

  it("is not that of a package which the bundle has taken in", () => {
    const own = join(process.cwd(), "src", "orders.ts");
    expect(told(join(process.cwd(), "node_modules", "orm", "find.js"), own)).toBe(`${join("src", "orders.ts")}:1 ask`);
  });

  it("stays that of the bundle where all of its sources are packages'", () => {
    expect(told("/app/node_modules/orm/find.js")).toBe("dist/all.js:1 ask");
  });
});
