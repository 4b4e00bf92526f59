import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RULES } from "@tidemark/dashboards";
import { createStoreClient } from "@tidemark/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clickhouseTime } from "../src/events.ts";
import { buildAlerts, type CurrentAlert } from "../src/index.ts";
import { startEngine } from "./support/engine.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { ownRows, row, type Sample } from "./support/samples.ts";

const EXPORT_S = 10;
const HISTORY_S = 300;
const BREACH_S = 240;
const END_S = 560;
const SILENT_SINCE_S = 200;

/** What a service's agent reports at a second of the story; nothing happens before second 0. */
type Story = (second: number) => Omit<Sample, "service">[];

/** What an ingest says about itself at a second: `tidemark.ingest.*`, of 1,000 points from a service of the story's name. */
type OwnStory = (second: number) => Record<string, number>;

const HEALTHY = {
  "queue.age": 1,
  "queue.size": 10,
  "queue.limit": 1_000,
  points: 1_000,
  rejected: 1,
  overflow: 0,
} as const;

const CALM = { event: [60, 0.001], pool: [40, 0.0001] } as const;
const calmLoop = {
  kind: "event_loop",
  name: "main",
  capacity: 1,
  busy: 0.2,
  wait_max: 0.02,
  stall_age: 0,
  waits: [CALM.event],
};
const during = (second: number) => second >= 0 && second < BREACH_S;
const threads = { kind: "thread_pool", name: "gunicorn-gthread", capacity: 4 };

/** One service per story, and the rules that must fire for it: these and no others. */
const STORIES: Record<string, { story?: Story; own?: OwnStory; fires: string[] }> = {
  "calm-node": {
    fires: [],
    story: () => [
      calmLoop,
      { kind: "thread_pool", name: "fast", capacity: 4, busy: 0.1, waits: [CALM.pool] },
      { kind: "thread_pool", name: "slow", capacity: 2, busy: 0, waits: [CALM.pool] },
      { kind: "db_pool", name: "shop", capacity: 4, busy: 1, waits: [[30, 0.001]] },
      { kind: "listen_queue", name: "tcp:4400", capacity: 511, waiting_max: 2 },
      { kind: "cpu", name: "main", waits: [[60, 0.002]] },
    ],
  },
  "calm-django": {
    fires: [],
    story: () => [
      { ...threads, busy: 1.5, waiting_max: 0, waits: [[50, 0.001]] },
      { kind: "gil", name: "process", waits: [[50, 0.004]] },
      { kind: "listen_queue", name: "tcp:8000", capacity: 2048, waiting_max: 5 },
    ],
  },
  "a few slow requests": {
    fires: [],
    story: (second) => [
      {
        ...calmLoop,
        waits:
          second === 60
            ? [
                [57, 0.001],
                [3, 0.4],
              ]
            : [CALM.event],
      },
    ],
  },
  "one slow request a minute": {
    fires: [],
    story: (second) => [
      { ...threads, busy: 0.2, waiting_max: 1, ...(second % 60 === 0 && { waits: [[1, 3]] as const }) },
    ],
  },
  "a process that starts": {
    fires: [],
    story: (second) => {
      const running = { ...calmLoop, instance: "before" };
      return second < 65 ? [running] : [{ ...calmLoop, instance: "after", ...(second < 75 && { wait_max: 3 }) }];
    },
  },
  "busy for half a minute": {
    fires: [],
    story: (second) => [{ ...threads, busy: second >= 0 && second < 30 ? 4 : 1, waiting_max: 0, waits: [[50, 0.001]] }],
  },
  "slow loop": {
    fires: ["tidemark-event-loop-wait"],
    story: (second) => [
      { ...calmLoop, ...(during(second) && { busy: 0.95, wait_max: 0.6, waits: [[40, 0.3]] as const }) },
    ],
  },
  "blocked loop": {
    fires: ["tidemark-event-loop-blocked"],
    story: (second) => [{ ...calmLoop, ...(during(second) && { wait_max: 2.5, stall_age: 1.8 }) }],
  },
  "busy threads": {
    fires: ["tidemark-busy-threads"],
    story: (second) => [{ ...threads, busy: during(second) ? 4 : 1, waiting_max: 0, waits: [[50, 0.001]] }],
  },
  "hidden queue": {
    fires: ["tidemark-busy-threads", "tidemark-hidden-queue"],
    story: (second) => [
      during(second)
        ? { ...threads, busy: 4, waiting_max: 36, waits: [[80, 4.7]] }
        : { ...threads, busy: 1, waiting_max: 0, waits: [[80, 0.001]] },
    ],
  },
  // What the Django agent reports of 20 sockets of synchronous Channels consumers: collectors/django/tests/test_websockets.py.
  "one thread for all synchronous consumers": {
    fires: ["tidemark-hidden-queue"],
    story: (second) => [
      { ...calmLoop, name: "asyncio" },
      {
        kind: "executor",
        name: "asgiref.global",
        capacity: 1,
        ...(during(second)
          ? { busy: 1, waiting_max: 19, waits: [[100, 1.9]] as const }
          : { busy: 0.1, waiting_max: 0, waits: [[20, 0.001]] as const }),
      },
    ],
  },
  hashing: {
    fires: ["tidemark-libuv-pool"],
    story: (second) => [
      calmLoop,
      during(second)
        ? { kind: "thread_pool", name: "fast", capacity: 4, busy: 4, waits: [[40, 0.5]] }
        : { kind: "thread_pool", name: "fast", capacity: 4, busy: 0, waits: [CALM.pool] },
    ],
  },
  "full backlog": {
    fires: ["tidemark-listen-queue"],
    story: (second) => [
      { kind: "listen_queue", name: "tcp:8000", capacity: 511, waiting_max: during(second) ? 400 : 3 },
    ],
  },
  "short pool": {
    fires: ["tidemark-database-pool"],
    story: (second) => [
      { kind: "db_pool", name: "default", capacity: 4, busy: 4, waits: [[30, during(second) ? 0.6 : 0.001]] },
    ],
  },
  "calm ingest": { fires: [], own: () => HEALTHY },
  "catching up": {
    fires: ["tidemark-ingest-lag"],
    own: (second) => ({ ...HEALTHY, "queue.age": during(second) ? 90 : 1 }),
  },
  "a filling log": {
    fires: ["tidemark-ingest-log-full"],
    own: (second) => ({ ...HEALTHY, "queue.size": during(second) ? 900 : 10 }),
  },
  "a wrong clock": {
    fires: ["tidemark-ingest-rejected"],
    own: (second) => ({ ...HEALTHY, rejected: during(second) ? 50 : 1 }),
  },
  "a user id as attribute": {
    fires: ["tidemark-series-overflow"],
    own: (second) => ({ ...HEALTHY, overflow: during(second) ? 300 : 0 }),
  },
  "silent ingest": {
    fires: ["tidemark-ingest-silent"],
    own: (second) => (second < -SILENT_SINCE_S ? HEALTHY : {}),
  },
  gone: {
    fires: ["tidemark-telemetry-absent"],
    story: (second) => (second < -SILENT_SINCE_S ? [calmLoop] : []),
  },
};

/** Rules that silence until now makes fire: it has no end within the story. */
const SILENCE = ["tidemark-ingest-silent", "tidemark-telemetry-absent"];
const SILENT = ["gone tidemark-telemetry-absent", "silent ingest tidemark-ingest-silent"];

let engine: Awaited<ReturnType<typeof startEngine>>;
let directory: string;
/** For every `service rule` that fired: the seconds at which that was first and last seen. */
const fired = new Map<string, { first: number; last: number }>();
let last: CurrentAlert[] = [];
/** What the view `alerts_current` shows at the end. */
let shown: string[] = [];
const errors = new Set<string>();

beforeAll(async () => {
  engine = await startEngine();
  directory = mkdtempSync(join(tmpdir(), "tidemark-alerts-rules-"));
  const startMs = Date.now();
  const client = createStoreClient(engine.url);
  const seconds = Array.from({ length: (HISTORY_S + END_S) / EXPORT_S }, (_, index) => index * EXPORT_S - HISTORY_S);
  const rows = Object.entries(STORIES).flatMap(([service, { story = () => [] }]) =>
    seconds.flatMap((second) => story(second).map((sample) => row({ service, ...sample }, startMs + second * 1000))),
  );
  const own = Object.entries(STORIES).flatMap(([service, { own: story = () => ({}) }]) =>
    seconds.flatMap((second) => ownRows(service, story(second), startMs + second * 1000)),
  );
  await client.insert({ table: "samples", values: own.map(({ sample }) => sample), format: "JSONEachRow" });
  await client.insert({ table: "series", values: own.map(({ series }) => series), format: "JSONEachRow" });
  await client.insert({ table: "resource_samples", values: rows, format: "JSONEachRow" });
  // What an evaluator whose disk was lost left behind: nobody else will ever end it.
  const lost = {
    ts: clickhouseTime(startMs - 3_600_000),
    rule_id: RULES[0]!.id,
    fingerprint: "lost",
    state: "firing",
    service: "lost",
  };
  await client.insert({
    table: "alert_events",
    values: [lost, { ...lost, rule_id: "a-rule-that-is-gone" }],
    format: "JSONEachRow",
  });

  const clock = new ManualClock(startMs);
  const alerts = buildAlerts({
    clickhouseUrl: engine.url,
    dataDir: directory,
    profile: "production",
    intervalS: EXPORT_S,
    webhookUrls: [],
    alertmanagerUrls: [],
    linkBase: "",
    logger: { level: "silent" },
    clock,
  });
  for (let second = 0; second < END_S; second += EXPORT_S) {
    await alerts.evaluate();
    const current = (await alerts.app.inject("/api/alerts")).json();
    last = current.alerts;
    for (const { health, message, id } of current.rules) if (health === "error") errors.add(`${id}: ${message}`);
    for (const { ruleId, labels, state } of last) {
      if (state === "pending") continue;
      const key = `${labels.service} ${ruleId}`;
      fired.set(key, { first: fired.get(key)?.first ?? second, last: second });
    }
    clock.advance(EXPORT_S * 1000);
  }
  await alerts.stop();
  const result = await client.query({
    query: "SELECT concat(service, ' ', rule_id) AS alert FROM alerts_current",
    format: "JSONEachRow",
  });
  shown = (await result.json<{ alert: string }>()).map(({ alert }) => alert);
  await client.close();
}, 60_000);

afterAll(async () => {
  await engine?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const rulesFor = (service: string): string[] =>
  [...fired.keys()].filter((key) => key.startsWith(`${service} `)).map((key) => key.slice(service.length + 1));

it("evaluates every rule on the real engine without an error", () => {
  expect([...errors]).toEqual([]);
});

describe.each(Object.entries(STORIES))("%s", (service, { fires }) => {
  it(fires.length === 0 ? "stays silent" : `fires ${fires.join(" and ")}, and nothing else`, () => {
    expect(rulesFor(service).sort()).toEqual([...fires].sort());
  });
});

describe.each(RULES.filter(({ id }) => !SILENCE.includes(id)))(
  "$id",
  ({ id, forSeconds, windowSeconds, keepFiringSeconds }) => {
    it("fires in its time and recovers when its window has passed", () => {
      const [{ first, last: end } = { first: -1, last: -1 }] = [...fired]
        .filter(([key]) => key.endsWith(` ${id}`))
        .map(([, times]) => times);
      expect(first).toBeGreaterThanOrEqual(forSeconds);
      expect(end).toBeGreaterThanOrEqual(BREACH_S - EXPORT_S);
      expect(end).toBeLessThanOrEqual(BREACH_S + windowSeconds + keepFiringSeconds + EXPORT_S);
    });
  },
);

it("has a story for every rule, and only silence fires at the end", () => {
  const told = new Set(Object.values(STORIES).flatMap(({ fires }) => fires));
  expect(RULES.map(({ id }) => id).filter((id) => !told.has(id))).toEqual([]);
  expect(last.map(({ ruleId, labels }) => `${labels.service} ${ruleId}`).sort()).toEqual(SILENT);
});

it("alert_events tells the same, without what an evaluator that lost its state left behind", () => {
  expect(shown.sort()).toEqual(SILENT);
});
