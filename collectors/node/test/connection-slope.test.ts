import { describe, expect, it } from "vitest";
import { ConnectionSlope } from "../src/worker/connection-slope.ts";

const BASE = 60e6;
const noise = (index: number) => ((index * 7919) % 13) * 20_000;

describe("memory per connection", () => {
  it("is the slope of a rising stretch, whatever the base", () => {
    const slope = new ConnectionSlope();
    for (let connections = 0; connections <= 1000; connections += 25) {
      slope.add(connections, BASE + connections * 10_240 + noise(connections));
    }
    expect(slope.slope?.bytes).toBeGreaterThan(10_240 * 0.97);
    expect(slope.slope?.bytes).toBeLessThan(10_240 * 1.03);
    expect(slope.slope?.fit).toBeGreaterThan(0.95);
    expect(slope.slope?.span).toBe(1000);
  });

  it("does not follow memory down: after the connections close it starts anew", () => {
    const slope = new ConnectionSlope();
    for (let connections = 0; connections <= 400; connections += 20)
      slope.add(connections, BASE + connections * 20_000);
    slope.add(100, BASE + 400 * 20_000);
    expect(slope.slope).toBeUndefined();
  });

  it("has no answer when connections hardly vary or memory does not follow them", () => {
    const steady = new ConnectionSlope();
    for (let index = 0; index < 40; index++) steady.add(1000 + index, BASE + index * 10_000);
    expect(steady.slope).toBeUndefined();
    const unrelated = new ConnectionSlope();
    for (let index = 0; index < 40; index++) unrelated.add(index * 10, BASE + (index % 2) * 30e6);
    expect(unrelated.slope).toBeUndefined();
  });
});
