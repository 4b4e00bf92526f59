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

/** `[below, rounded]` in ms: an interval under `below` becomes `rounded`. Source: Grafana, `rangeutil.roundInterval`. */
const LADDER: [below: number, rounded: number][] = [
  [10, 1],
  [15, 10],
  [35, 20],
  [75, 50],
  [150, 100],
  [350, 200],
  [750, 500],
  [1500, 1000],
  [3500, 2000],
  [7500, 5000],
  [12_500, 10_000],
  [17_500, 15_000],
  [25_000, 20_000],
  [45_000, 30_000],
  [90_000, 60_000],
  [210_000, 120_000],
  [450_000, 300_000],
  [750_000, 600_000],
  [1_050_000, 900_000],
  [1_500_000, 1_200_000],
  [2_700_000, 1_800_000],
  [5_400_000, 3_600_000],
  [9_000_000, 7_200_000],
  [16_200_000, 10_800_000],
  [32_400_000, 21_600_000],
  [86_400_000, 43_200_000],
  [604_800_000, 86_400_000],
  [1_814_400_000, 604_800_000],
  [3_628_800_000, 2_592_000_000],
];
const ONE_YEAR_MS = 31_536_000_000;

/** The next comfortable interval of Grafana's ladder, in ms. */
export function roundInterval(intervalMs: number): number {
  return LADDER.find(([below]) => intervalMs < below)?.[1] ?? ONE_YEAR_MS;
}

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
