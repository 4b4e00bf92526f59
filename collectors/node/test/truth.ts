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

const FLOOR_SECONDS = 0.001;

/** What the agent's histograms say. */
export function told(points: readonly Point[]): Waits {
  const histogram = merge(points);
  return {
    mean: histogram.sum / histogram.count,
    p90: quantile(histogram, 0.9),
    p99: quantile(histogram, 0.99),
    count: histogram.count,
  };
}

/** Expects each of some numbers within a share of the truth or 1 ms, whichever is larger, and prints both. */
export function expectClose(
  name: string,
  measured: Waits,
  truth: Waits,
  share: number,
  numbers: readonly ("mean" | "p90" | "p99")[],
): void {
  const ms = (seconds: number) => (1000 * seconds).toFixed(1);
  const line = numbers.map((number) => `${number} ${ms(measured[number])} (truth ${ms(truth[number])}) ms`).join(", ");
  console.log(`${name}: ${line}; ${measured.count} probes, ${truth.count} arrivals`);
  for (const number of numbers) {
    const tolerance = Math.max(FLOOR_SECONDS, share * truth[number]);
    expect(Math.abs(measured[number] - truth[number]), `${name}, ${number}`).toBeLessThanOrEqual(tolerance);
  }
}

/**
 * Code, for a program under test, of `took(wait in milliseconds)`, of `summary()`: mean and quantiles in seconds, and of
 * `poisson(perSecond, body)`: text of a thread's code that calls `body` at exponential gaps.
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
  const poisson = (perSecond, body) =>
    "const { parentPort } = require('node:worker_threads');" +
    "const nowMs = () => Number(process.hrtime.bigint()) / 1e6;" +
    "const next = () => setTimeout(() => {" + body + "; next(); }, -Math.log(1 - Math.random()) * " + 1000 / perSecond + ");" +
    "next();";
`;
