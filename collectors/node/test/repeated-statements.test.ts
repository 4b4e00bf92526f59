import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { RepeatedStatements } from "../src/main/repeated-statements.ts";
import { RequestContext } from "../src/main/request-context.ts";
import { SeriesTable } from "../src/main/series.ts";
import { Control } from "../src/shared/control.ts";
import type { AgentEvent } from "../src/shared/messages.ts";

const repeatedTo = (events: AgentEvent[]) =>
  new RepeatedStatements(
    new SeriesTable(new Control()),
    (event) => events.push(event),
    () => {},
  );
const request = {} as IncomingMessage;

function check(run: (context: RequestContext) => void): AgentEvent[] {
  const events: AgentEvent[] = [];
  const context = new RequestContext(request, 0);
  run(context);
  repeatedTo(events).check(context, "/orders");
  return events;
}

function statement() {
  return { text: "SELECT 1", operation: "SELECT", summary: "SELECT lines" };
}

describe("repeated statements", () => {
  it("are told once, with their number and the place that asks for them", () => {
    const lines = statement();
    const events = check(function loadLines(context) {
      for (let run = 0; run < 7; run++) {
        context.queryStarted(run, lines);
        context.queryEnded(run + 0.5, lines);
      }
    });
    expect(events).toHaveLength(1);
    expect(events[0]?.body).toBe("/orders ran SELECT lines 7 times (3.5 ms), one after the other");
    expect(events[0]?.attributes).toMatchObject({ "tidemark.db.repeats": 7, "tidemark.db.repeats.time": 0.0035 });
    expect(events[0]?.attributes["tidemark.db.site"]).toMatch(/repeated-statements\.test\.ts:\d+ loadLines$/);
  });

  it("are told by the place of each route", () => {
    const lines = statement();
    const events: AgentEvent[] = [];
    const repeated = repeatedTo(events);
    for (const route of ["/first", "/second"]) {
      const context = new RequestContext({ route: { path: route } } as unknown as IncomingMessage, 0);
      for (let run = 0; run < 5; run++) {
        context.queryStarted(run, lines);
        context.queryEnded(run + 0.5, lines);
      }
      repeated.check(context, route);
    }
    expect(events.map(({ attributes }) => attributes["http.route"])).toEqual(["/first", "/second"]);
  });

  it("do not count when a pool hands out connections one by one to what was asked at once", () => {
    const lines = statement();
    const events = check((context) => {
      for (let run = 0; run < 20; run++) context.waitStarted(0);
      for (let run = 0; run < 20; run++) {
        context.waitEnded(run);
        context.queryStarted(run, lines);
        context.queryEnded(run + 0.5, lines);
      }
    });
    expect(events).toEqual([]);
  });

  it("do not count as transactions", () => {
    const begin = { text: "BEGIN", operation: "BEGIN", summary: "BEGIN" };
    const events = check((context) => {
      for (let run = 0; run < 7; run++) {
        context.queryStarted(run, begin);
        context.queryEnded(run + 0.5, begin);
      }
    });
    expect(events).toEqual([]);
  });

  it("do not count when they run side by side, nor below five", () => {
    const lines = statement();
    const fanOut = check((context) => {
      for (let run = 0; run < 20; run++) context.queryStarted(0, lines);
    });
    const few = check((context) => {
      for (let run = 0; run < 4; run++) {
        context.queryStarted(run, lines);
        context.queryEnded(run + 0.5, lines);
      }
    });
    expect([...fanOut, ...few]).toEqual([]);
  });
});
