import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../random.ts";
import { metric, type Pair, pairIn, startPair } from "../services.ts";
import { until } from "../tidemark.ts";
import { compareRows, type RowComparison } from "./compare.ts";
import { type Kill, nextKill, untilMoment, victims } from "./kills.ts";
import { Load } from "./load.ts";
import { compareRollups } from "./rollups.ts";

const DRAIN_MS = 180_000;
const PROGRESS_WITHIN_MS = 60_000;
const SETTINGS = { TIDEMARK_FLUSH_INTERVAL: "0.3", TIDEMARK_LOG_LEVEL: "info" };

export interface CampaignOptions {
  readonly directory: string;
  readonly kills: number;
  /** Ends earlier after this time. */
  readonly seconds?: number | undefined;
  readonly seed: number;
  readonly senders: number;
  readonly say: (line: string) => void;
}

export interface CampaignResult extends Omit<RowComparison, "findings"> {
  kills: number;
  by: Record<string, number>;
  seconds: number;
  rollup_mismatches: number;
  rollups: string[];
  unchecked_columns: string[];
  /** Rows that ClickHouse refused, and segments found damaged: nothing here has a reason to. */
  set_aside: number;
  damaged_segments: number;
  /** `acknowledged - inserted` of the ingest's own counters, which live on over kills. */
  counter_difference: number;
  requests_acknowledged: number;
  statuses: Record<string, number>;
  warnings: Record<string, number>;
  findings: string[];
}

/** Kills processes under load, then compares what was acknowledged with what is stored. */
export async function campaign(options: CampaignOptions): Promise<CampaignResult> {
  const { say, seed } = options;
  const random = new Random(seed);
  const pair = await pairIn(options.directory, SETTINGS);
  const { engine, ingest } = pair;
  let load: Load | undefined;
  try {
    await startPair(pair);
    load = new Load({ otlp: pair.otlp, senders: options.senders, pauseMs: 20 });
    const started = performance.now();
    const { kills, by } = await killAll(options, pair, load, random);
    await load.stop();
    say("comparing what was acknowledged with what is stored ...");
    const page = await drained(pair);
    // Metrics of its own would arrive in the middle of the comparison, in a table but not yet in its rollups.
    await ingest.end("SIGTERM");
    const rows = await compareRows(pair.clickhouseUrl, load.ledgers);
    const rollups = await compareRollups(pair.clickhouseUrl);
    return {
      ...rows,
      kills,
      by,
      seconds: Math.round((performance.now() - started) / 1000),
      rollup_mismatches: rollups.mismatches,
      rollups: rollups.compared,
      unchecked_columns: rollups.unchecked,
      set_aside: metric(page, "tidemark_ingest_set_aside_points_total"),
      damaged_segments: [...ingest.warnings]
        .filter(([key]) => /damaged|without_frames|missing/.test(key))
        .reduce((sum, [, n]) => sum + n, 0),
      counter_difference:
        metric(page, "tidemark_ingest_acknowledged_points_total") -
        metric(page, "tidemark_ingest_inserted_points_total"),
      requests_acknowledged: load.acknowledgedRequests,
      statuses: Object.fromEntries(load.statuses),
      warnings: Object.fromEntries([...ingest.warnings, ...engine.warnings]),
      findings: [...rows.findings, ...rollups.findings],
    };
  } finally {
    await load?.stop();
    await ingest.end("SIGTERM");
    await engine.end("SIGTERM");
  }
}

/** Why the result is not what was promised; empty when it is. */
export function broken(result: Pick<CampaignResult, (typeof ZERO)[number]>): string[] {
  return ZERO.filter((key) => result[key] !== 0).map((key) => `${key} is ${result[key]}`);
}
const ZERO = [
  "lost",
  "duplicated",
  "rollup_mismatches",
  "refused_stored",
  "orphans",
  "set_aside",
  "damaged_segments",
  "counter_difference",
] as const;

async function killAll(
  { kills, seconds, say }: CampaignOptions,
  pair: Pair,
  load: Load,
  random: Random,
): Promise<{ kills: number; by: Record<string, number> }> {
  const deadline = seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1000;
  const by: Record<string, number> = {};
  let kill: Kill = { victim: "ingest", moment: "random" };
  let done = 0;
  while (done < kills && performance.now() < deadline) {
    if (kill.moment !== "recovery") {
      await Promise.all([pair.engine, pair.ingest].map((service) => revive(service)));
      const before = load.acknowledgedRequests;
      await until("requests to be acknowledged again", () => load.acknowledgedRequests > before, PROGRESS_WITHIN_MS, 5);
    }
    await untilMoment(kill, pair, random);
    const killed = victims(pair, kill.victim);
    await Promise.all(killed.map((service) => service.end("SIGKILL")));
    done++;
    const key = `${kill.victim} ${kill.moment}`;
    by[key] = (by[key] ?? 0) + 1;
    if (done % 10 === 0)
      say(`${done} kills, ${load.acknowledgedRequests} requests acknowledged of ${load.batches * 3} sent`);
    await delay(random.between(0, 200));
    // One may be left dead while the other is killed next; it is started with the next kill that is no recovery.
    for (const service of killed) service.spawn();
    kill = nextKill(random, kill.victim);
  }
  await Promise.all([pair.engine, pair.ingest].map((service) => revive(service)));
  return { kills: done, by };
}

async function revive(service: { pid: number | undefined; spawn(): void; untilReady(): Promise<void> }): Promise<void> {
  if (service.pid === undefined) service.spawn();
  await service.untilReady();
}

/** Waits until the ingest has handed on everything, and returns its page of metrics. */
export async function drained(pair: Pick<Pair, "otlp">): Promise<string> {
  let page = "";
  await until(
    () => `the log to be empty: ${metric(page, "tidemark_ingest_queue_bytes")} bytes wait`,
    async () => {
      page = await (await fetch(`${pair.otlp}/metrics`)).text();
      return metric(page, "tidemark_ingest_queue_bytes") === 0;
    },
    DRAIN_MS,
    100,
  );
  // What was the open segment a moment ago may be on its way still.
  return page;
}

/** Lends a new directory to `use`, and removes it. */
export async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-chaos-"));
  try {
    return await use(directory);
  } finally {
    await remove(directory);
  }
}

export async function remove(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}
