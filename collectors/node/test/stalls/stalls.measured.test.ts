import { afterAll, beforeAll, describe, expect, it, type RunnerTestCase } from "vitest";
import { type AgentProcess, addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "../agent-process.ts";
import { type Sink, startSink } from "../otlp-sink.ts";

/** The watchdog leaves the first 3 s, in which modules are loaded, alone; and a second after each stall. */
const GRACE_S = 3.5;
const APART_MS = 1100;
const pause = (ms: number) => new Promise((passed) => setTimeout(passed, ms));

/** An application that blocks on request, once the watchdog watches. */
async function startBlocking(environment: Record<string, string> = {}, node = process.execPath, preload = PRELOAD) {
  const sink = await startSink();
  const app = runWithAgent("blocking.mjs", sink.url, environment, preload, node);
  const url = await addressOf(app);
  await until("the watchdog watches", () => (sink.select("process.uptime").at(-1)?.value ?? 0) > GRACE_S);
  const ask = (path: string) => fetch(url + path).then(async (response) => (await response.text()) || null);
  return { sink, app, ask };
}

const stallOf = (sink: Sink, name: string) =>
  sink.logs.find(
    ({ attributes }) => attributes["code.function.name"] === name && attributes["tidemark.stall.ended"] === true,
  );

describe.each(TEST_NODES)("stalls on Node %s", (_version, node) => {
  let sink: Sink;
  let app: AgentProcess;
  let ask: (path: string) => Promise<string | null>;
  let asked = 0;
  let askedAt = 0;
  /** Where the machine has no core for it, a stall is nobody's fault: then it blocks once more. */
  const blocked = <T>(path: string, probe: () => T | undefined | 0) => {
    asked = 0;
    return until(`the stall of ${path}`, async () => {
      asked += 1;
      await ask(path);
      await pause(APART_MS);
      return probe() || undefined;
    });
  };
  type Stall = NonNullable<ReturnType<typeof stallOf>>;
  let last: Stall | undefined;
  /** A stall in `spin` beside two other requests: anew for a later try, which takes a minute, as one place is told once in it. */
  const spin = async (task: Readonly<RunnerTestCase>): Promise<Stall> => {
    if (last !== undefined && !task.result?.retryCount) return last;
    last = await until("the stall in spin", async () => {
      sink.logs.length = 0;
      askedAt = Date.now();
      const waiting = [ask("/wait/1500"), ask("/wait/1600")];
      await until("two requests are in flight", () => sink.select("http.server.active_requests").at(-1)?.value === 2);
      await ask("/spin/400");
      await Promise.all(waiting);
      return stallOf(sink, "spin");
    });
    await pause(APART_MS);
    return last;
  };
  beforeAll(async () => {
    ({ sink, app, ask } = await startBlocking({ TIDEMARK_EXPORT_INTERVAL: "0.2" }, node));
    await ask("/never-found");
  });
  afterAll(async () => {
    await app.stop();
    await sink.close();
  });

  it("name function, file, line, route and trace", async ({ task }) => {
    const spun = await spin(task);
    expect(spun.event).toBe("tidemark.stall");
    expect(spun.attributes).toMatchObject({
      "http.route": "/spin/:ms",
      "tidemark.stall.late": false,
      "tidemark.stall.ended": true,
    });
    expect(spun.attributes["code.file.path"]).toMatch(/\/apps\/blocking\.mjs$/);
    expect(spun.attributes["code.line.number"]).toBeGreaterThanOrEqual(12);
    expect(spun.attributes["code.line.number"]).toBeLessThanOrEqual(22);
    expect(spun.attributes["code.stacktrace"]).toMatch(/;spin \([^;]*blocking\.mjs:\d+:\d+\)/);
    expect(spun.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(spun.attributes["tidemark.stall.duration"]).toBeGreaterThan(0.35);
  });

  it("name the other requests in flight, and what each lost", async ({ task }) => {
    const spun = await spin(task);
    expect(spun.attributes["tidemark.stall.victims"]).toBe(2);
    const routes = JSON.parse(String(spun.attributes["tidemark.stall.victims.routes"]));
    expect(routes).toMatchObject([{ route: "/wait/:ms", requests: 2 }]);
    const requests = JSON.parse(String(spun.attributes["tidemark.stall.victims.requests"]));
    expect(requests).toHaveLength(2);
    for (const request of requests) {
      expect(request).toMatchObject({ method: "GET", route: "/wait/:ms", trace_id: expect.stringMatching(/^\w{32}$/) });
      expect(request.trace_id).not.toBe(spun.traceId);
      expect(request.lost).toBeCloseTo(Number(spun.attributes["tidemark.stall.duration"]), 1);
    }
    const lost = sink.select("tidemark.eventloop.lost_time", { "code.function.name": "spin" });
    const total = lost.reduce((sum, { value, receivedMs }) => (receivedMs > askedAt ? sum + value : sum), 0);
    expect(total).toBeCloseTo(Number(spun.attributes["tidemark.stall.victims.lost_time"]), 6);
  });

  it("mark what could only be asked once a native call had returned", async () => {
    const { attributes } = await blocked("/program", () => stallOf(sink, "runProgram"));
    expect(attributes).toMatchObject({ "tidemark.stall.late": true });
  });

  it("count a block once, whatever called it: no two points of one export have the same attributes", async () => {
    const count = () =>
      sink
        .select("tidemark.eventloop.blocks", { "http.route": "/later/:ms", "tidemark.stall.late": false })
        .reduce((sum, { value }) => sum + value, 0);
    const blocks = await blocked("/later/300", count);
    expect(blocks).toBeLessThanOrEqual(asked);
    const seen = sink.points.map(({ metric, attributes, timeMs }) => JSON.stringify([metric, attributes, timeMs]));
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("blame no function when the whole process stood still", async () => {
    app.child.kill("SIGSTOP");
    await pause(1200);
    app.child.kill("SIGCONT");
    const starved = await until("the stall", () =>
      sink.logs.find(
        ({ attributes }) =>
          attributes["tidemark.stall.reason"] === "starved" && Number(attributes["tidemark.stall.duration"]) > 1,
      ),
    );
    expect(Object.keys(starved.attributes).filter((name) => name.startsWith("code."))).toEqual([]);
    expect(starved.attributes["tidemark.stall.duration"]).toBeLessThan(2);
    await pause(APART_MS);
  });

  it("are left alone once somebody may be debugging", async () => {
    const before = sink.logs.length;
    await ask("/inspect");
    await pause(APART_MS); // the agent looks once a second
    await ask("/parse");
    await ask("/wait/1000");
    expect(sink.logs.length).toBe(before);
    expect(app.output().stderr).toMatch(/^Debugger listening on \S+\nFor help, see: \S+\n$/);
  });

  it("counts no error of its own", () => {
    expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
  });
});
