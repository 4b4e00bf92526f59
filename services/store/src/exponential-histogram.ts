/** What to merge and by what. */
export interface ExponentialMerge {
  /** `exp_histograms`, one of its rollups, the view `exp_histogram_windows`, or a `(SELECT ...)` with their columns. */
  readonly from: string;
  /** Columns of the result by name: SQL over the columns of `from`. None: one row of everything. */
  readonly by?: Readonly<Record<string, string>>;
  /** SQL condition over the columns of `from`. */
  readonly where?: string;
}

/**
 * SQL (a `SELECT`) that merges exponential histograms of any scales, as different processes and SDKs send them: one row per `by` with
 * `scale` (the coarsest that was met), `count`, `sum`, `min`, `max`, `zero`, `positive` and `negative`.
 *
 * Bucket i of scale s is inside bucket i >> (s - t) of a coarser scale t, so merging loses resolution and nothing else.
 * Source: OpenTelemetry metrics data model, exponential histogram, "All scales are perfectly mergeable".
 */
export function mergeExponential({ from, by = {}, where = "1" }: ExponentialMerge): string {
  const names = Object.keys(by)
    .map((name) => `${name}, `)
    .join("");
  const columns = Object.entries(by)
    .map(([name, sql]) => `${sql} AS ${name}, `)
    .join("");
  const group = Object.keys(by)
    .map((name) => `${name}, `)
    .join("");
  const partition = Object.keys(by).length === 0 ? "" : `PARTITION BY ${Object.keys(by).join(", ")}`;
  const downscaled = (map: string): string =>
    `sumMap(mapApply((k, v) -> (bitShiftRight(k, part_scale - coarsest), v), part_${map})) AS ${map}`;
  return `SELECT ${names}coarsest AS scale, sum(part_count) AS count, sum(part_sum) AS sum, min(part_min) AS min, max(part_max) AS max, sum(part_zero) AS zero,
  ${downscaled("positive")},
  ${downscaled("negative")}
FROM (
  SELECT *, min(part_scale) OVER (${partition}) AS coarsest
  FROM (
    SELECT ${columns}h.scale AS part_scale, sum(h.count) AS part_count, sum(h.sum) AS part_sum, min(h.min) AS part_min, max(h.max) AS part_max, sum(h.zero) AS part_zero,
      sumMap(h.positive) AS part_positive, sumMap(h.negative) AS part_negative
    FROM ${from} AS h
    WHERE ${where}
    GROUP BY ${group}part_scale
  )
)
GROUP BY ${group}coarsest`;
}

/**
 * SQL for a quantile of one exponential histogram, Nullable(Float64): over the columns `scale, zero, positive, negative, min, max`, as a row
 * of {@link mergeExponential} or of `exp_histograms` has them. NULL without a measurement.
 *
 * Inside the bucket that holds the rank the value is interpolated geometrically, so the error is below the width of a bucket,
 * 2^(2^-scale) - 1 of the value (4.4 % at scale 4); it is kept within `min` and `max` where they were sent.
 * Throws RangeError for a `q` outside 0..1.
 */
export function exponentialQuantile(q: number): string {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile must be from 0 to 1, got ${q}`);
  // From the lowest value up: negative buckets by falling index, zero, positive ones by rising index. Equal parts are computed once.
  const below = "arrayReverse(mapKeys(mapSort(n)))";
  const above = "mapKeys(mapSort(p))";
  const counts = "arrayConcat(arrayReverse(mapValues(mapSort(n))), [z], mapValues(mapSort(p)))";
  const sums = `arrayCumSum(${counts})`;
  const rank = `(${q} * arraySum(${counts}))`;
  const at = `arrayFirstIndex(x -> x > 0 AND x >= ${rank}, ${sums})`;
  const share = `((${rank} - (${sums}[${at}] - ${counts}[${at}])) / ${counts}[${at}])`;
  const value = `multiIf(${at} <= length(n), -exp2((${below}[${at}] + 1 - ${share}) / exp2(s)), ${at} = length(n) + 1, 0., exp2((${above}[${at} - length(n) - 1] + ${share}) / exp2(s)))`;
  const quantile = `arrayMap((n, z, p, s) -> if(arraySum(${counts}) = 0, NULL, ${value}), [negative], [zero], [positive], [scale])[1]`;
  return `greatest(ifNull(min, -inf), least(ifNull(max, inf), ${quantile}))`;
}
