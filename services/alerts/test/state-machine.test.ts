import { describe, expect, it } from "vitest";
import { emptyRuleState, type Observation, type Policy, type RuleState, step } from "../src/state-machine.ts";

const POLICY: Policy = { op: ">", value: 10, forS: 20, keepS: 0, noData: "OK" };
const INTERVAL_S = 10;

const seen = (...values: [service: string, value: number][]): Observation => ({
  kind: "rows",
  rows: values.map(([service, value]) => ({ labels: { service }, value })),
});
const failed: Observation = { kind: "error", message: "connect ECONNREFUSED" };
const silence: Observation = { kind: "rows", rows: [] };

/** Evaluates one observation every ten seconds and says what changed, as `second state service`. */
function play(policy: Policy, observations: readonly (Observation | undefined)[]) {
  let state: RuleState = emptyRuleState();
  const changes: string[] = [];
  observations.forEach((observation, turn) => {
    if (!observation) return;
    const next = step(policy, state, observation, turn * INTERVAL_S * 1000, INTERVAL_S);
    state = next.state;
    for (const { state: to, instance, reason } of next.transitions) {
      changes.push(
        [turn * INTERVAL_S, to, instance.labels.service ?? "-", reason].filter((part) => part !== "").join(" "),
      );
    }
  });
  return { changes, state };
}

describe("a rule with a pending time", () => {
  it("is pending until the time has passed, fires, and recovers", () => {
    const { changes } = play(POLICY, [
      seen(["shop", 5]),
      seen(["shop", 11]),
      seen(["shop", 12]),
      seen(["shop", 13]),
      seen(["shop", 9]),
    ]);
    expect(changes).toEqual(["10 pending shop", "30 firing shop", "40 recovered shop"]);
  });

  it("forgets a condition that ended before its time, and counts from zero the next time", () => {
    const { changes } = play(POLICY, [
      seen(["shop", 11]),
      seen(["shop", 11]),
      seen(["shop", 1]),
      seen(["shop", 11]),
      seen(["shop", 11]),
    ]);
    expect(changes).toEqual(["0 pending shop", "20 inactive shop", "30 pending shop"]);
  });

  it("keeps label sets apart", () => {
    const { changes } = play(POLICY, [
      seen(["shop", 11], ["blog", 1]),
      seen(["shop", 11], ["blog", 11]),
      seen(["shop", 11], ["blog", 11]),
      seen(["shop", 1], ["blog", 11]),
    ]);
    expect(changes).toEqual([
      "0 pending shop",
      "10 pending blog",
      "20 firing shop",
      "30 recovered shop",
      "30 firing blog",
    ]);
  });

  it("does not count time in which nothing was evaluated", () => {
    const gap = Array.from({ length: 30 }, () => undefined);
    const { changes } = play(POLICY, [
      seen(["shop", 11]),
      ...gap,
      seen(["shop", 11]),
      seen(["shop", 11]),
      seen(["shop", 11]),
    ]);
    expect(changes).toEqual(["0 pending shop", "330 firing shop"]);
  });
});

it("fires at once without a pending time, with no pending event", () => {
  expect(play({ ...POLICY, forS: 0 }, [seen(["shop", 11]), seen(["shop", 11])]).changes).toEqual(["0 firing shop"]);
});

it("keeps firing for the time asked, and a relapse within it is the same alert", () => {
  const policy = { ...POLICY, forS: 0, keepS: 20 };
  const { changes } = play(policy, [
    seen(["shop", 11]),
    seen(["shop", 1]),
    seen(["shop", 11]),
    seen(["shop", 1]),
    seen(["shop", 1]),
    seen(["shop", 1]),
  ]);
  expect(changes).toEqual(["0 firing shop", "50 recovered shop"]);
});

it("recovers only below the recover level, and only label sets that are raised use that level", () => {
  const policy = { ...POLICY, forS: 0, recover: 6 };
  const { changes } = play(policy, [
    seen(["shop", 11], ["blog", 8]),
    seen(["shop", 6], ["blog", 8]),
    seen(["shop", 5], ["blog", 8]),
    seen(["shop", 8], ["blog", 8]),
  ]);
  expect(changes).toEqual(["0 firing shop", "20 recovered shop"]);
});

it.each([
  [">", 10, false],
  [">=", 10, true],
  ["<", 10, false],
  ["<=", 10, true],
] as const)("compares with %s", (op, value, fires) => {
  const { changes } = play({ ...POLICY, op, forS: 0 }, [seen(["shop", value])]);
  expect(changes.length > 0).toBe(fires);
});

describe("a label set that vanishes", () => {
  it("is resolved at its second absence, not its first", () => {
    const { changes } = play({ ...POLICY, forS: 0 }, [
      seen(["shop", 11], ["blog", 1]),
      seen(["blog", 1]),
      seen(["blog", 1]),
    ]);
    expect(changes).toEqual(["0 firing shop", "20 recovered shop missing"]);
  });

  it("goes on as if nothing happened when it is back after one absence", () => {
    const { changes } = play({ ...POLICY, forS: 0 }, [
      seen(["shop", 11], ["blog", 1]),
      seen(["blog", 1]),
      seen(["shop", 11], ["blog", 1]),
      seen(["blog", 1]),
    ]);
    expect(changes).toEqual(["0 firing shop"]);
  });
});

describe("no rows at all", () => {
  it.each([
    ["OK", ["0 firing shop", "10 recovered shop no_data"]],
    ["KeepLast", ["0 firing shop"]],
    ["Alerting", ["0 firing shop"]],
    ["NoData", ["0 firing shop", "10 no_data -", "20 recovered shop missing", "40 recovered -"]],
  ] as const)("with the policy %s", (noData, expected) => {
    const { changes } = play({ ...POLICY, forS: 0, noData }, [
      seen(["shop", 11]),
      silence,
      silence,
      silence,
      noData === "NoData" ? seen(["shop", 1]) : silence,
    ]);
    expect(changes).toEqual(expected);
  });

  it("fires without labels under the policy Alerting when nothing was raised, after the pending time", () => {
    const { changes } = play({ ...POLICY, noData: "Alerting" }, [silence, silence, silence]);
    expect(changes).toEqual(["0 pending -", "20 firing -"]);
  });
});

describe("a query that fails", () => {
  it("raises an error of its own, keeps what fires, and recovers nothing", () => {
    const { changes, state } = play({ ...POLICY, forS: 0 }, [seen(["shop", 11]), failed, failed, failed, failed]);
    expect(changes).toEqual(["0 firing shop", "10 error -"]);
    expect(state.health).toBe("error");
    expect(state.message).toBe("connect ECONNREFUSED");
  });

  it("ends its error with the first answer, and the alert goes on", () => {
    const { changes } = play({ ...POLICY, forS: 0 }, [
      seen(["shop", 11]),
      failed,
      failed,
      seen(["shop", 11]),
      seen(["shop", 1]),
    ]);
    expect(changes).toEqual(["0 firing shop", "10 error -", "30 recovered -", "40 recovered shop"]);
  });
});
