import { describe, expect, it } from "vitest";
import type { Frame } from "../../src/shared/description.ts";
import type { AgentEvent } from "../../src/shared/messages.ts";
import { Stall } from "../../src/worker/stall.ts";
import { StallReports } from "../../src/worker/stall-reports.ts";

const THRESHOLD_MS = 100;
const frame = (name: string, line = 1, file = "/srv/app.js"): Frame => ({ function: name, file, line, column: 1 });

function stall(frames: readonly Frame[], { ended = true, durationMs = 300, route = "/r" } = {}): Stall {
  const endMs = performance.now();
  const made = new Stall(1, endMs - durationMs, endMs - durationMs);
  if (ended) made.endMs = endMs;
  const atMs = endMs - durationMs / 2;
  const inFlight = {
    count: 2,
    startsMs: [-1000, -1000],
    routeIndexes: [0, 0],
    routes: ["/v"],
    oldest: [{ route: "/v", method: "GET", traceId: "t", startMs: -1000 }],
  };
  const where = { route, traceId: "ab".repeat(16), spanId: "cd".repeat(8), sinceTick: undefined };
  made.samples.push({ description: { atMs, frames, inFlight, heldMs: 0.1, ...where }, askedMs: atMs });
  return made;
}

function reporting() {
  const events: AgentEvent[] = [];
  return {
    events,
    reports: new StallReports(
      THRESHOLD_MS,
      (frames) => frames,
      (event) => events.push(event),
    ),
  };
}

describe("reports of stalls", () => {
  it("count blocks by what they tell of the culprit: no two counts have the same attributes", () => {
    const { events, reports } = reporting();
    const callers = ["a", "b"].map((name, line) => frame(name, line));
    for (const caller of callers) reports.final(stall([frame("block", 5), caller]));
    reports.final(stall([frame("block", 6)]));
    expect(reports.culprits.map(({ attributes, blocks }) => ({ ...attributes, blocks }))).toEqual([
      {
        "code.function.name": "block",
        "code.file.path": "/srv/app.js",
        "http.route": "/r",
        "tidemark.stall.late": false,
        "tidemark.stall.reason": "unknown",
        blocks: 3,
      },
    ]);
    expect(events).toHaveLength(1); // once a minute
  });

  it("tell culprit, duration and victims", () => {
    const { events, reports } = reporting();
    reports.final(stall([frame("block", 5), frame("handle", 9)]));
    expect(events[0]).toMatchObject({
      name: "tidemark.stall",
      body: "event loop blocked for 0.300 s in block (/srv/app.js:5:1); 2 other requests lost 0.600 s",
      traceId: "ab".repeat(16),
      attributes: {
        "tidemark.stall.ended": true,
        "code.line.number": 5,
        "code.stacktrace": "handle (/srv/app.js:9:1);block (/srv/app.js:5:1)",
        "tidemark.stall.victims": 2,
        "tidemark.stall.victims.routes": '[{"route":"/v","requests":2,"lost":0.6}]',
        "tidemark.stall.victims.requests": '[{"method":"GET","route":"/v","trace_id":"t","lost":0.3}]',
      },
    });
    expect(events[0]?.attributes["tidemark.stall.duration"]).toBeCloseTo(0.3, 6);
    expect(events[0]?.attributes["tidemark.stall.victims.lost_time"]).toBeCloseTo(0.6, 6);
    expect(reports.culprits[0]?.lostSeconds).toBeCloseTo(0.6, 6);
  });

  it("tell a stall that goes on, and the same one again at its end, with the same time; it counts then", () => {
    const { events, reports } = reporting();
    const long = stall([frame("block")], { ended: false, durationMs: 1000 });
    reports.early(long);
    expect(reports.culprits).toEqual([]);
    long.endMs = performance.now() + 1000;
    reports.final(long);
    expect(events.map(({ attributes }) => attributes["tidemark.stall.ended"])).toEqual([false, true]);
    expect(events[0]?.timeMs).toBe(events[1]?.timeMs);
    expect(reports.culprits.map(({ blocks }) => blocks)).toEqual([1]);
  });

  it("blame nobody for a process that stood still, or had no core to run on", () => {
    const { events, reports } = reporting();
    const starved = stall([frame("innocent")]);
    starved.shares = { running: 0.2, waiting: 0.8 }; // 60 of 300 ms: with a core of its own no stall
    reports.final(starved);
    reports.final(Stall.ofFreeze(performance.now() - 500, performance.now()));
    expect(events).toHaveLength(1);
    expect(events[0]?.attributes["tidemark.stall.reason"]).toBe("starved");
    expect(JSON.stringify(events)).not.toMatch(/innocent|code\./);
    expect(reports.culprits).toEqual([
      expect.objectContaining({
        blocks: 2,
        attributes: { "tidemark.stall.late": false, "tidemark.stall.reason": "starved" },
      }),
    ]);
  });

  it("blame a function that would have blocked the loop also on a free machine", () => {
    const { events, reports } = reporting();
    const slowed = stall([frame("block")], { durationMs: 2000 });
    slowed.shares = { running: 0.2, waiting: 0.8 };
    reports.final(slowed);
    expect(events[0]?.attributes).toMatchObject({ "tidemark.stall.reason": "cpu", "code.function.name": "block" });
  });

  it("tell a culprit's next stall within the minute only if it is more than twice as long", () => {
    const { events, reports } = reporting();
    for (const durationMs of [150, 290, 310, 600]) reports.final(stall([frame("block")], { durationMs }));
    expect(events.map(({ body }) => body.slice(0, 30))).toEqual([
      "event loop blocked for 0.150 s",
      "event loop blocked for 0.310 s",
    ]);
  });

  it("count past a hundred culprits as one, and tell thirty an hour", () => {
    const { events, reports } = reporting();
    for (let index = 0; index < 150; index++) reports.final(stall([frame(`f${index}`)]));
    expect(reports.culprits).toHaveLength(101);
    expect(reports.culprits.at(-1)).toMatchObject({ attributes: { "code.function.name": "_other" }, blocks: 50 });
    expect(events).toHaveLength(30);
  });
});
