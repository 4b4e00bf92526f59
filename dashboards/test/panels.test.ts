import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grafanaInterval, parseInterval } from "../src/interval.ts";
import { loadDashboards, type PanelJson, type TargetJson } from "../src/load.ts";
import { expand, type MacroContext } from "../src/macros.ts";
import { explicitQuantile } from "../src/sql/own.ts";
import { startTestEngine, type TestEngine } from "./support/engine.ts";
import { type StoryTimes, storyTimes, writeStory } from "./support/story.ts";

interface Answer {
  readonly meta: readonly { readonly name: string; readonly type: string }[];
  readonly data: readonly (readonly unknown[])[];
}

const EXPORT_SECONDS = 2;
const MAX_DATA_POINTS = 600;

let engine: TestEngine;
let times: StoryTimes;

beforeAll(async () => {
  engine = await startTestEngine();
  times = storyTimes(new Date(Math.floor(Date.now() / 1000) * 1000));
  await writeStory(engine.writer, times, EXPORT_SECONDS);
});

afterAll(async () => {
  await engine.stop();
});

async function ask(sql: string): Promise<Answer> {
  const result = await engine.reader.query({ query: sql, format: "JSONCompact" });
  return (await result.json()) as unknown as Answer;
}

function context(panel: Pick<PanelJson, "interval">, from = times.from, to = times.to): MacroContext {
  const range = to.getTime() - from.getTime();
  return { from, to, intervalMs: grafanaInterval(range, MAX_DATA_POINTS, parseInterval(panel.interval ?? "1s")) };
}

const NUMBER = /^(Nullable\()?(Float|U?Int|Decimal)/;
const TIME = /^DateTime/;
const TEXT = /^(LowCardinality\()?String/;

/** Format 0: the time first, at least one number, text columns are labels, rows in the order of time. */
function expectTimeSeries({ meta, data }: Answer): void {
  expect(meta[0]?.type).toMatch(TIME);
  expect(meta.slice(1).filter((column) => NUMBER.test(column.type)).length).toBeGreaterThan(0);
  for (const column of meta.slice(1)) expect(`${column.type}`).toMatch(new RegExp(`${NUMBER.source}|${TEXT.source}`));
  const at = data.map((row) => String(row[0]));
  expect(at).toEqual([...at].sort());
}

const targets = loadDashboards().flatMap((dashboard) =>
  dashboard.panels.flatMap((panel) =>
    (panel.targets ?? []).map((target) => ({
      name: `${dashboard.uid} ${panel.id} ${panel.title} ${target.refId}`,
      panel,
      target,
    })),
  ),
);
/** Panels of what the story does not have. */
const MAY_BE_EMPTY = new Set(["tidemark-django 342 How long does a request wait for a connection? A"]);

describe("every panel's SQL on a real engine", () => {
  it.each(targets)("$name", async ({ name, panel, target }: { name: string; panel: PanelJson; target: TargetJson }) => {
    const answer = await ask(expand(target.rawSql, context(panel)));
    if (target.format === 0) expectTimeSeries(answer);
    const empty = MAY_BE_EMPTY.has(name);
    if (!empty) expect(answer.data.length).toBeGreaterThan(0);
    // 300 s of exports in buckets of 6 s, bars of 10 s.
    if (target.format === 0 && !empty) expect(new Set(answer.data.map(([time]) => time)).size).toBeGreaterThan(25);
    if (panel.type === "stat" || panel.type === "bargauge") {
      expect(
        answer.meta.map((column) =>
          TEXT.test(column.type) ? "text" : NUMBER.test(column.type) ? "number" : column.type,
        ),
      ).toEqual(["text", "number"]);
    }
    if (panel.type === "xychart") for (const column of answer.meta) expect(column.type).toMatch(NUMBER);
  });

  it.each(
    // The ingest's own health is of no service: those panels show the same whatever is chosen.
    targets.filter(({ name, target }) => !name.startsWith("tidemark-ingest ") || /conditionalAll/.test(target.rawSql)),
  )("filtered by variables: $name", async ({ panel, target }) => {
    const variables = { runtime: ["node", "django"], service: ["it's"], instance: ["a\\", "b"] };
    const answer = await ask(expand(target.rawSql, { ...context(panel), variables }));
    const firing = panel.title === "Is anything firing?" ? [["firing", 0]] : [];
    expect(
      answer.data.length === 0 ||
        JSON.stringify(answer.data) === JSON.stringify(firing) ||
        target.rawSql.includes("statements"),
    ).toBe(true);
  });
});

it("reads a quantile of explicit buckets as Prometheus does", async () => {
  const quantiles = [0.05, 0.5, 0.75, 0.99].map((q) => explicitQuantile("[1., 2., 4.]", "[10, 10, 20, 1]", q));
  // Of 41 values rank 2.05 lies in (0, 1], 20.5 and 30.75 in (2, 4], and 40.59 above the last bound.
  const answer = await ask(`SELECT ${quantiles.join(", ")}`);
  const [row] = answer.data as [number[]];
  [0.205, 2.05, 3.075, 4].forEach((value, i) => {
    expect(row[i]).toBeCloseTo(value, 9);
  });
});

it("shows what a connection costs only where a fit holds over most of the connections seen", async () => {
  const entry = targets.find(({ panel }) => panel.title === "What does one more connection cost?");
  const answer = await ask(expand(entry?.target.rawSql ?? "", context(entry?.panel as PanelJson)));
  expect(Object.fromEntries(answer.data as [string, number][])).toEqual({ "django http": 34_000, "node http": -2 });
});
