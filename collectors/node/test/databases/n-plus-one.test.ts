import { readFileSync } from "node:fs";
import { type Postgres, startPostgres } from "@tidemark/lab";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "../agent-process.ts";
import { merge, type Sink, startSink } from "../otlp-sink.ts";

const APP = new URL("../drivers/orders.mjs", import.meta.url);
const LINES = 7;
const VISITS = 3;
const SLOW_SECONDS = 1;
/** Where each page asks for its lines, as text of the line. */
const REPEATING = {
  "/pool": ["for (const line of lines) await pool.query(SQL, [line]);", "oneByOne"],
  "/client": ["for (const line of lines) await client.query(SQL, [line]);", "onOneClient"],
  "/callbacks": ["pool.query(SQL, [line], (error) =>", "byCallbacks"],
  "/knex": ['for (const id of lines) await builder("books")', "byKnex"],
  "/sequelize": ["for (const id of lines) await Book.findByPk(id)", "bySequelize"],
  "/typeorm": ["for (const id of lines) await books.findOneBy({ id })", "byTypeOrm"],
} as const;
/** Those of them that read side by side what other pages read one after the other. */
const FAN_OUTS = { "/fan-out": LINES, "/knex-fan-out": LINES, "/typeorm-fan-out": LINES } as const;
const QUIET = { ...FAN_OUTS, "/few": 2, "/none": 0, "/wrong": 1 } as const;

describe.each(TEST_NODES)("pages that read a real PostgreSQL on Node %s", (_version, node) => {
  let postgres: Postgres;
  let sink: Sink;
  let app: AgentProcess;

  beforeAll(async () => {
    [postgres, sink] = await Promise.all([startPostgres(), startSink()]);
    const environment = { POSTGRES_URL: postgres.databaseUrl, TIDEMARK_TRACE_RATIO: "0" };
    app = runWithAgent("../drivers/orders.mjs", sink.url, environment, PRELOAD, node);
    const url = await addressOf(app);
    for (let visit = 0; visit < VISITS; visit++) {
      for (const path of Object.keys({ ...REPEATING, ...QUIET })) {
        await fetch(url + path).then((response) => response.text());
      }
    }
    await fetch(`${url}/starved`).then((response) => response.text());
    await until("every visit is told", () => requests("/wrong") === VISITS && requests("/none") === VISITS);
    await until("the slow request is told", () => requests("/starved") === 1);
    await until("what is repeated is told", () => findings().length >= Object.keys(REPEATING).length);
    await until("the last kept trace is sent", () => traces("/knex").length === VISITS);
  });
  afterAll(async () => {
    await app.stop();
    await Promise.all([postgres.stop(), sink.close()]);
  });

  const findings = () => sink.logs.filter(({ event }) => event === "tidemark.db.n_plus_one");
  const queries = (route: string) => merge(sink.select("tidemark.db.queries_per_request", { "http.route": route }));
  const requests = (route: string) => queries(route).count;
  const traces = (route: string) =>
    sink.spans.filter(({ kind, attributes }) => kind === 2 && attributes["http.route"] === route);
  const lineOf = (text: string) =>
    readFileSync(APP, "utf8")
      .split("\n")
      .findIndex((line) => line.includes(text)) + 1;

  it.each(Object.entries(REPEATING))("names %s once, with its count, price and line", (route, [code, name]) => {
    const told = findings().filter((log) => log.attributes["http.route"] === route);
    expect(told).toHaveLength(1);
    const { attributes, body } = told[0]!;
    expect(attributes["tidemark.db.site"]).toBe(`drivers/orders.mjs:${lineOf(code)} ${name}`);
    expect(attributes["tidemark.db.repeats"]).toBe(LINES);
    expect(attributes["tidemark.db.repeats.time"]).toBeGreaterThan(0);
    expect(attributes["tidemark.db.repeats.time"]).toBeLessThan(1);
    expect(body).toMatch(
      new RegExp(`^${route} ran SELECT books ${LINES} times \\([\\d.]+ ms\\), one after the other$`),
    );
    const counted = sink.select("tidemark.db.n_plus_one", { "http.route": route });
    expect(counted.reduce((sum, { value }) => sum + value, 0)).toBe(VISITS);
  });

  it("stays silent on what runs side by side, and on few statements", () => {
    const routes = findings().map((log) => log.attributes["http.route"]);
    expect(routes.sort()).toEqual(Object.keys(REPEATING).sort());
    expect(new Set(sink.select("tidemark.db.n_plus_one").map(({ attributes }) => attributes["http.route"])).size).toBe(
      Object.keys(REPEATING).length,
    );
  });

  it.each([
    ...Object.keys(REPEATING).map((route) => [route, route === "/client" ? LINES + 2 : LINES] as const),
    ...Object.entries(QUIET),
  ])("counts the statements of a request to %s: %i", (route, count) => {
    const { count: visits, sum, max } = queries(route);
    expect([visits, sum]).toEqual([VISITS, VISITS * count]);
    if (count > 0) expect(max).toBe(count);
  });

  it("times every statement by route, without its values, and a failed one by its SQLSTATE", () => {
    const durations = "db.client.operation.duration";
    const statements = (route: string) =>
      merge(sink.select(durations, { "http.route": route, "db.query.summary": "SELECT books" }));
    for (const route of Object.keys({ ...REPEATING, ...FAN_OUTS })) {
      expect(statements(route).count, route).toBe(VISITS * LINES);
    }
    expect(merge(sink.select(durations, { "http.route": "/wrong", "error.type": "42703" })).count).toBe(VISITS);
    const texts = new Set(sink.select(durations).map(({ attributes }) => attributes["db.query.text"]));
    expect([...texts]).toContain('select "id", "title" from "books" where "id" = $1 limit $2');
  });

  it("times the waits for the pools of knex, sequelize and TypeORM as well as those for pg's", () => {
    const waits = (name: string) =>
      merge(sink.select("db.client.connection.wait_time", { "db.client.connection.pool.name": name })).count;
    expect(waits("knex")).toBe(2 * VISITS * LINES);
    expect(waits("sequelize")).toBe(VISITS * LINES + 1);
    // TypeORM has a pool of pg's, and asks three things when it begins.
    expect(waits("tidemark_shop")).toBe(2 * VISITS * LINES + 3);
    // Three pages ask for each statement, one for the whole page, one twice, one once.
    expect(waits("tidemark_shop#2")).toBe(VISITS * (3 * LINES + 1 + 2 + 1) + 5);
  });

  it("sends the traces of repeated statements whole, failed ones too, and no others at a ratio of zero", () => {
    for (const route of Object.keys(REPEATING)) {
      const roots = traces(route);
      expect(roots).toHaveLength(VISITS);
      for (const { traceId, attributes } of roots) {
        const inTrace = sink.spans.filter((span) => span.traceId === traceId);
        const selects = inTrace.filter((span) =>
          String(span.attributes["db.query.text"] ?? span.attributes["db.statement"]).match(/^select/i),
        );
        expect(selects, route).toHaveLength(LINES);
        expect(attributes["tidemark.db.queries"]).toBe(route === "/client" ? LINES + 2 : LINES);
        expect(attributes["tidemark.db.duration_ms"]).toBeGreaterThan(0);
      }
    }
    expect(traces("/wrong")).toHaveLength(VISITS);
    for (const route of [...Object.keys(FAN_OUTS), "/few", "/none"]) {
      // On a machine full of other work a request may take more than a second, and is kept for that.
      const durations = merge(sink.select("http.server.request.duration", { "http.route": route }));
      if ((durations.max ?? 0) < SLOW_SECONDS) expect(traces(route), route).toEqual([]);
    }
  });

  it("shows in a slow trace that the request waited for a connection, and not for its statement", async () => {
    const root = await until("the slow request's span", () => traces("/starved")[0]);
    const waitMs = Number(root.attributes["tidemark.db.pool_wait_ms"]);
    expect(waitMs).toBeGreaterThan(1090);
    expect(Number(root.attributes["tidemark.db.duration_ms"])).toBeLessThan(waitMs / 2);
    const phase = (name: string) =>
      merge(sink.select("tidemark.http.server.phase.duration", { "http.route": "/starved", "tidemark.phase": name }))
        .sum;
    expect(phase("db_pool") * 1000).toBeCloseTo(waitMs, 0);
    const inTrace = sink.spans.filter(({ traceId }) => traceId === root.traceId);
    expect(inTrace.filter(({ name }) => name === "pg-pool.connect")).toHaveLength(5);
  });

  it("counts no error of its own", () => {
    expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
    expect(app.output().stderr.replace(/^.*no_such_column[\s\S]*$/m, "")).toBe("");
  });
});
