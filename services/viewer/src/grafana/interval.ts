import { roundInterval } from "@tidemark/dashboards/interval";

const UNIT_MS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  M: 2_592_000_000,
  y: 31_536_000_000,
};

/** Milliseconds of `10s`, `>5m`, `250ms`; undefined when the text is no duration. */
export function durationMs(text: string): number | undefined {
  const match = /^\s*>?\s*(\d+(?:\.\d+)?)\s*(ms|[smhdwMy])\s*$/.exec(text);
  return match ? Number(match[1]) * UNIT_MS[match[2]!]! : undefined;
}

/**
 * The interval Grafana gives a panel: range / points, rounded, not below the panel's minimum.
 *
 * `minInterval` is the panel's own text (`10s`); all numbers in ms. Source: Grafana, `rangeutil.calculateInterval`.
 */
export function panelInterval(rangeMs: number, maxDataPoints: number, minInterval?: string | null): number {
  const rounded = roundInterval(rangeMs / Math.max(1, maxDataPoints));
  const low = minInterval ? (durationMs(minInterval) ?? 0) : 0;
  return Math.max(1, rounded, low);
}
