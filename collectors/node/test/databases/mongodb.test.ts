import { afterAll, beforeAll, expect, it } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_TIERS, until } from "../agent-process.ts";
import { merge, type Sink, startSink } from "../otlp-sink.ts";
import { type DatabaseServer, describeDatabase, startDatabase } from "./servers.ts";

const DURATION = "db.client.operation.duration";
const SERVER = 2;
const CLIENT = 3;
const LINES = 7;
const VISITS = 2;

for (const { tiers, traces, program } of TEST_TIERS) {
  describeDatabase("mongodb", `mongodb on a server of its protocol, with ${tiers}`, () => {
    let mongodb: DatabaseServer;
    let sink: Sink;
    let app: AgentProcess;
    const answers: Record<string, unknown> = {};

    beforeAll(async () => {
      [mongodb, sink] = await Promise.all([startDatabase("mongodb"), startSink()]);
      const environment = { MONGODB_URL: mongodb.address, TIDEMARK_TRACES: traces, TIDEMARK_TRACE_RATIO: "0" };
      app = runWithAgent("../drivers/mongo.mjs", sink.url, environment, PRELOAD, program);
      const url = await addressOf(app);
      for (let visit = 0; visit < VISITS; visit++) {
        for (const path of ["one-by-one", "fan-out", "fields", "write", "aggregate", "wrong", "none"]) {
          answers[path] = await fetch(`${url}/${path}`).then((response) => response.json());
        }
      }
      await until("every visit is told", () => requests("/none").count === VISITS);
      await until("what is repeated is told", () => findings().length > 0);
    });
    afterAll(async () => {
      await app.stop();
      await Promise.all([mongodb.stop(), sink.close()]);
    });

    const requests = (route: string) => merge(sink.select("tidemark.db.queries_per_request", { "http.route": route }));
    const findings = () => sink.logs.filter(({ event }) => event === "tidemark.db.n_plus_one");
    const commands = (route: string) =>
      sink.select(DURATION, { "http.route": route, "db.system.name": "mongodb", "db.namespace": "shop" });

    it("answers as without the agent", () => {
      expect(answers).toMatchObject({
        "one-by-one": null,
        "fan-out": Array.from({ length: LINES }, (_, _id) => ({ _id })),
        write: 1,
        aggregate: [{ books: expect.any(Number) }],
        wrong: "MongoServerError",
      });
      expect(app.output().stderr).toBe("");
    });

    it("times every command by route, collection and fields, without values", () => {
      for (const route of ["/one-by-one", "/fan-out"]) {
        expect(merge(commands(route)).count, route).toBe(VISITS * LINES);
        expect(requests(route).sum, route).toBe(VISITS * LINES);
      }
      const texts = (route: string) => [
        ...new Set(commands(route).map(({ attributes }) => attributes["db.query.text"])),
      ];
      expect(texts("/one-by-one")).toEqual(["find books {_id}"]);
      expect(texts("/fields").sort()).toEqual(["find books {author}", "find books {title,author}"]);
      expect(texts("/write")).toEqual(["update books {_id}"]);
      expect(texts("/aggregate")).toEqual(["aggregate books {$match,$count}"]);
      expect(commands("/write")[0]?.attributes).toMatchObject({
        "db.operation.name": "update",
        "db.query.summary": "update books",
      });
      expect(JSON.stringify([sink.points, sink.spans, sink.logs]).includes("secret")).toBe(false);
    });

    it("tells failed commands", () => {
      expect(merge(commands("/wrong").filter(({ attributes }) => "error.type" in attributes)).count).toBe(VISITS);
    });

    it("names the page that repeats a command, and not the one that asks for all at once", () => {
      expect(findings().map(({ attributes }) => attributes["http.route"])).toEqual(["/one-by-one"]);
      const counted = sink.select("tidemark.db.n_plus_one").map(({ attributes }) => attributes["http.route"]);
      expect(new Set(counted)).toEqual(new Set(["/one-by-one"]));
      expect(findings()[0]?.attributes).toMatchObject({
        "tidemark.db.repeats": LINES,
        "tidemark.db.site": expect.stringMatching(/^drivers\/mongo\.mjs:\d+ oneByOne$/),
      });
    });

    if (traces === "1")
      it("hangs a span of each statement below that of the request that repeated it", async () => {
        const root = await until("the kept trace", () =>
          sink.spans.find((span) => span.kind === SERVER && span.attributes["http.route"] === "/one-by-one"),
        );
        const handler = sink.spans.find((span) => span.parentSpanId === root.spanId)!;
        const own = sink.spans.filter((span) => span.scope === "@opentelemetry/instrumentation-mongodb");
        const below = own.filter((span) => [root.spanId, handler.spanId].includes(span.parentSpanId!));
        expect(below).toHaveLength(LINES);
        for (const span of below) expect(span.kind).toBe(CLIENT);
      });
  });
}
