import { afterAll, beforeAll, expect, it } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_TIERS, until } from "../agent-process.ts";
import { merge, type Sink, startSink } from "../otlp-sink.ts";
import { type DatabaseServer, describeDatabase, startDatabase } from "./servers.ts";

const DURATION = "db.client.operation.duration";
const SERVER = 2;
const CLIENT = 3;
const LINES = 7;
const VISITS = 2;
const PAGES = ["promise", "prepared", "callbacks", "events", "fan-out", "literals"];
const FAILING = ["wrong", "prepared-wrong", "undefined", "full"];

for (const { tiers, traces, program } of TEST_TIERS) {
  describeDatabase("mariadb", `mysql2 on a real MariaDB, with ${tiers}`, () => {
    let mariadb: DatabaseServer;
    let sink: Sink;
    let app: AgentProcess;
    const answers: Record<string, unknown> = {};

    beforeAll(async () => {
      [mariadb, sink] = await Promise.all([startDatabase("mariadb"), startSink()]);
      const environment = { MYSQL_SOCKET: mariadb.address, TIDEMARK_TRACES: traces, TIDEMARK_TRACE_RATIO: "0" };
      app = runWithAgent("../drivers/mysql.mjs", sink.url, environment, PRELOAD, program);
      const url = await addressOf(app);
      for (let visit = 0; visit < VISITS; visit++) {
        for (const path of [...PAGES, ...FAILING]) {
          answers[path] = await fetch(`${url}/${path}`).then((response) => response.json());
        }
      }
      await until("every visit is told", () => requests("/full").count === VISITS);
      await until("what is repeated is told", () => findings().length >= 3);
    });
    afterAll(async () => {
      await app.stop();
      await Promise.all([mariadb.stop(), sink.close()]);
    });

    const requests = (route: string) => merge(sink.select("tidemark.db.queries_per_request", { "http.route": route }));
    const findings = () =>
      sink.logs.filter(({ event }) => event === "tidemark.db.n_plus_one").map((log) => log.attributes);
    const statements = (route: string, attributes: Record<string, string> = {}) =>
      merge(sink.select(DURATION, { "http.route": route, "db.system.name": "mysql", ...attributes })).count;

    it("answers as without the agent", () => {
      expect(answers).toMatchObject({
        promise: null,
        prepared: null,
        callbacks: null,
        events: [{ title: "secret" }],
        wrong: "ER_BAD_FIELD_ERROR",
        "prepared-wrong": "ER_NO_SUCH_TABLE",
        undefined: "TypeError",
        full: 6,
      });
      expect(app.output().stderr).toBe("");
    });

    it("times every statement by route, database and pool, whichever way it was run", () => {
      const where = { "db.namespace": "shop", "tidemark.db.alias": "shop", "db.query.summary": "SELECT books" };
      for (const route of ["/promise", "/prepared", "/callbacks", "/fan-out"]) {
        expect(statements(route, where), route).toBe(VISITS * LINES);
        expect(requests(route).sum, route).toBe(VISITS * LINES);
      }
      expect(statements("/events", where)).toBe(VISITS);
      expect(statements("/full")).toBe(VISITS * 34);
    });

    it("tells a failed statement by MySQL's code", () => {
      expect(statements("/wrong", { "error.type": "ER_BAD_FIELD_ERROR" })).toBe(VISITS);
      expect(statements("/prepared-wrong", { "error.type": "ER_NO_SUCH_TABLE" })).toBe(VISITS);
      expect(statements("/undefined", { "error.type": "TypeError" })).toBe(VISITS);
    });

    it("keeps values to itself, in double quotes too", () => {
      const texts = sink
        .select(DURATION, { "http.route": "/literals" })
        .map(({ attributes }) => attributes["db.query.text"]);
      expect(new Set(texts)).toEqual(new Set(["SELECT title FROM books WHERE title = ? OR title = ?"]));
      expect(JSON.stringify([sink.points, sink.spans, sink.logs]).includes("secret")).toBe(false);
    });

    it("names the three pages that repeat a statement, and no fan-out", () => {
      const found = findings().map((attributes) => [
        attributes["http.route"],
        attributes["tidemark.db.site"],
        attributes["tidemark.db.repeats"],
      ]);
      expect(found.sort()).toEqual([
        ["/callbacks", expect.stringMatching(/^drivers\/mysql\.mjs:\d+ byCallbacks$/), LINES],
        ["/prepared", expect.stringMatching(/^drivers\/mysql\.mjs:\d+ prepared$/), LINES],
        ["/promise", expect.stringMatching(/^drivers\/mysql\.mjs:\d+ oneByOne$/), LINES],
      ]);
    });

    it("tells the pool as a resource: its size, its waits, whom it turned away", async () => {
      const pool = { "tidemark.resource.kind": "db_pool", "tidemark.resource.name": "shop" };
      const highest = (metric: string) => Math.max(...sink.select(metric, pool).map(({ value }) => value));
      expect(highest("tidemark.resource.capacity")).toBe(4);
      const rejected = sink.select("tidemark.resource.rejected", { ...pool, "tidemark.rejected.reason": "full" });
      expect(rejected.reduce((sum, { value }) => sum + value, 0)).toBe(6 * VISITS);
      const client = { "db.client.connection.pool.name": "shop", "db.system.name": "mysql" };
      const waits = merge(sink.select("db.client.connection.wait_time", client));
      expect(waits.count).toBe(merge(sink.select("tidemark.resource.wait", pool)).count);
      // The last of thirty that wait for four connections of 20 ms each.
      expect(waits.max).toBeGreaterThan(0.12);
      expect(sink.select("db.client.connection.max", client).at(-1)?.value).toBe(4);
      const idle = { ...client, "db.client.connection.state": "idle" };
      await until("all four are idle", () => sink.select("db.client.connection.count", idle).at(-1)?.value === 4);
    });

    if (traces === "1")
      it("hangs a span of each statement below that of the request that repeated it", async () => {
        const root = await until("the kept trace", () =>
          sink.spans.find((span) => span.kind === SERVER && span.attributes["http.route"] === "/promise"),
        );
        const handler = sink.spans.find((span) => span.parentSpanId === root.spanId)!;
        const own = sink.spans.filter((span) => span.scope === "@opentelemetry/instrumentation-mysql2");
        const below = own.filter((span) => [root.spanId, handler.spanId].includes(span.parentSpanId!));
        expect(below).toHaveLength(LINES);
        for (const span of below) expect(span.kind).toBe(CLIENT);
      });
  });
}
