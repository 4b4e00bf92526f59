import { describe, expect, it } from "vitest";
import type { Description, Frame } from "../../src/shared/description.ts";
import { culpritOf, Stall } from "../../src/worker/stall.ts";

const frame = (name: string, line = 1, file = "/srv/app.js"): Frame => ({ function: name, file, line, column: 1 });
const library = frame("parse", 9, "/srv/node_modules/parser/index.js");
const builtin = frame("emit", 1, "node:events");

/** The answer at 1,200 of a thread that was free at 1,000 and has been active for `activeMs` since then. */
function description(activeMs: number, startsMs: readonly number[] = []): Description {
  return {
    atMs: 1200,
    frames: [frame("block")],
    route: undefined,
    traceId: undefined,
    spanId: undefined,
    inFlight: {
      count: startsMs.length,
      startsMs,
      routeIndexes: startsMs.map((_, index) => index % 2),
      routes: ["/a", null],
      oldest: startsMs.map((startMs) => ({ route: "/a", method: "GET", traceId: undefined, startMs })),
    },
    sinceTick: { tickMs: 900, activeMs },
    heldMs: 0.2,
  };
}

/** Noticed by a probe of 1,100; the one before was answered at 1,000. */
function stall(sample: Description, askedMs = 1200): Stall {
  const made = new Stall(7, 1100, 1000);
  made.samples.push({ description: sample, askedMs });
  made.endMs = 1400;
  return made;
}

describe("a stall", () => {
  it("begins where the loop went from idle to active, no earlier than its last answer, no later than the probe", () => {
    expect(stall(description(160)).beginMs).toBe(1040);
    expect(stall(description(290)).beginMs).toBe(1000);
    expect(stall(description(50)).beginMs).toBe(1100);
  });

  it("begins half way between the two where nobody was asked", () => {
    expect(new Stall(7, 1100, 1000).beginMs).toBe(1050);
  });

  it("costs a request the time from its begin, or the request's own, to its end", () => {
    const victims = stall(description(160, [500, 1040, 1300, 1400, 1500])).victims(1400);
    expect(victims).toMatchObject({ count: 3, lostMs: 360 + 360 + 100 });
    expect(victims?.routes).toEqual([
      { route: "/a", requests: 2, lostMs: 360 + 100 },
      { route: null, requests: 1, lostMs: 360 },
    ]);
    expect(victims?.oldest.map(({ lostMs }) => lostMs)).toEqual([360, 360, 100]);
  });

  it("takes those that are not told one by one to be like the others", () => {
    const told = description(160, [500, 600]);
    const victims = stall({ ...told, inFlight: { ...told.inFlight, count: 20 } }).victims(1400);
    expect(victims).toMatchObject({ count: 20, lostMs: 7200 });
  });

  it("has no victims where nobody could be asked: absent, not zero", () => {
    expect(new Stall(7, 1100, 1000).victims(1400)).toBeUndefined();
  });

  it("is not shown by an answer that waited for a native call, or came after its end", () => {
    expect(stall(description(160)).timely).toHaveLength(1);
    expect(stall(description(160), 1100).timely).toHaveLength(0);
    expect(stall({ ...description(160), atMs: 1401 }, 1401).timely).toHaveLength(0);
  });
});

describe("a culprit", () => {
  it("is the innermost function of the application's own", () => {
    expect(culpritOf([[builtin, library, frame("render"), frame("handle"), builtin]])?.function).toBe("render");
  });

  it("is what most samples are in, else the innermost call they share", () => {
    const handle = frame("handle");
    const a = [frame("a"), handle];
    const b = [frame("b"), handle];
    expect(culpritOf([a, b, a])?.function).toBe("a");
    expect(culpritOf([a, b])?.function).toBe("handle");
    expect(culpritOf([a, [frame("c")]])?.function).toBe("a");
  });

  it("is the library where none of the application's functions is on the stack, and nobody in native code", () => {
    expect(culpritOf([[builtin, library]])).toBe(library);
    expect(culpritOf([[builtin]])).toBeUndefined();
    expect(culpritOf([])).toBeUndefined();
  });
});
