import { setTimeout as delay } from "node:timers/promises";
import { metric, type Pair, pairIn, startPair } from "../services.ts";
import { quantile, until } from "../tidemark.ts";
import { drained } from "./campaign.ts";
import { compareRows, type RowComparison } from "./compare.ts";
import { Load } from "./load.ts";
import { compareRollups } from "./rollups.ts";

const SAMPLE_EVERY_MS = 500;
const SENDERS = 4;
const PAUSE_MS = 20;
const GROWTH = 1.2;
const RECOVERY_MS = 120_000;

interface Seen {
  /** How often the load was answered with each status, also before the outage. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly logSegments: number;
}

interface Watched {
  /** Memory of the ingest, in bytes, one reading after the other. */
  readonly resident: readonly number[];
  /** Most bytes and most segments that waited in the log. */
  readonly logBytes: number;
  readonly logSegments: number;
}

export interface OutageOptions {
  readonly directory: string;
  /** How long ClickHouse is away, in seconds. */
  readonly seconds: number;
  /** It stays away longer where this has not been seen by then, but not for ever. */
  readonly enough?: (seen: Seen) => boolean;
  /** Settings of the ingest besides the addresses. */
  readonly settings?: Record<string, string>;
  readonly say: (line: string) => void;
}

export interface OutageResult extends Omit<RowComparison, "findings"> {
  away_seconds: number;
  rollup_mismatches: number;
  /** Requests that were acknowledged while ClickHouse was away. */
  acknowledged_while_away: number;
  /** Most bytes that waited in the log. */
  log_bytes: number;
  log_segments: number;
  /** Medians of the resident memory of the ingest in the second and in the last fifth of the outage. */
  rss_early_bytes: number;
  rss_late_bytes: number;
  rss_max_bytes: number;
  drain_seconds: number;
  statuses: Record<string, number>;
  without_retry_after: number;
  findings: string[];
}

/** ClickHouse dies under load, stays away, and comes back; then acknowledged and stored are compared. */
export async function outage(options: OutageOptions): Promise<OutageResult> {
  const { directory, seconds, enough = () => true, settings = {}, say } = options;
  const pair = await pairIn(directory, { TIDEMARK_FLUSH_INTERVAL: "0.3", ...settings });
  const { engine, ingest } = pair;
  let load: Load | undefined;
  try {
    await startPair(pair);
    load = new Load({ otlp: pair.otlp, senders: SENDERS, pauseMs: PAUSE_MS });
    const sending = load;
    await until("the first requests", () => sending.acknowledgedRequests > 30, RECOVERY_MS, 20);
    await engine.end("SIGKILL");
    const before = load.acknowledgedRequests;
    const { resident, logBytes, logSegments } = await watch(pair, load, { seconds, enough, say });
    const acknowledgedWhileAway = load.acknowledgedRequests - before;
    const back = performance.now();
    await engine.start();
    // Whatever was refused meanwhile is taken again.
    const after = load.statuses.get(200) ?? 0;
    await until("requests to be acknowledged again", () => (sending.statuses.get(200) ?? 0) > after, RECOVERY_MS, 20);
    await load.stop();
    await drained(pair);
    const drainSeconds = Math.round((performance.now() - back) / 1000);
    // Metrics of its own would arrive in the middle of the comparison, in a table but not yet in its rollups.
    await ingest.end("SIGTERM");
    const rows = await compareRows(pair.clickhouseUrl, load.ledgers);
    const rollups = await compareRollups(pair.clickhouseUrl);
    const fifth = (n: number) =>
      Math.round(
        quantile(
          resident.slice(Math.floor((resident.length * (n - 1)) / 5), Math.ceil((resident.length * n) / 5)),
          0.5,
        ),
      );
    return {
      ...rows,
      away_seconds: seconds,
      rollup_mismatches: rollups.mismatches,
      acknowledged_while_away: acknowledgedWhileAway,
      log_bytes: logBytes,
      log_segments: logSegments,
      rss_early_bytes: fifth(2),
      rss_late_bytes: fifth(5),
      rss_max_bytes: Math.max(0, ...resident),
      drain_seconds: drainSeconds,
      statuses: Object.fromEntries(load.statuses),
      without_retry_after: load.withoutRetryAfter,
      findings: [...rows.findings, ...rollups.findings],
    };
  } finally {
    await load?.stop();
    await ingest.end("SIGTERM");
    await engine.end("SIGTERM");
  }
}

/** Looks at the ingest while ClickHouse is away. */
async function watch(
  { ingest, otlp }: Pair,
  load: Load,
  { seconds, enough, say }: Required<Pick<OutageOptions, "seconds" | "enough" | "say">>,
): Promise<Watched> {
  const started = performance.now();
  const before = load.acknowledgedRequests;
  const resident: number[] = [];
  let logBytes = 0;
  let logSegments = 0;
  let told = 0;
  const isOver = (): boolean => {
    const late = performance.now() - started - seconds * 1000;
    return late >= 0 && (late > RECOVERY_MS || enough({ statuses: load.statuses, logSegments }));
  };
  while (!isOver()) {
    await delay(SAMPLE_EVERY_MS);
    resident.push(ingest.residentBytes());
    const page = await (await fetch(`${otlp}/metrics`)).text();
    logBytes = Math.max(logBytes, metric(page, "tidemark_ingest_queue_bytes"));
    logSegments = Math.max(logSegments, metric(page, "tidemark_ingest_queue_segments"));
    const minute = Math.floor((performance.now() - started) / 60_000);
    if (minute > told) {
      told = minute;
      say(
        `${minute} min away: ${mib(logBytes)} in the log, ${mib(resident.at(-1)!)} resident, ${load.acknowledgedRequests - before} requests acknowledged`,
      );
    }
  }
  return { resident, logBytes, logSegments };
}

/** Why the result is not what was promised; empty when it is. */
export function brokenOutage(result: OutageResult): string[] {
  const zero = ["lost", "duplicated", "rollup_mismatches", "refused_stored", "orphans", "without_retry_after"] as const;
  const sentences = zero.filter((key) => result[key] !== 0).map((key) => `${key} is ${result[key]}`);
  if (result.acknowledged_while_away === 0) sentences.push("nothing was acknowledged while ClickHouse was away");
  return sentences;
}

/** Resident memory does not grow with what waits in the log. */
export function isFlat({ rss_early_bytes, rss_late_bytes }: OutageResult): boolean {
  return rss_late_bytes <= rss_early_bytes * GROWTH;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
