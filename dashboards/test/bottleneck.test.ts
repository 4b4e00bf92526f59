import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDashboards } from "../src/load.ts";
import { expand } from "../src/macros.ts";
import { BOTTLENECK_CODES, bottleneckByWindow } from "../src/sql/bottleneck.ts";
import { startTestEngine, type TestEngine } from "./support/engine.ts";
import { type StoryTimes, storyTimes, writeStory } from "./support/story.ts";

let engine: TestEngine;
let times: StoryTimes;

beforeAll(async () => {
  engine = await startTestEngine();
  times = storyTimes(new Date(Math.floor(Date.now() / 1000) * 1000));
  await writeStory(engine.writer, times, 2);
});

afterAll(async () => {
  await engine.stop();
});

interface Verdict {
  readonly window_start: string;
  readonly runtime: string;
  readonly service: string;
  readonly bottleneck: string;
  readonly kind: string;
  readonly name: string;
  readonly u: number | null;
  readonly w_p95: number;
}

async function verdicts(from: Date, to: Date, windowSeconds?: number): Promise<readonly Verdict[]> {
  const result = await engine.reader.query({
    query: bottleneckByWindow(from, to, windowSeconds),
    format: "JSONEachRow",
  });
  return (await result.json()) as unknown as Verdict[];
}

const EXPECTED: Readonly<Record<string, { node: string; django: string }>> = {
  calm: { node: "none", django: "none" },
  "slow database": { node: "db_pool/main", django: "thread_pool/gunicorn-gthread" },
  "CPU burst": { node: "event_loop/main", django: "thread_pool/gunicorn-gthread" },
  hashing: { node: "thread_pool/fast", django: "thread_pool/gunicorn-gthread" },
  recovery: { node: "none", django: "none" },
};

it.each(Object.entries(EXPECTED))("names the bottleneck of both runtimes in the phase %s", async (name, expected) => {
  const phase = times.phases.find((each) => each.name === name);
  const from = new Date((phase?.from.getTime() ?? 0) + 1000);
  const to = new Date((phase?.to.getTime() ?? 0) + 1000);
  const found = await verdicts(from, to);
  expect(Object.fromEntries(found.map((row) => [row.runtime, row.bottleneck]))).toEqual(expected);
});

it("gives U and W of the resource it names", async () => {
  const phase = times.phases[1];
  const found = await verdicts(phase?.from ?? times.from, phase?.to ?? times.to);
  const node = found.find(({ runtime }) => runtime === "node");
  const django = found.find(({ runtime }) => runtime === "django");
  expect(node).toMatchObject({ kind: "db_pool", name: "main", service: "bookshop-node" });
  expect(node?.u).toBeCloseTo(0.97, 1);
  expect(Math.abs((node?.w_p95 ?? 0) / 1.5 - 1)).toBeLessThan(0.1);
  expect(Math.abs((django?.w_p95 ?? 0) / 3 - 1)).toBeLessThan(0.1);
});

it("gives one verdict per runtime and window", async () => {
  const found = await verdicts(times.from, times.to, 60);
  expect(found.map(({ runtime }) => runtime)).toEqual(
    Array.from({ length: found.length / 2 }, () => ["django", "node"]).flat(),
  );
  expect(new Set(found.map(({ window_start }) => window_start)).size).toBe(found.length / 2);
});

it("judges a loop that answers nothing by the age of what waits", async () => {
  const at = times.to.getTime() + 3600_000;
  const row = (ms: number, age: number) => ({
    ts: new Date(at + ms).toISOString().replace("T", " ").replace("Z", ""),
    service: "stuck",
    runtime: "node",
    environment: "",
    host: "h",
    instance: "s",
    worker: "",
    server: "",
    group_id: "",
    pid: 1,
    kind: "event_loop",
    name: "main",
    scope: "process",
    listener_id: "",
    capacity: 1,
    busy: 1,
    stall_age: age,
    points: 3,
  });
  await engine.writer.insert({ table: "resource_samples", values: [row(0, 2), row(1000, 3)], format: "JSONEachRow" });
  const [found] = await verdicts(new Date(at), new Date(at + 2000));
  expect(found).toMatchObject({ bottleneck: "event_loop/main", u: 1, w_p95: 3 });
});

it("does not name a pool that hardly any request uses", async () => {
  const calm = times.phases[0];
  const at = (calm?.from.getTime() ?? 0) + 30_000;
  const rare = {
    ts: new Date(at).toISOString().replace("T", " ").replace("Z", ""),
    service: "bookshop-node",
    runtime: "node",
    environment: "test",
    host: "h",
    instance: "n1",
    worker: "0",
    server: "",
    group_id: "g",
    pid: 1,
    kind: "db_pool",
    name: "events",
    scope: "process",
    listener_id: "",
    capacity: 4,
    busy: 0,
    wait_count: 5,
    wait_sum: 2,
    wait_max: 0.4,
    wait_buckets: { "-22": 5 },
    points: 3,
  };
  await engine.writer.insert({ table: "resource_samples", values: [rare], format: "JSONEachRow" });
  const found = await verdicts(new Date(at - 20_000), new Date(at + 20_000));
  expect(found.find(({ runtime }) => runtime === "node")?.bottleneck).toBe("none");
});

describe("a pool that was never full", () => {
  const hour = (hours: number) => times.to.getTime() + hours * 3600_000;
  const row = (at: number, service: string, fields: object) => ({
    ts: new Date(at).toISOString().replace("T", " ").replace("Z", ""),
    service,
    runtime: "django",
    environment: "",
    host: "h",
    instance: service,
    worker: "",
    server: "",
    group_id: "",
    pid: 1,
    scope: "process",
    listener_id: "",
    points: 3,
    ...fields,
  });
  /** Bucket 0 ends at 1 s: about 40 ms and 5 ms. */
  const waits = (bucket: number, count: number) => ({
    wait_count: count,
    wait_sum: count * 2 ** (bucket / 16),
    wait_max: 2 ** (bucket / 16),
    wait_buckets: { [bucket]: count },
  });
  const judge = async (at: number, rows: object[]) => {
    await engine.writer.insert({ table: "resource_samples", values: rows, format: "JSONEachRow" });
    const [found] = await verdicts(new Date(at), new Date(at + 2000));
    return found;
  };

  it("made nobody wait for capacity", async () => {
    const at = hour(2);
    const pool = { kind: "db_pool", name: "default", capacity: 4, busy: 0.1, ...waits(-75, 20) };
    expect(await judge(at, [row(at, "cold", { ...pool, busy_max: 2 })])).toMatchObject({ bottleneck: "none" });
    const later = hour(3);
    expect(await judge(later, [row(later, "full", { ...pool, busy_max: 4 })])).toMatchObject({
      bottleneck: "db_pool/default",
    });
  });

  it("waited for the interpreter lock when a thread was free and the lock was contended", async () => {
    const threads = {
      kind: "thread_pool",
      name: "gunicorn-gthread",
      capacity: 4,
      busy: 1,
      busy_max: 3,
      ...waits(-75, 50),
    };
    const lock = { kind: "gil", name: "process", capacity: 1, busy: 0.3 };
    const at = hour(4);
    const found = await judge(at, [row(at, "burst", threads), row(at, "burst", { ...lock, ...waits(-122, 100) })]);
    expect(found).toMatchObject({ bottleneck: "gil/process", u: 0.3 });
    expect(found?.w_p95).toBeCloseTo(2 ** (-74.5 / 16), 2);
    const later = hour(5);
    const calm = { ...lock, ...waits(-180, 100) };
    expect(await judge(later, [row(later, "quiet", threads), row(later, "quiet", calm)])).toMatchObject({
      bottleneck: "none",
    });
  });
});

it("draws the same verdicts in the overview's state timeline", async () => {
  const panel = loadDashboards()
    .flatMap(({ panels }) => panels)
    .find(({ type }) => type === "state-timeline");
  const sql = expand(panel?.targets?.[0]?.rawSql ?? "", { from: times.from, to: times.to, intervalMs: 5000 });
  const result = await engine.reader.query({ query: sql, format: "JSONEachRow" });
  const rows = (await result.json()) as unknown as { time: string; series: string; value: number }[];
  const middle = new Date((times.phases[2]?.from.getTime() ?? 0) + 30_000).toISOString().slice(0, 19).replace("T", " ");
  const at = [...rows].reverse().filter(({ time }) => time <= middle);
  expect(at.find(({ series }) => series === "bookshop-node")?.value).toBe(BOTTLENECK_CODES.event_loop);
  expect(at.find(({ series }) => series === "bookshop-django")?.value).toBe(BOTTLENECK_CODES.thread_pool);
});
