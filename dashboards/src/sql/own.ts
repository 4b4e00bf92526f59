import { BUCKET, SOURCE_FILTER, WHOLE_BUCKETS } from "./fragments.ts";

/** The ingest reports about itself this often, in seconds, whatever the agents do. */
const PERIOD_SECONDS = 10;
/** "Now": three reports, in seconds. */
const NOW_SECONDS = 30;

/** `WITH` clause that defines `step`, the width of a bucket in seconds: the panel's interval as a multiple of the ingest's period. */
const WITH_STEP = `WITH toUInt32(greatest(${PERIOD_SECONDS}, ceil($__interval_s / ${PERIOD_SECONDS}) * ${PERIOD_SECONDS})) AS step`;

/** Name of one ingest: the beginning of its id. */
export const INGEST = "substring(instance, 1, 8)";

/**
 * `(SELECT ...)` of one metric, by its full name, with the identity of its series; columns `ts, service, instance, attributes, number`. As it
 * came, for every range: one series of the ingest has 8,640 samples a day.
 */
export function ownSource(metric: string): string {
  return `(
  SELECT s.ts AS ts, s.service AS service, x.instance AS instance, x.attributes AS attributes, s.value AS number
  FROM tidemark.samples AS s
  ANY LEFT JOIN (SELECT series_id, instance, attributes FROM tidemark.series WHERE metric = '${metric}' AND service = 'tidemark-ingest') AS x ON s.series_id = x.series_id
  WHERE s.metric = '${metric}' AND s.service = 'tidemark-ingest' AND $__timeFilter(s.ts)
)`;
}

/** SQL for an attribute of an own metric. */
export function attribute(name: string): string {
  return `attributes['${name}']`;
}

/** Sum per second of an own counter, `time, series, value`. */
export function ownRate(metric: string, name: string): string {
  return chart(ownSource(`tidemark.ingest.${metric}`), name, "sum(number) / step");
}

/** Aggregate of a metric by its full name, such as `process.cpu.time`. */
export function ownProcess(metric: string, value: string): string {
  return chart(ownSource(metric), INGEST, value);
}

export function ownGauge(metric: string): string {
  return chart(ownSource(`tidemark.ingest.${metric}`), INGEST, "max(number)");
}

/** Rate of an own counter by the service that sent the data, filtered by the dashboard's services. */
export function ownRateBySource(metric: string): string {
  const source = `(
  SELECT ts, instance, ${attribute("tidemark.source")} AS service, number
  FROM ${ownSource(`tidemark.ingest.${metric}`)}
)`;
  return chart(source, "service", "sum(number) / step", SOURCE_FILTER);
}

function chart(source: string, name: string, value: string, where = "1"): string {
  return `${WITH_STEP}
SELECT ${BUCKET} AS time, toString(${name}) AS series, toFloat64(${value}) AS value
FROM ${source}
WHERE $__timeFilter(ts) AND ${where}
GROUP BY time, series
HAVING ${WHOLE_BUCKETS}
ORDER BY time, series`;
}

/** An own histogram's sum per second (`rate`), or its mean. */
export function ownHistogram(metric: string, name: string, what: "rate" | "mean"): string {
  return chart(histogramSource(metric), name, what === "rate" ? "sum(sum) / step" : "sum(sum) / sum(count)");
}

/** Quantiles of own histograms, one series each: `<name> p99`. */
export function ownQuantiles(
  metrics: readonly { readonly metric: string; readonly name: string }[],
  quantiles: readonly number[],
): string {
  const pairs = quantiles.map((q) => `(' p${Math.round(q * 100)}', ${explicitQuantile("limits", "counts", q)})`);
  const sources = metrics.map(
    ({ metric, name }) => `SELECT ts, '${name}' AS name, bounds, buckets FROM ${histogramSource(metric)}`,
  );
  return `${WITH_STEP}
SELECT time, concat(name, quantile.1) AS series, toFloat64(quantile.2) AS value
FROM (
  SELECT ${BUCKET} AS time, name, any(bounds) AS limits, sumForEach(buckets) AS counts
  FROM (
  ${sources.join("\n  UNION ALL\n  ")}
  )
  GROUP BY time, name
  HAVING ${WHOLE_BUCKETS} AND arraySum(counts) > 0
)
ARRAY JOIN [${pairs.join(",\n  ")}] AS quantile
ORDER BY time, series`;
}

/** The newest value of an own gauge per ingest: `name, value`. */
export function ownLatest(metric: string, value = "argMax(number, ts)"): string {
  return `SELECT ${INGEST} AS name, toFloat64(${value}) AS value
FROM ${ownSource(`tidemark.ingest.${metric}`)}
WHERE ts >= $__toTime - ${NOW_SECONDS} AND ts <= $__toTime
GROUP BY instance
ORDER BY value DESC
LIMIT 25`;
}

function histogramSource(metric: string): string {
  const name = `tidemark.ingest.${metric}`;
  return `(
  SELECT h.ts AS ts, x.attributes AS attributes, toFloat64(h.count) AS count, ifNull(h.sum, 0) AS sum, h.bounds AS bounds, h.buckets AS buckets
  FROM tidemark.histograms AS h
  ANY LEFT JOIN (SELECT series_id, attributes FROM tidemark.series WHERE metric = '${name}' AND service = 'tidemark-ingest') AS x ON h.series_id = x.series_id
  WHERE h.metric = '${name}' AND h.service = 'tidemark-ingest' AND $__timeFilter(h.ts)
)`;
}

/**
 * SQL for a quantile of explicit buckets, interpolated within its bucket; the last bound for what lies above it. As Prometheus'
 * `histogram_quantile` does it.
 */
export function explicitQuantile(bounds: string, counts: string, q: number): string {
  const rank = `(${q} * arraySum(${counts}))`;
  const sums = `arrayCumSum(${counts})`;
  const at = `arrayFirstIndex(n -> n > 0 AND n >= ${rank}, ${sums})`;
  const low = `if(${at} = 1, 0, ${bounds}[${at} - 1])`;
  const share = `(${rank} - (${sums}[${at}] - ${counts}[${at}])) / ${counts}[${at}]`;
  return `if(${at} > length(${bounds}), ${bounds}[-1], ${low} + (${bounds}[${at}] - ${low}) * ${share})`;
}
