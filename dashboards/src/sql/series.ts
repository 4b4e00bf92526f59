import { bucketQuantile } from "@tidemark/store";
import { bucketCount } from "./buckets.ts";
import { BUCKET, TIER_WITHOUT_5M, VARIABLE_FILTER, WHOLE_BUCKETS, WITH_STEP } from "./fragments.ts";
import { type Subject, tierOf, windowRows } from "./windows.ts";

/** `(SELECT ...)` */
export type Subquery = `(${string}`;

export interface SeriesQuery {
  /** A subject, read from the rollup that fits the bucket, or a subquery in brackets. */
  readonly from: Subject | Subquery;
  /** SQL for the name of the series; a String. */
  readonly name: string;
  readonly where?: string;
  /** Filter by the dashboard's variables; default all three. */
  readonly filter?: string;
}

/** `time, series, value` with one aggregate per bucket; `value` may use `step`, the bucket's width in seconds. */
export function aggregateSeries(query: SeriesQuery & { readonly value: string; readonly having?: string }): string {
  const having = query.having === undefined ? "" : ` AND ${query.having}`;
  return `${WITH_STEP}
SELECT ${BUCKET} AS time, ${query.name} AS series, toFloat64(${query.value}) AS value
FROM ${source(query, query.value)}
WHERE ${conditions(query)}
GROUP BY time, series
HAVING ${WHOLE_BUCKETS} AND value IS NOT NULL${having}
ORDER BY time, series`;
}

/**
 * The same for gauges of several processes: mean over the exports of one process first (`value`), then `combine` over the processes,
 * so that a bucket with two exports of one process and one of another counts each process once.
 */
export function gaugeSeries(
  query: SeriesQuery & { readonly value: string; readonly key: string; readonly combine: "sum" | "max" | "avg" },
): string {
  return `${WITH_STEP}
SELECT time, series, toFloat64(${query.combine}(part)) AS value
FROM (
  SELECT ${BUCKET} AS time, ${query.name} AS series, ${query.key} AS part_key, ${query.value} AS part
  FROM ${source(query, `${query.value} ${query.key}`)}
  WHERE ${conditions(query)}
  GROUP BY time, series, part_key
  HAVING ${WHOLE_BUCKETS}
)
GROUP BY time, series
HAVING value IS NOT NULL
ORDER BY time, series`;
}

/** One series per quantile, named `<name> p95`: bucket maps of all rows are merged first. */
export function quantileSeries(
  query: SeriesQuery & { readonly buckets: string; readonly quantiles: readonly number[]; readonly suffix?: boolean },
): string {
  const pairs = query.quantiles.map((q) => {
    const suffix = query.suffix === false ? "''" : `' p${Math.round(q * 100)}'`;
    return `(${suffix}, ${bucketQuantile("merged", q)})`;
  });
  return `${WITH_STEP}
SELECT time, concat(owner, quantile.1) AS series, toFloat64(quantile.2) AS value
FROM (
  SELECT ${BUCKET} AS time, ${query.name} AS owner, sumMap(${query.buckets}) AS merged
  FROM ${source(query, query.buckets)}
  WHERE ${conditions(query)}
  GROUP BY time, owner
  HAVING ${WHOLE_BUCKETS} AND length(merged) > 0
)
ARRAY JOIN [${pairs.join(",\n  ")}] AS quantile
WHERE quantile.2 IS NOT NULL
ORDER BY time, series`;
}

/** Exponents of two of the heat map's rows: about 1 ms to 8 s, so that every row's edge is an edge of the stored buckets. */
const FIRST_EXPONENT = -10;
const LAST_EXPONENT = 3;

/** `time` and one count per row of a heat map; every row of every heat map is the same, so that two can be compared by eye. */
export function heatmapColumns(query: Omit<SeriesQuery, "name"> & { readonly buckets: string }): string {
  const columns: string[] = [];
  for (let exponent = FIRST_EXPONENT; exponent <= LAST_EXPONENT; exponent++) {
    const low = exponent === FIRST_EXPONENT ? null : exponent - 1;
    columns.push(
      `toFloat64(${bucketCount("merged", low, exponent === LAST_EXPONENT ? null : exponent)}) AS "${bound(exponent)}"`,
    );
  }
  return `${WITH_STEP}
SELECT time,
  ${columns.join(",\n  ")}
FROM (
  SELECT ${BUCKET} AS time, sumMap(${query.buckets}) AS merged
  FROM ${source(query, query.buckets)}
  WHERE ${conditions(query)}
  GROUP BY time
  HAVING ${WHOLE_BUCKETS} AND length(merged) > 0
)
ORDER BY time`;
}

/** Upper bound of a row in seconds, two digits: `0.00098`, `0.50`, `1.0` (never `1`, which JavaScript objects would move to the front). */
function bound(exponent: number): string {
  return (2 ** exponent).toPrecision(2);
}

/**
 * `(SELECT ...)` of one generic metric with the identity of its series, one row per series and bucket; columns `ts` (the bucket's start),
 * `service, runtime, instance, worker, attributes, series_id, total, n`: sum and number of the samples. Needs {@link WITH_STEP}.
 * A LEFT join: `ANY INNER JOIN` would keep one sample of each series.
 */
export function metricSource(metric: string): Subquery {
  return genericSource("samples", metric, "sum(total) AS total, sum(n) AS n", "total, n");
}

/** The same for an exponential histogram: `count`, `sum`, `max` of what was measured. */
export function histogramSource(metric: string): Subquery {
  const columns = "toUInt64(sum(w.count)) AS count, ifNull(sum(w.sum), 0) AS sum, max(w.max) AS max";
  return genericSource("exp_histograms", metric, columns, "count, sum, max");
}

function genericSource(table: "samples" | "exp_histograms", metric: string, columns: string, names: string): Subquery {
  return `(
  SELECT p.ts AS ts, p.service AS service, x.runtime AS runtime, x.instance AS instance, x.worker AS worker, x.attributes AS attributes,
    p.series_id AS series_id, ${names}
  FROM (
    SELECT ${BUCKET.replace("(ts,", "(w.ts,")} AS ts, w.service AS service, w.series_id AS series_id, ${columns}
    FROM ${windowRows(table, columns)} AS w
    WHERE w.metric = '${metric}' AND $__timeFilter(w.ts) AND ${TIER_WITHOUT_5M}
    GROUP BY ts, service, series_id
  ) AS p
  ANY LEFT JOIN (SELECT series_id, runtime, instance, worker, attributes FROM tidemark.series WHERE metric = '${metric}') AS x
    ON p.series_id = x.series_id
)`;
}

/** Name of one process on a chart: service and worker number, or the beginning of its id. */
export const PROCESS = "concat(service, ' ', if(worker != '', worker, substring(instance, 1, 8)))";

/** Rows of the query; `uses` is what it computes of them. */
function source(query: Omit<SeriesQuery, "name"> & { readonly name?: string }, uses: string): string {
  if (query.from.startsWith("(")) return query.from;
  return windowRows(query.from as Subject, [query.name, query.where, uses].join(" "));
}

function conditions(query: Omit<SeriesQuery, "name">): string {
  // A subquery has chosen its rows, and gives them the time of their bucket.
  const rows = query.from.startsWith("(") ? [] : ["$__timeFilter(ts)", tierOf(query.from as Subject)];
  return [...rows, query.where, query.filter ?? VARIABLE_FILTER].filter((part) => part !== undefined).join(" AND ");
}
