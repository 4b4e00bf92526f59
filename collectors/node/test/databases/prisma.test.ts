import { readFileSync } from "node:fs";
import { type Postgres, startPostgres } from "@tidemark/lab";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_TIERS, until } from "../agent-process.ts";
import { merge, type Sink, startSink } from "../otlp-sink.ts";

const APP = new URL("../drivers/prisma.mjs", import.meta.url);
const DURATION = "db.client.operation.duration";
const SERVER = 2;
const LINES = 7;
const VISITS = 2;
/** Where each page asks, as text of the line. */
const REPEATING = {
  "/unique": ["await prisma.books.findUnique({ where: { id } });", "byUnique"],
  "/first": ["await prisma.books.findFirst({ where: { id } });", "byFirst"],
  "/raw": ["await prisma.$queryRaw`SELECT title", "byRaw"],
} as const;
const QUIET = { "/fan-out": LINES, "/one": 1, "/wrong": 1 } as const;

describe.each(TEST_TIERS)("Prisma 7 on a real PostgreSQL, with $tiers", ({ traces, program }) => {
  let postgres: Postgres;
  let sink: Sink;
  let app: AgentProcess;
  const answers: Record<string, unknown> = {};

  beforeAll(async () => {
    [postgres, sink] = await Promise.all([startPostgres(), startSink()]);
    const environment = { POSTGRES_URL: postgres.databaseUrl, TIDEMARK_TRACES: traces, TIDEMARK_TRACE_RATIO: "0" };
    app = runWithAgent("../drivers/prisma.mjs", sink.url, environment, PRELOAD, program);
    const url = await addressOf(app);
    for (let visit = 0; visit < VISITS; visit++) {
      for (const path of Object.keys({ ...REPEATING, ...QUIET })) {
        answers[path] = await fetch(url + path).then((response) => response.json());
      }
    }
    await until("every visit is told", () => requests("/wrong").count === VISITS);
    await until("what is repeated is told", () => findings().length >= Object.keys(REPEATING).length);
  });
  afterAll(async () => {
    await app.stop();
    await Promise.all([postgres.stop(), sink.close()]);
  });

  const findings = () =>
    sink.logs.filter(({ event }) => event === "tidemark.db.n_plus_one").map((log) => log.attributes);
  const requests = (route: string) => merge(sink.select("tidemark.db.queries_per_request", { "http.route": route }));
  const statements = (route: string, attributes: Record<string, string> = {}) =>
    merge(sink.select(DURATION, { "http.route": route, "db.system.name": "postgresql", ...attributes })).count;
  const lineOf = (text: string) =>
    readFileSync(APP, "utf8")
      .split("\n")
      .findIndex((line) => line.includes(text)) + 1;

  it("answers as without the agent", () => {
    expect(answers).toMatchObject({
      "/unique": null,
      "/fan-out": Array.from({ length: LINES }, (_, line) => ({ id: line + 1 })),
      "/one": { id: 1 },
      "/wrong": "P2010",
    });
    expect(app.output().stderr).toBe("");
    expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
  });

  it("times every statement by route, without values, and a failed one by its SQLSTATE", () => {
    const where = { "db.namespace": "tidemark_shop", "tidemark.db.alias": "tidemark_shop" };
    for (const route of [...Object.keys(REPEATING), "/fan-out"]) {
      expect(statements(route, where), route).toBe(VISITS * LINES);
      expect(requests(route).sum, route).toBe(VISITS * LINES);
    }
    expect(statements("/one", { "db.query.summary": "SELECT public.books" })).toBe(VISITS);
    expect(statements("/wrong", { "error.type": "42703" })).toBe(VISITS);
  });

  it("names the pages that repeat a statement by the line that awaits it, and no fan-out", () => {
    const found = findings().map((attributes) => [
      attributes["http.route"],
      attributes["tidemark.db.site"],
      attributes["tidemark.db.repeats"],
    ]);
    const expected = Object.entries(REPEATING).map(([route, [code, name]]) => [
      route,
      `drivers/prisma.mjs:${lineOf(code)} ${name}`,
      LINES,
    ]);
    expect(found.sort()).toEqual(expected.sort());
  });

  it("times the waits for the adapter's pool", () => {
    const waits = merge(
      sink.select("db.client.connection.wait_time", { "db.client.connection.pool.name": "tidemark_shop" }),
    );
    expect(waits.count).toBe(VISITS * (4 * LINES + 2));
    const pool = { "tidemark.resource.kind": "db_pool", "tidemark.resource.name": "tidemark_shop" };
    expect(sink.select("tidemark.resource.capacity", pool).at(-1)?.value).toBe(2);
  });

  if (traces === "1")
    it("hangs the span of each statement below that of the request that repeated it", async () => {
      const root = await until("the kept trace", () =>
        sink.spans.find((span) => span.kind === SERVER && span.attributes["http.route"] === "/unique"),
      );
      const inTrace = sink.spans.filter(({ traceId }) => traceId === root.traceId);
      const queries = inTrace.filter(({ attributes }) =>
        /^SELECT/.test(`${attributes["db.query.text"] ?? attributes["db.statement"]}`),
      );
      expect(queries).toHaveLength(LINES);
      const ids = new Set(inTrace.map(({ spanId }) => spanId));
      for (const { parentSpanId } of queries) expect(ids).toContain(parentSpanId);
    });
});
