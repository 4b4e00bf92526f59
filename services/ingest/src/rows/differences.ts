import type { Point } from "../otlp/point.ts";
import type { Scale4 } from "./scale4.ts";
import type { Reached, Series } from "./series.ts";

/** What came since the series' last point. */
export interface Difference {
  readonly count: number;
  readonly sum: number;
}

/**
 * Turns a cumulative point into what is new since the series' last one; `buckets` is reduced in place.
 *
 * A new start time or a falling count is a restart of the sender: everything counts as new. The first point this
 * process sees counts in full only when its series began after `since` (this process's own start, in ms): older totals
 * belong to times that were recorded before or never. A point older than the last one, or of an earlier start, came late
 * and says nothing new: the last one holds it already, or its start is over. Returns undefined when there is nothing to record.
 * Source: OpenTelemetry metrics data model, "Sums: detecting alignment issues" and "Resets and gaps".
 */
export function difference(
  series: Series,
  point: Point,
  now: Difference,
  buckets: Scale4 | undefined,
  atMs: number,
  beganAtMs: number,
  since: number,
): Difference | undefined {
  const before = series.reached;
  if (before !== undefined && late(before, point, now, atMs)) return undefined;
  const reached: Reached = {
    beginLo: point.beginLo,
    beginHi: point.beginHi,
    atMs,
    count: now.count,
    sum: now.sum,
    buckets: buckets === undefined ? undefined : new Map(buckets),
  };
  series.reached = reached;
  if (before === undefined) return beganAtMs >= since ? now : undefined;
  const restarted =
    before.beginLo !== reached.beginLo || before.beginHi !== reached.beginHi || now.count < before.count;
  if (restarted) return now;
  if (buckets !== undefined && before.buckets !== undefined) {
    for (const [key, count] of before.buckets) {
      const left = (buckets.get(key) ?? 0) - count;
      if (left > 0) buckets.set(key, left);
      else buckets.delete(key);
    }
  }
  return { count: now.count - before.count, sum: now.sum - before.sum };
}

function late(before: Reached, point: Point, now: Difference, atMs: number): boolean {
  const { beginLo, beginHi } = point;
  if (beginHi !== before.beginHi) return beginHi < before.beginHi;
  if (beginLo !== before.beginLo) return beginLo < before.beginLo;
  return atMs < before.atMs || (atMs === before.atMs && now.count < before.count);
}
