import { bucketQuantile } from "@tidemark/store";
import { TIER } from "./fragments.ts";
import { NO_WAITS, rowsAsTheyCame, STAMPED } from "./windows.ts";

/** Below this a wait is scheduling noise: two GIL switch intervals of 5 ms, in seconds. */
export const NOTICEABLE_WAIT_SECONDS = 0.01;
/** From here on queueing grows steeply: W = S / (1 - U). */
export const SATURATED = 0.8;
/** A loop this late and this busy delays whatever it hands out: connections, executor slots. In seconds. */
const LOOP_WAIT_SECONDS = 0.05;
/** Taking a connection and giving it back each need a turn of the loop, so that much of the wait is the loop's. */
const LOOP_TURNS = 2;

/** Half of a GIL switch interval: from here on whoever needs the interpreter lock waits for another thread's turn. In seconds. */
const LOCK_CONTENDED_SECONDS = 0.0025;
/** libuv's slow lane is a limit of its own only while it waits so many times longer than the fast one: they share the threads. */
const OWN_LANE = 10;

/** Key of the zero bucket. */
const ZERO_BUCKET = -32768;
/** Waits without which a p95 says nothing. */
const MIN_WAITS = 3;

/** Code of each verdict: a state timeline draws numbers (text columns would become labels). 0 is "none". */
export const BOTTLENECK_CODES = {
  none: 0,
  event_loop: 1,
  thread_pool: 2,
  worker: 3,
  executor: 4,
  db_pool: 5,
  listen_queue: 6,
  gil: 7,
  cpu: 8,
  channel_layer: 9,
} as const;

export interface BottleneckQuery {
  /**
   * What is read: the rows as they came (the default), or the rollup that fits the bucket, which needs `WITH_STEP`. Of the rollup the waits
   * of a service are left out of a bucket in which no resource can have a p95 of {@link NOTICEABLE_WAIT_SECONDS}: the verdict is the
   * same, `w_p95` is then 0. Most services have no queue at most times, and merging their histograms would be nearly all the work.
   */
  readonly from?: "rows" | "windows";
  /** SQL condition on `ts` that bounds the scan. */
  readonly time: string;
  /** SQL for the bucket of `ts`; one bucket for the whole range when absent. */
  readonly bucket?: string;
  /** One verdict per service, or one per runtime: that of its service which waits most. */
  readonly by: "service" | "runtime";
  /** Further condition, for example the variables. */
  readonly where?: string;
}

/**
 * SQL (without `WITH`) that names, per bucket, where requests lose most time. Columns: `time` (when a bucket is asked for),
 * `runtime`, `service`, `bottleneck` (`db_pool/main`, or `none`), `kind`, `name`, `u` (NULL without a capacity), `w_p95` (seconds), `code`.
 *
 * A resource's W is comparable between runtimes whatever its source: a probe arrives at random, so it waits as long as a request that
 * arrives at random (PASTA); a stamp is on a request itself. The verdict is the resource with the largest W p95 of at least 10 ms;
 * when nothing waits, the one with the largest U of at least 0.8; else `none`. While nothing is served at all, the age of the oldest that
 * waits stands for W. On a loop, the wait for a pool or executor is counted net of two turns of that loop, and not at all while
 * the loop itself is saturated: then their queue is a consequence. A stamped wait counts as the p95 over all
 * requests, zero for those that did not use the resource: what few requests use is no bottleneck of the service. A pool that was never
 * full in an export made nobody wait for capacity: those waits count as zero, or as the interpreter lock's where work waited for a free
 * thread while that lock was contended. libuv's two lanes share threads, so the slow lane counts only where it waits much longer than
 * the fast one. A worker thread's loop is left out: requests do not queue there, and it is meant to be blocked by its work.
 */
export function bottleneckSql({ from = "rows", time, bucket, by, where = "1" }: BottleneckQuery): string {
  const onlyNoticed = from === "windows";
  const view = onlyNoticed
    ? "tidemark.resource_windows"
    : `(${rowsAsTheyCame("resource_samples", ["ts", "service", "runtime", "instance", ...COLUMNS], "ms")})`;
  const rows = `${onlyNoticed ? TIER : "1"} AND ${time} AND NOT (kind = 'event_loop' AND name LIKE 'worker-%') AND ${where}`;
  const moment = `${bucket ?? "0"}, runtime, service`;
  const noticed = `(${moment}) IN (
        SELECT at_, runtime, service
        FROM (
          SELECT ${bucket ?? "0"} AS at_, runtime, service, sum(noticed) AS late, sum(wait_count) AS waits, max(stall_age) AS stalled
          FROM ${view}
          WHERE ${rows}
          GROUP BY at_, runtime, service, kind, name
        )
        WHERE late * 20 > ifNull(waits, 0) OR (ifNull(waits, 0) = 0 AND stalled >= ${NOTICEABLE_WAIT_SECONDS})
      )`;
  const merged = onlyNoticed
    ? "sumMapIf(wait_buckets, has_noticed) AS merged, sumMapIf(roomy_buckets, has_noticed) AS idle"
    : "sumMap(wait_buckets) AS merged, sumMap(roomy_buckets) AS idle";
  const at = bucket === undefined ? "" : "time, ";
  const bucketColumn = bucket === undefined ? "" : `${bucket} AS time, `;
  const owner = by === "service" ? "runtime, service" : "runtime";
  const service = by === "service" ? "service" : "argMax(service, rank) AS service";
  // A level per step: a name used twice on its own level is analysed twice, which together took longer than reading a day's rows.
  return `SELECT ${at}runtime, ${service},
  argMax(if(rank > 0, concat(kind, '/', name), 'none'), rank) AS bottleneck,
  argMax(if(rank > 0, kind, 'none'), rank) AS kind_,
  argMax(if(rank > 0, name, ''), rank) AS name_,
  argMax(tuple(u), rank).1 AS u_,
  argMax(if(kind = 'gil', greatest(w, lost), w), rank) AS w_p95,
  toFloat64(transform(kind_, [${quoted(Object.keys(BOTTLENECK_CODES))}], [${Object.values(BOTTLENECK_CODES).join(", ")}], 0)) AS code
FROM (
  SELECT ${at}runtime, service, kind, name, u, w, lost,
    -- A wait outranks any U; among the busy, the specific resource goes before the processor it runs on.
    multiIf(lost >= ${NOTICEABLE_WAIT_SECONDS}, 2 + lost, w < ${NOTICEABLE_WAIT_SECONDS} AND ifNull(u, 0) >= ${SATURATED}, if(kind IN ('cpu', 'gil'), u - 0.5, u), 0) AS rank
  FROM (
    SELECT ${at}runtime, service, kind, name, u, w,
      multiIf(kind = 'thread_pool' AND name = 'slow', if(w < ${OWN_LANE} * fast_w, 0, w - fast_w),
        kind = 'gil', greatest(felt, if(felt >= ${LOCK_CONTENDED_SECONDS}, free_thread_w, 0)), kind NOT IN ('db_pool', 'executor', 'channel_layer'), felt,
        loop_u >= ${SATURATED} AND loop_w >= ${LOOP_WAIT_SECONDS}, 0, greatest(0, felt - ${LOOP_TURNS} * loop_w)) AS lost
    FROM (
      SELECT ${at}runtime, service, kind, name, u, w,
        multiIf(waits = 0, if(was_full, stalled, 0), NOT stamped, w, waits < ${MIN_WAITS}, 0, full_w) AS felt,
        maxIf(w, kind = 'event_loop') OVER owner AS loop_w,
        maxIf(ifNull(u, 0), kind = 'event_loop') OVER owner AS loop_u,
        maxIf(w, kind = 'thread_pool' AND name = 'fast') OVER owner AS fast_w,
        maxIf(idle_felt, kind IN ('thread_pool', 'executor')) OVER owner AS free_thread_w
      FROM (
        SELECT ${at}runtime, service, kind, name, u, waits, stalled, stamped, was_full,
          toFloat64(if(waits = 0, stalled, ifNull(p95s[1], 0))) AS w, toFloat64(ifNull(p95s[2], 0)) AS full_w, toFloat64(ifNull(p95s[3], 0)) AS idle_felt
        FROM (
          -- The three quantiles in one expression: each is a millisecond or more of analysis. Most have no waits, and are not looked at.
          SELECT ${at}runtime, service, kind, name, u, waits, stalled, stamped, was_full, stamped AND waits >= ${MIN_WAITS} AS enough,
            if(length(merged) = 0, [], arrayMap(waited -> ${bucketQuantile("waited", 0.95)}, [if(waits = 0, ${NO_WAITS}, merged),
              if(enough AND length(full) > 0, ${everyone("full")}, ${NO_WAITS}), if(enough AND length(idle) > 0, ${everyone("idle")}, ${NO_WAITS})])) AS p95s
        FROM (
          -- Probes sample everyone. Stamps count those who used the resource; the others, by the most used resource, waited zero.
          SELECT ${at}runtime, service, kind, name, u, waits, stalled, stamped, was_full, merged, idle,
            if(length(idle) = 0, merged, mapSubtract(merged, idle)) AS full, maxIf(waits, stamped) OVER owner AS requests
          FROM (
            SELECT ${at}runtime, service, kind, name, ${STAMPED} AS stamped, NOT stamped OR sum(full_exports) > 0 AS was_full,
              if(kind = 'listen_queue', max(fullness), sum(busy_sum) / sum(capacity_sum)) AS u,
              toUInt64(ifNull(sum(wait_count), 0)) AS waits, ifNull(max(stall_age), 0) AS stalled,
              ${merged}
            FROM (
              SELECT ${bucketColumn}runtime, service, ${COLUMNS.join(", ")}${onlyNoticed ? `, ${noticed} AS has_noticed` : ""}
              FROM ${view}
              WHERE ${rows}
            )
            GROUP BY ${at}runtime, service, kind, name
          )
          WINDOW owner AS (PARTITION BY ${at}runtime, service)
        ))
      )
      WINDOW owner AS (PARTITION BY ${at}runtime, service)
    )
  )
)
GROUP BY ${at}${owner}`;
}

/** What the verdict is made of. */
const COLUMNS = [
  "kind",
  "name",
  "busy_sum",
  "capacity_sum",
  "fullness",
  "wait_count",
  "stall_age",
  "full_exports",
  "wait_buckets",
  "roomy_buckets",
];

/** SQL for a map of waits filled up with zeros to one wait per request. */
function everyone(map: string): string {
  return `mapAdd(${map}, map(toInt16(${ZERO_BUCKET}), toUInt64(if(stamped, requests - arraySum(mapValues(${map})), 0))))`;
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(", ");
}

/**
 * SQL for the bottleneck of each runtime in each window of `[from, to)`: columns `window_start` (DateTime, UTC), `runtime`, `service`,
 * `bottleneck`, `kind`, `name`, `u`, `w_p95`. One window over everything when `windowSeconds` is absent.
 */
export function bottleneckByWindow(from: Date, to: Date, windowSeconds?: number): string {
  const start = from.getTime();
  const time = `ts >= fromUnixTimestamp64Milli(${start}) AND ts < fromUnixTimestamp64Milli(${to.getTime()})`;
  const widthMs = Math.max(1, Math.round((windowSeconds ?? (to.getTime() - start) / 1000) * 1000));
  const bucket = `fromUnixTimestamp64Milli(toInt64(${start} + intDiv(toUnixTimestamp64Milli(ts) - ${start}, ${widthMs}) * ${widthMs}), 'UTC')`;
  return `SELECT time AS window_start, runtime, service, bottleneck, kind_ AS kind, name_ AS name, u_ AS u, w_p95
FROM (
${bottleneckSql({ time, bucket, by: "runtime" })}
)
ORDER BY window_start, runtime`;
}
