/** Upper limit of the raw interval and what it is rounded to, in milliseconds. Source: grafana `packages/grafana-data`, rangeutil.ts. */
const LADDER: readonly (readonly [below: number, rounded: number])[] = [
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
const YEAR_MS = 31_536_000_000;

/** The next comfortable interval of Grafana's ladder, in milliseconds. Source: Grafana, `rangeutil.roundInterval`. */
export function roundInterval(intervalMs: number): number {
  return LADDER.find(([below]) => intervalMs < below)?.[1] ?? YEAR_MS;
}

/** Width of one point in milliseconds for a range drawn with at most `maxDataPoints` points, never below `minMs`. */
export function grafanaInterval(rangeMs: number, maxDataPoints: number, minMs: number): number {
  return Math.max(roundInterval(rangeMs / maxDataPoints), minMs);
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };

/**
 * Milliseconds of a panel's `interval`, for example `5s`.
 *
 * @throws {RangeError} not a number and a unit.
 */
export function parseInterval(text: string): number {
  const [, amount, unit] = /^>?(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) throw new RangeError(`not an interval: ${text}`);
  return Number(amount) * (UNITS_MS[unit] ?? 1);
}
