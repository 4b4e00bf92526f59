import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expandTimeMacros } from "../src/macros.ts";
import { type Profile, type Rule, renderTemplate } from "../src/rules/rule.ts";
import { RULES, rulesFor } from "../src/rules/rules.ts";
import { startTestEngine, type TestEngine } from "./support/engine.ts";
import { type StoryTimes, storyTimes, writeStory } from "./support/story.ts";

/** Rules about silence until now: the story is over. */
const ABSENCE = new Set(["tidemark-telemetry-absent", "tidemark-ingest-silent"]);

let engine: TestEngine;
let times: StoryTimes;

beforeAll(async () => {
  engine = await startTestEngine();
  times = storyTimes(new Date(Math.floor(Date.now() / 1000) * 1000));
  await writeStory(engine.writer, times, 1);
});

afterAll(async () => {
  await engine.stop();
});

/** Rows of a rule judged at `now`. */
async function judge(rule: Rule, now: Date): Promise<readonly Record<string, unknown>[]> {
  const from = new Date(now.getTime() - rule.windowSeconds * 1000);
  const sql = expandTimeMacros(rule.sql, { from, to: now, intervalMs: 1000 });
  const result = await engine.reader.query({ query: sql, format: "JSON" });
  const { meta, data } = (await result.json()) as {
    meta: { name: string; type: string }[];
    data: Record<string, unknown>[];
  };
  const numbers = meta.filter(({ type }) => type === "Float64");
  expect(numbers.map(({ name }) => name)).toEqual(["value"]);
  for (const { name, type } of meta) if (name !== "value") expect(`${name} ${type}`).toBe(`${name} String`);
  return data;
}

/** Services that breach each rule at the end of a phase of the story. */
async function breaches(profile: Profile, phase: string): Promise<Record<string, string[]>> {
  const end = times.phases.find(({ name }) => name === phase)?.to;
  const found: Record<string, string[]> = {};
  for (const rule of rulesFor(profile)) {
    if (ABSENCE.has(rule.id)) continue;
    const rows = await judge(rule, end ?? times.to);
    const over = rows.filter(({ value }) =>
      rule.op === "gt" ? Number(value) > rule.threshold : Number(value) < rule.threshold,
    );
    if (over.length > 0) found[rule.id] = [...new Set(over.map((row) => `${row.service} ${row.resource}`))].sort();
  }
  return found;
}

describe("the demo's rules over the story", () => {
  it("stay silent while it is calm, and after the recovery", async () => {
    expect(await breaches("demo", "calm")).toEqual({});
    expect(await breaches("demo", "recovery")).toEqual({});
  });

  it("see threads and the pool in the slow-database phase", async () => {
    expect(await breaches("demo", "slow database")).toEqual({
      "tidemark-busy-threads": ["bookshop-django gunicorn-gthread"],
      "tidemark-hidden-queue": ["bookshop-django gunicorn-gthread"],
      "tidemark-database-pool": ["bookshop-node main"],
    });
  });

  it("see the event loop in the CPU burst", async () => {
    expect(await breaches("demo", "CPU burst")).toMatchObject({
      "tidemark-event-loop-wait": ["bookshop-node main"],
      "tidemark-busy-threads": ["bookshop-django gunicorn-gthread"],
    });
  });

  it("see libuv's pool while hashing, and a healthy loop", async () => {
    const found = await breaches("demo", "hashing");
    expect(found["tidemark-libuv-pool"]).toEqual(["bookshop-node fast", "bookshop-node slow"]);
    expect(found["tidemark-event-loop-wait"]).toBeUndefined();
  });
});

it("production rules stay silent on the calm phase", async () => {
  const calm = times.phases[0]?.to ?? times.to;
  for (const rule of RULES.filter(({ id }) => !ABSENCE.has(id))) {
    for (const row of await judge(rule, calm)) expect(Number(row.value)).toBeLessThanOrEqual(rule.threshold);
  }
});

it("a process that is starting is not judged for the block of its start", async () => {
  const rule = rulesFor("demo").find(({ id }) => id === "tidemark-event-loop-blocked");
  const boot = new Date(times.from.getTime() + 4000);
  expect(await judge(rule as Rule, boot)).toEqual([]);
});

it("tells how long a service has been silent", async () => {
  const rule = RULES.find(({ id }) => id === "tidemark-telemetry-absent");
  const rows = await judge(rule as Rule, new Date());
  expect(rows.map(({ service }) => service).sort()).toEqual(["bookshop-django", "bookshop-node"]);
  for (const { value } of rows) {
    const silent = (Date.now() - times.to.getTime()) / 1000;
    expect(Number(value)).toBeGreaterThan(silent - 5);
    expect(Number(value)).toBeLessThan(silent + 5);
  }
});

describe("the source", () => {
  it("uses one macro only, and no variable", () => {
    for (const rule of RULES) expect([...new Set(rule.sql.match(/\$\w+/g))]).toEqual(["$__timeFilter"]);
  });

  it("changes only times between the profiles", () => {
    const without = (rule: Rule) => ({ ...rule, sql: "", windowSeconds: 0, forSeconds: 0, keepFiringSeconds: 0 });
    expect(rulesFor("demo").map(without)).toEqual(RULES.map(without));
  });

  it("recovers on the good side of the threshold", () => {
    for (const rule of RULES) {
      if (rule.op === "gt") expect(rule.recover).toBeLessThan(rule.threshold);
      else expect(rule.recover).toBeGreaterThan(rule.threshold);
    }
  });

  it("mentions only labels its rows have", async () => {
    for (const rule of rulesFor("production")) {
      for (const row of await judge(rule, times.to)) {
        const labels = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, String(value)]));
        for (const text of Object.values(rule.annotations)) {
          expect(renderTemplate(text, labels, 0.5)).not.toMatch(/\{\{|undefined|: {2}| {2}/);
        }
      }
    }
  });
});

it("renders labels and the value as Grafana does", () => {
  const text = "{{ $labels.service }}: {{ $values.A.Value }} s of {{$labels.none}}";
  expect(renderTemplate(text, { service: "shop" }, 0.123456)).toBe("shop: 0.123 s of ");
  expect(renderTemplate(text, { service: "$&" }, null)).toBe("$&: n/a s of ");
});
