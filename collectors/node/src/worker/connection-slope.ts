const MAX_POINTS = 128;
const MIN_POINTS = 6;
const MIN_SPAN = 50;
const MIN_SPAN_SHARE = 0.2;
const MIN_FIT = 0.6;
/** A fall by this share ends a rising stretch: memory does not come back with the connections. */
const FALL_SHARE = 0.2;

interface Pair {
  readonly connections: number;
  readonly bytes: number;
}

export interface Slope {
  /** Bytes one more connection costs. */
  readonly bytes: number;
  /** Coefficient of determination. */
  readonly fit: number;
  /** Largest less smallest number of connections. */
  readonly span: number;
}

/**
 * Memory per connection as a regression slope on a rising stretch, never resident memory divided by connections.
 * Theil-Sen, which a garbage collection in between does not bend. No answer where connections varied by less than
 * 50 or 20 % of their mean, or the fit is below 0.6.
 */
export class ConnectionSlope {
  #pairs: Pair[] = [];
  #peak = 0;

  add(connections: number, bytes: number): void {
    if (connections < this.#peak * (1 - FALL_SHARE)) {
      this.#pairs = [];
      this.#peak = 0;
    }
    if (connections < this.#peak) return;
    this.#peak = connections;
    const last = this.#pairs.at(-1);
    // One pair per number of connections, the latest: a plateau would outweigh the rise.
    if (last !== undefined && last.connections === connections) this.#pairs.pop();
    this.#pairs.push({ connections, bytes });
    if (this.#pairs.length > MAX_POINTS) this.#pairs = this.#pairs.filter((_, index) => index % 2 === 0);
  }

  get slope(): Slope | undefined {
    const pairs = this.#pairs;
    if (pairs.length < MIN_POINTS) return undefined;
    const counts = pairs.map(({ connections }) => connections);
    const span = Math.max(...counts) - Math.min(...counts);
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    if (span < Math.max(MIN_SPAN, MIN_SPAN_SHARE * mean)) return undefined;
    const slopes: number[] = [];
    for (const [index, a] of pairs.entries()) {
      for (const b of pairs.slice(index + 1)) {
        if (a.connections !== b.connections) slopes.push((b.bytes - a.bytes) / (b.connections - a.connections));
      }
    }
    const bytes = median(slopes);
    const offset = median(pairs.map((pair) => pair.bytes - bytes * pair.connections));
    const meanBytes = pairs.reduce((sum, pair) => sum + pair.bytes, 0) / pairs.length;
    const total = pairs.reduce((sum, pair) => sum + (pair.bytes - meanBytes) ** 2, 0);
    const residual = pairs.reduce((sum, pair) => sum + (pair.bytes - offset - bytes * pair.connections) ** 2, 0);
    const fit = total === 0 ? 0 : 1 - residual / total;
    return fit >= MIN_FIT && bytes > 0 ? { bytes, fit, span } : undefined;
  }
}

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  const middle = values.length >> 1;
  return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2;
}
