import { type ExponentialPoint, type MetricPoint, metricPoints } from "./otlp-bytes.ts";
import type { WriteSeries } from "./prometheus.ts";
import { isJson, type RecordedRequest } from "./recording.ts";

/** Prometheus' finest schema of native histograms. */
const MAX_SCHEMA = 8;
/** What OpenTelemetry advises for durations in seconds. Source: semantic conventions, http.server.request.duration. */
const SECONDS_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** The SDKs' default for everything else. Source: OpenTelemetry specification, explicit bucket histogram aggregation. */
const OTHER_BOUNDS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];

const boundsOf = (unit: string): readonly number[] => (unit === "s" ? SECONDS_BOUNDS : OTHER_BOUNDS);

/** Samples that one point is in Prometheus with classic histograms: one per bucket, and the sum and the count. */
export function classicSamples(point: MetricPoint): number {
  return point.kind === "number" ? 1 : boundsOf(point.unit).length + 1 + 2;
}

interface Cumulated {
  count: number;
  sum: number;
  zero: number;
  scale: number;
  /** By OpenTelemetry's index: bucket i ends at 2^((i + 1) / 2^scale). */
  buckets: Map<number, number>;
}

/**
 * The recording's metric points the way Prometheus holds them: one remote-write request per OTLP request. Differences
 * are added up, as a Prometheus must; an exponential histogram is one native histogram, or with `classic` one
 * series for each of OpenTelemetry's default bounds, `_sum` and `_count`. Labels are `job`, `instance` and the point's attributes.
 */
export function* prometheusSeries(requests: Iterable<RecordedRequest>, classic: boolean): Generator<WriteSeries[]> {
  const counters = new Map<string, number>();
  const histograms = new Map<string, Cumulated>();
  for (const request of requests) {
    if (request.path !== "/v1/metrics" || isJson(request)) continue;
    const written: WriteSeries[] = [];
    for (const point of metricPoints(request.body)) {
      const labels = labelsOf(point);
      const key = JSON.stringify(labels);
      const { milliseconds } = point;
      if (point.kind === "number") {
        const value = point.delta ? (counters.get(key) ?? 0) + point.value : point.value;
        if (point.delta) counters.set(key, value);
        written.push({ labels, milliseconds, value });
        continue;
      }
      const total = added(histograms.get(key), point);
      histograms.set(key, total);
      if (classic) written.push(...classicSeries(labels, total, boundsOf(point.unit), milliseconds));
      else {
        const { count, sum, zero, scale } = total;
        const positive = new Map([...total.buckets].map(([index, n]) => [index + 1, n]));
        written.push({ labels, milliseconds, histogram: { count, sum, zero, schema: scale, positive } });
      }
    }
    if (written.length > 0) yield written;
  }
}

function labelsOf(point: MetricPoint): Record<string, string> {
  const { resource, attributes } = point;
  const suffix = point.kind === "number" && point.monotonic ? "_total" : "";
  return {
    ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [labelName(name), value])),
    job: resource["service.name"] ?? "",
    instance: resource["service.instance.id"] ?? "",
    __name__: `${labelName(point.metric)}${suffix}`,
  };
}

const labelName = (name: string): string => name.replaceAll(/[^A-Za-z0-9_]/g, "_");

function added(before: Cumulated | undefined, point: ExponentialPoint): Cumulated {
  const delta = point.delta ? before : undefined;
  const scale = Math.min(MAX_SCHEMA, point.scale, delta?.scale ?? MAX_SCHEMA);
  const buckets = new Map<number, number>();
  const add = (index: number, ofScale: number, count: number): void => {
    const coarser = Math.floor(index / 2 ** (ofScale - scale));
    if (count > 0) buckets.set(coarser, (buckets.get(coarser) ?? 0) + count);
  };
  for (const [index, count] of delta?.buckets ?? []) add(index, delta!.scale, count);
  point.positive.counts.forEach((count, i) => {
    add(point.positive.offset + i, point.scale, count);
  });
  return {
    count: point.count + (delta?.count ?? 0),
    sum: point.sum + (delta?.sum ?? 0),
    zero: point.zero + (delta?.zero ?? 0),
    scale,
    buckets,
  };
}

function classicSeries(
  labels: Record<string, string>,
  total: Cumulated,
  bounds: readonly number[],
  milliseconds: number,
): WriteSeries[] {
  const name = labels.__name__ ?? "";
  const ends = [...total.buckets].map(([index, count]) => ({ end: 2 ** ((index + 1) / 2 ** total.scale), count }));
  const buckets = bounds.map((bound) => ({
    le: String(bound),
    value: ends.reduce((below, { end, count }) => (end <= bound ? below + count : below), total.zero),
  }));
  return [
    ...[...buckets, { le: "+Inf", value: total.count }].map(({ le, value }) => ({
      labels: { ...labels, __name__: `${name}_bucket`, le },
      milliseconds,
      value,
    })),
    { labels: { ...labels, __name__: `${name}_sum` }, milliseconds, value: total.sum },
    { labels: { ...labels, __name__: `${name}_count` }, milliseconds, value: total.count },
  ];
}
