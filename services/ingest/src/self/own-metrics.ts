import type { MetricObjectWithValues, MetricValue } from "prom-client";

/** A metric of /metrics and its name in `collectors/semconv`; labels by the attributes they become. */
interface OwnMetric {
  readonly name: string;
  readonly unit: string;
  readonly attributes: Readonly<Record<string, string>>;
}

const TABLE = { table: "db.collection.name" };
const own = (name: string, unit: string, attributes: Readonly<Record<string, string>> = {}): OwnMetric => ({
  name: `tidemark.ingest.${name}`,
  unit,
  attributes,
});

/**
 * Which metrics of /metrics are stored too, by their Prometheus name. Those that survive restarts are not: a restart is no
 * news of theirs.
 */
export const OWN_METRICS: Readonly<Record<string, OwnMetric>> = {
  tidemark_ingest_requests_total: own("requests", "{request}", {
    signal: "tidemark.signal",
    protocol: "network.protocol.name",
    status: "tidemark.status",
  }),
  tidemark_ingest_points_total: own("points", "{point}", { signal: "tidemark.signal", service: "tidemark.source" }),
  tidemark_ingest_bytes_total: own("io", "By", { signal: "tidemark.signal", service: "tidemark.source" }),
  tidemark_ingest_rejected_points_total: own("rejected", "{point}", {
    signal: "tidemark.signal",
    reason: "tidemark.rejected.reason",
  }),
  tidemark_ingest_overflow_points_total: own("overflow", "{point}", {
    service: "tidemark.source",
    metric: "tidemark.overflow.metric",
    outcome: "tidemark.overflow.outcome",
  }),
  tidemark_ingest_live_series: own("series", "{series}"),
  tidemark_ingest_acknowledge_seconds: own("acknowledge.duration", "s"),
  tidemark_ingest_sync_seconds: own("sync.duration", "s"),
  tidemark_ingest_insert_seconds: own("insert.duration", "s", TABLE),
  tidemark_ingest_insert_rows: own("insert.rows", "{row}", TABLE),
  tidemark_ingest_insert_failures_total: own("insert.failures", "{insert}", TABLE),
  tidemark_ingest_set_aside_points_total: own("set_aside", "{point}", TABLE),
  tidemark_ingest_damaged_segments_total: own("damaged_segments", "{segment}"),
  tidemark_ingest_queue_bytes: own("queue.size", "By"),
  tidemark_ingest_queue_limit_bytes: own("queue.limit", "By"),
  tidemark_ingest_queue_segments: own("queue.segments", "{segment}"),
  tidemark_ingest_insert_lag_seconds: own("queue.age", "s"),
  tidemark_ingest_clickhouse_up: own("clickhouse.up", "1"),
  tidemark_ingest_own_reports_dropped_total: own("own.dropped", "{report}", { reason: "tidemark.dropped.reason" }),
};

/** Times of a report, in nanoseconds since 1970 as OTLP/JSON writes them. */
export interface ReportTimes {
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
}

/** Values at the last report by metric and labels: what is sent is what was added since. */
export type Reached = Map<string, number>;

/**
 * The metrics as OTLP/JSON, counters and histograms as deltas since `before`; what they have now is put into `after`.
 * A histogram that nothing was added to is left out.
 */
export function ownPoints(
  metrics: readonly MetricObjectWithValues<MetricValue<string>>[],
  times: ReportTimes,
  before: Reached,
  after: Reached,
): object[] {
  return metrics.flatMap((metric): object[] => {
    const target = OWN_METRICS[metric.name];
    if (target === undefined) return [];
    const { name, unit } = target;
    // prom-client's types say number; its JSON says the word.
    const type = String(metric.type);
    const since = (key: string, value: number) => {
      after.set(key, value);
      return value - (before.get(key) ?? 0);
    };
    if (type === "histogram") {
      const dataPoints = histogramPoints(metric, target, times, since);
      return dataPoints.length === 0 ? [] : [{ name, unit, histogram: { aggregationTemporality: DELTA, dataPoints } }];
    }
    const dataPoints = metric.values.map(({ labels, value }) => ({
      ...times,
      attributes: attributesOf(target, labels),
      asDouble: type === "counter" ? since(`${name}\0${JSON.stringify(labels)}`, value) : value,
    }));
    if (dataPoints.length === 0) return [];
    return [
      type === "counter"
        ? { name, unit, sum: { aggregationTemporality: DELTA, isMonotonic: true, dataPoints } }
        : { name, unit, gauge: { dataPoints } },
    ];
  });
}

const DELTA = 1;

interface Distribution {
  readonly labels: Partial<Record<string, string | number>>;
  /** Counts up to and including each bound; the last is the count of all. */
  readonly upTo: number[];
  readonly bounds: number[];
  sum: number;
}

function histogramPoints(
  metric: MetricObjectWithValues<MetricValue<string>>,
  target: OwnMetric,
  times: ReportTimes,
  since: (key: string, value: number) => number,
): object[] {
  const byLabels = new Map<string, Distribution>();
  for (const { labels: given, value, metricName } of metric.values as readonly (MetricValue<string> & {
    readonly metricName?: string;
  })[]) {
    const { le, ...labels } = given as Partial<Record<string, string | number>>;
    const key = JSON.stringify(labels);
    let distribution = byLabels.get(key);
    if (distribution === undefined) {
      distribution = { labels, upTo: [], bounds: [], sum: 0 };
      byLabels.set(key, distribution);
    }
    if (metricName?.endsWith("_bucket")) {
      distribution.upTo.push(value);
      if (le !== "+Inf") distribution.bounds.push(Number(le));
    } else if (metricName?.endsWith("_sum")) distribution.sum = value;
  }
  return [...byLabels].flatMap(([key, { labels, upTo, bounds, sum }]) => {
    const added = upTo.map((value, i) => since(`${target.name}\0${key}\0${i}`, value));
    const addedSum = since(`${target.name}\0${key}\0sum`, sum);
    const count = added.at(-1) ?? 0;
    if (count === 0) return [];
    return [
      {
        ...times,
        attributes: attributesOf(target, labels),
        count: String(count),
        sum: addedSum,
        bucketCounts: added.map((value, i) => String(value - (added[i - 1] ?? 0))),
        explicitBounds: bounds,
      },
    ];
  });
}

function attributesOf(target: OwnMetric, labels: Partial<Record<string, string | number>>): object[] {
  return Object.entries(labels).map(([label, value]) => ({
    key: target.attributes[label] ?? label,
    value: { stringValue: String(value) },
  }));
}
