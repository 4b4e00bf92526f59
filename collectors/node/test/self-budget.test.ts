import { describe, expect, it } from "vitest";
import { SelfBudget } from "../src/worker/self-budget.ts";

/** Lets a thread run for some seconds at a share of one core, looked at four times a second. */
function thread() {
  let nowMs = 1000;
  let used = 0.3; // what its start took
  const budget = new SelfBudget(() => used);
  budget.keep(nowMs);
  return {
    budget,
    run(share: number, seconds: number): void {
      for (let tick = 0; tick < 4 * seconds; tick++) {
        nowMs += 250;
        used += share / 4;
        budget.keep(nowMs);
      }
    },
  };
}

describe("the agent's own budget", () => {
  it("leaves a thread alone that stays at 2.5 % of a core, for an hour", () => {
    const { budget, run } = thread();
    run(0.025, 3600);
    expect(budget.throttled).toBe(0);
  });

  it("gives up half of the probes above 3 % over 60 s, and all above 6 %", () => {
    const { budget, run } = thread();
    run(0.04, 44);
    expect(budget.throttled).toBe(0);
    run(0.04, 16);
    expect(budget.throttled).toBe(0.5);
    run(0.07, 60);
    expect(budget.throttled).toBe(1);
  });

  it("does not wait for the 60 s to pass when what they allow is spent, and judges the new level anew", () => {
    const { budget, run } = thread();
    run(0.5, 4);
    expect(budget.throttled).toBe(0.5);
    run(0.5, 5);
    expect(budget.throttled).toBe(0.5);
    run(0.5, 4);
    expect(budget.throttled).toBe(1);
  });

  it("takes one level back after ten quiet minutes, and none while it is still dear", () => {
    const { budget, run } = thread();
    run(0.5, 15);
    run(0.02, 1200);
    expect(budget.throttled).toBe(1);
    run(0.005, 60);
    expect(budget.throttled).toBe(0.5);
    run(0.005, 500);
    expect(budget.throttled).toBe(0.5);
    run(0.005, 110);
    expect(budget.throttled).toBe(0);
  });

  it("does nothing where the thread's time cannot be read", () => {
    const budget = new SelfBudget(() => undefined);
    for (let nowMs = 0; nowMs < 600_000; nowMs += 250) budget.keep(nowMs);
    expect(budget.throttled).toBe(0);
  });
});
