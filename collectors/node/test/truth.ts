import { expect } from "vitest";
import { merge, type Point, quantile } from "./otlp-sink.ts";

/** Quantiles and mean of waits, in seconds. */
export interface Waits {
  readonly mean: number;
  readonly p90: number;
  readonly p99: number;
  readonly count: number;
}

/** Waits that a program took of its own, and since when (Unix, milliseconds): what was before, its start, is left out. */
export interface Truth extends Waits {
  readonly since: number;
}

/** What the agent's histograms say, and between which waits its p99 lies, as far as so few samples can tell. */
export interface Told extends Waits {
  readonly p99Bounds: readonly [number, number];
}

const FLOOR_SECONDS = 0.001;
/** Standard errors: 95 of 100 bounds hold the truth. */
const ERRORS = 2;

/** What the agent's histograms say. */
export function told(points: readonly Point[]): Told {
  const histogram = merge(points);
  const { count } = histogram;
  // The share of samples below a quantile is binomial: its standard error is sqrt(q (1 - q) / n).
  const error = ERRORS * Math.sqrt((0.99 * 0.01) / count);
  return {
    mean: histogram.sum / count,
    p90: quantile(histogram, 0.9),
    p99: quantile(histogram, 0.99),
    p99Bounds: [quantile(histogram, 0.99 - error), quantile(histogram, Math.min(1, 0.99 + error))],
    count,
  };
}

/**
 * Expects each of some numbers within a share of the truth or 1 ms, whichever is larger, and prints both. Of the p99,
 * that rests on a handful of samples, some wait within its bounds has to be that close.
 */
export function expectClose(
  name: string,
  measured: Told,
  truth: Waits,
  share: number,
  numbers: readonly ("mean" | "p90" | "p99")[],
): void {
  const ms = (seconds: number) => (1000 * seconds).toFixed(1);
  const line = numbers.map((number) => `${number} ${ms(measured[number])} (truth ${ms(truth[number])}) ms`).join(", ");
  const bounds = measured.p99Bounds.map(ms).join(" to ");
  console.log(`${name}: ${line}; ${measured.count} probes (p99 from ${bounds} ms), ${truth.count} arrivals`);
  for (const number of numbers) {
    const [low, high] = number === "p99" ? measured.p99Bounds : [measured[number], measured[number]];
    const apart = Math.max(low - truth[number], truth[number] - high, 0);
    expect(apart, `${name}, ${number}`).toBeLessThanOrEqual(Math.max(FLOOR_SECONDS, share * truth[number]));
  }
}

/**
 * Code, for a program under test, of `took(wait in milliseconds)`, of `summary()`: mean and quantiles in seconds, of
 * `settled(share)`: after how many milliseconds two samples of such waits have means with a standard error of that share
 * (waits that overlap are one sample, and the more they differ the more it takes), and of `poisson(perSecond, body)`:
 * text of a thread's code that calls `body` at exponential gaps.
 */
export const TRUTH_CODE = `
  const waits = [];
  let since;
  const took = (wait) => {
    since ??= Date.now();
    waits.push(wait);
  };
  const summary = () => {
    const sorted = waits.toSorted((a, b) => a - b);
    const at = (share) => sorted[Math.floor(sorted.length * share)] / 1000;
    const mean = sorted.reduce((sum, wait) => sum + wait, 0) / sorted.length / 1000;
    return { mean, p90: at(0.9), p99: at(0.99), count: sorted.length, since };
  };
  const settled = (share) => {
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    const variance = waits.reduce((sum, wait) => sum + (wait - mean) ** 2, 0) / waits.length;
    return (2 * variance) / mean / share ** 2;
  };
  const poisson = (perSecond, body) =>
    "const { parentPort } = require('node:worker_threads');" +
    "const nowMs = () => Number(process.hrtime.bigint()) / 1e6;" +
    "const next = () => setTimeout(() => {" + body + "; next(); }, -Math.log(1 - Math.random()) * " + 1000 / perSecond + ");" +
    "next();";
`;
