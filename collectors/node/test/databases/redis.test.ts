import { afterAll, beforeAll, expect, it } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_TIERS, until } from "../agent-process.ts";
import { merge, type Sink, startSink } from "../otlp-sink.ts";
import { type DatabaseServer, describeDatabase, startDatabase } from "./servers.ts";

const DURATION = "db.client.operation.duration";
const SERVER = 2;
const VISITS = 3;

for (const { tiers, traces, program } of TEST_TIERS) {
  describeDatabase("redis", `Redis by ioredis and node-redis, with ${tiers}`, () => {
    let redis: DatabaseServer;
    let sink: Sink;
    let app: AgentProcess;
    let url: string;
    const answers: Record<string, unknown> = {};

    beforeAll(async () => {
      [redis, sink] = await Promise.all([startDatabase("redis"), startSink()]);
      const environment = { REDIS_SOCKET: redis.address, TIDEMARK_TRACES: traces, TIDEMARK_TRACE_RATIO: "1" };
      app = runWithAgent("../drivers/caches.mjs", sink.url, environment, PRELOAD, program);
      url = await addressOf(app);
      for (let visit = 0; visit < VISITS; visit++) {
        for (const path of [
          "ioredis",
          "ioredis-pipeline",
          "ioredis-wrong",
          "ioredis-callback",
          "redis",
          "redis-multi",
        ]) {
          answers[path] = await fetch(`${url}/${path}`).then((response) => response.json());
        }
        for (const path of ["redis-wrong", "slow", "none"]) {
          answers[path] = await fetch(`${url}/${path}`).then((response) => response.json());
        }
      }
      await until("every visit is told", () =>
        ["/slow", "/none"].every(
          (route) => phase(route, "view").count === VISITS && commands("/redis-wrong") === VISITS,
        ),
      );
    });
    afterAll(async () => {
      await app.stop();
      await Promise.all([redis.stop(), sink.close()]);
    });

    const select = (attributes: Record<string, string>) =>
      sink.select(DURATION, { "db.system.name": "redis", ...attributes });
    const commands = (route: string, attributes: Record<string, string> = {}) =>
      merge(select({ "http.route": route, ...attributes })).count;
    const phase = (route: string, name: string) =>
      merge(sink.select("tidemark.http.server.phase.duration", { "http.route": route, "tidemark.phase": name }));

    it("answers as without the agent", () => {
      expect(answers).toMatchObject({
        ioredis: ["OK", "secret"],
        "ioredis-pipeline": [
          [null, expect.any(Number)],
          [null, expect.any(Number)],
        ],
        "ioredis-wrong": { name: "ReplyError", message: expect.stringMatching(/^WRONGTYPE/) },
        "ioredis-callback": "secret",
        redis: ["OK", "secret"],
        "redis-multi": [expect.any(Number), expect.any(Number)],
      });
      expect(app.output().stderr).toBe("");
    });

    it("times every command by route, by its name alone", () => {
      for (const driver of ["ioredis", "redis"]) {
        for (const name of ["GET", "SET"]) {
          expect(commands(`/${driver}`, { "db.operation.name": name, "db.query.summary": name }), driver).toBe(VISITS);
        }
      }
      expect(commands("/ioredis-pipeline", { "db.operation.name": "INCR" })).toBe(2 * VISITS);
      expect(commands("/redis-multi", { "db.operation.name": "INCR" })).toBe(2 * VISITS);
      expect(commands("/ioredis-callback", { "db.operation.name": "GET" })).toBe(VISITS);
      expect(JSON.stringify([sink.points, sink.spans, sink.logs]).includes("secret")).toBe(false);
    });

    it("tells failed commands by their class", () => {
      expect(commands("/ioredis-wrong", { "db.operation.name": "LPUSH", "error.type": "ReplyError" })).toBe(VISITS);
      const failed = select({ "http.route": "/redis-wrong", "db.operation.name": "LPUSH" });
      for (const { attributes } of failed) expect(attributes["error.type"]).toMatch(/Error$/);
      expect(merge(failed).count).toBe(VISITS);
    });

    it("is a request's cache phase, and no statement of it", () => {
      expect(phase("/redis", "cache").count).toBe(VISITS);
      expect(phase("/none", "cache").count).toBe(0);
      expect(merge(sink.select("tidemark.db.queries_per_request", { "http.route": "/redis" })).sum).toBe(0);
      const slow = merge(select({ "http.route": "/slow" }));
      expect(slow.sum).toBeGreaterThan(VISITS * 0.2);
      expect(phase("/slow", "cache").sum).toBeCloseTo(slow.sum, 2);
      expect(sink.logs.filter(({ event }) => event === "tidemark.db.n_plus_one")).toEqual([]);
    });

    it.each(traces === "1" ? ["ioredis", "redis"] : [])(
      "hangs spans of %s below their request's, by command alone",
      async (driver) => {
        const scope = `@opentelemetry/instrumentation-${driver}`;
        const root = await until("the request's span", () =>
          sink.spans.find(({ kind, attributes }) => kind === SERVER && attributes["http.route"] === `/${driver}`),
        );
        const handler = sink.spans.find(({ parentSpanId }) => parentSpanId === root.spanId)!;
        const own = sink.spans.filter((span) => span.scope === scope && span.parentSpanId === handler.spanId);
        expect(own.map(({ attributes }) => String(attributes["db.query.text"]).toUpperCase()).sort()).toEqual([
          "GET",
          "SET",
        ]);
      },
    );

    it("lets a failure that nobody handles end the process, as without it", async () => {
      await fetch(`${url}/die`).catch(() => {});
      expect(await app.ended).toMatchObject({ code: 1 });
      expect(app.output().stderr).toContain("WRONGTYPE");
    });
  });
}
