import { describe, expect, it } from "vitest";
import { schedule, seededRandom } from "../../src/load/arrivals.ts";
import { affordableSockets } from "../../src/load/sockets.ts";
import { STORY_SECONDS, type Stream, story, storyOfEqualPhases, TARGETS } from "../../src/load/story.ts";

const everyone = new Set(TARGETS);

describe("the story", () => {
  it("has the seven phases in two minutes", () => {
    const phases = story();
    expect(phases.map((phase) => phase.name)).toEqual([
      "calm",
      "slow-database",
      "cpu-burst",
      "hashing",
      "n-plus-one",
      "websockets",
      "recovery",
    ]);
    expect(phases.reduce((sum, phase) => sum + phase.seconds, 0)).toBe(STORY_SECONDS);
  });

  it("fits once into the given seconds", () => {
    expect(story(150).reduce((sum, phase) => sum + phase.seconds, 0)).toBeCloseTo(150, 9);
    expect(storyOfEqualPhases(3).map((phase) => phase.seconds)).toEqual([3, 3, 3, 3, 3, 3, 3]);
  });

  it("refuses a length that shows nothing", () => {
    expect(() => story(5)).toThrow(RangeError);
    expect(() => storyOfEqualPhases(0)).toThrow(/phase "calm"/);
    expect(() => story(Number.NaN)).toThrow(RangeError);
  });

  it("leaves the same queue behind a slow database however long the phase is", () => {
    for (const seconds of [60, 120, 600]) {
      const phase = story(seconds)[1]!;
      const slow = phase.streams.find((stream) => stream.path.startsWith("/api/slow"))!;
      const overload = (slow.ratePerSecond! - 10) * phase.seconds * slow.until!;
      expect(overload).toBeCloseTo(30, 6);
    }
  });

  it("gives Node and Django the same load in every phase", () => {
    for (const phase of story()) {
      const arrivals = schedule(phase.streams, phase.seconds, everyone, seededRandom(1));
      const paths = (target: string) =>
        arrivals
          .filter((arrival) => arrival.target === target)
          .map((arrival) => arrival.stream.path)
          .sort();
      expect(paths("node")).toEqual(paths("django"));
      expect(paths("node").length).toBeGreaterThan(0);
    }
  });
});

describe("arrivals", () => {
  const stream: Stream = { path: "/", targets: ["node", "django"], ratePerSecond: 8, until: 0.5 };

  it("are the same for the same seed, in order, and end when the stream does", () => {
    const once = schedule([stream], 10, everyone, seededRandom(7));
    expect(schedule([stream], 10, everyone, seededRandom(7))).toEqual(once);
    expect(schedule([stream], 10, everyone, seededRandom(8))).not.toEqual(once);
    expect(once).toHaveLength(80);
    const times = once.map((arrival) => arrival.atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).toBeLessThan(5000);
  });

  it("come at random gaps, as many people asking independently do", () => {
    const long = schedule([{ ...stream, targets: ["node"], until: 1 }], 1000, everyone, seededRandom(1));
    const gaps = long.slice(1).map((arrival, index) => arrival.atMs - long[index]!.atMs);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    // The gaps of a Poisson process scatter as widely as they are long; a timer's do not scatter.
    expect(deviation / mean).toBeGreaterThan(0.95);
    expect(deviation / mean).toBeLessThan(1.05);
  });

  it("take turns between targets when they come in bursts", () => {
    const burst: Stream = { path: "/", targets: ["node", "django"], burst: { size: 3, everySeconds: 2 } };
    const found = schedule([burst], 4, everyone, seededRandom(1)).map(({ atMs, target }) => `${target} ${atMs}`);
    expect(found).toEqual(["node 0", "django 1000", "node 2000", "django 3000"].flatMap((each) => [each, each, each]));
  });

  it("leave out a target that does not take part", () => {
    const found = schedule([stream], 10, new Set(["django" as const]), seededRandom(1));
    expect(new Set(found.map((arrival) => arrival.target))).toEqual(new Set(["django"]));
  });
});

describe("the number of WebSockets", () => {
  it("stays below the limit on open files", () => {
    expect(affordableSockets(500, 2, 20_000)).toBe(500);
    expect(affordableSockets(500, 2, 1024)).toBe(212);
    expect(affordableSockets(500, 2, 256)).toBe(0);
    expect(affordableSockets(500, 2, Number.POSITIVE_INFINITY)).toBe(500);
  });
});
