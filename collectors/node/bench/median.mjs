/** Number below which this share of the numbers lies. */
export function quantile(numbers, share) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
}

export const median = (numbers) => quantile(numbers, 0.5);

/**
 * Bounds between which the median of what the numbers were drawn from lies, in 95 of 100 cases at least: two of the
 * numbers, whatever their distribution. With fewer than six numbers there are no such bounds; these are the outermost.
 */
export function medianBounds(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const draws = sorted.length;
  let outside = 0; // so many numbers at each end can be left out
  let ways = 1;
  for (let below = ways; 2 * below <= 0.05 * 2 ** draws && outside < draws >> 1; below += ways) {
    outside += 1;
    ways = (ways * (draws - outside + 1)) / outside;
  }
  const first = Math.max(0, outside - 1);
  return { lower: sorted[first], upper: sorted[draws - 1 - first] };
}
