import { expect } from "vitest";
import { type Histogram, quantile } from "./otlp-sink.ts";

/** Quantiles and mean of waits, in seconds. */
export interface Waits {
  readonly mean: number;
  readonly p90: number;
  readonly p99: number;
  readonly count: number;
}

const FLOOR_SECONDS = 0.001;

/** What the agent's histogram says. */
export function told(histogram: Histogram): Waits {
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
 * Code, for a program under test, of `summary(waits in milliseconds)`: mean and quantiles in seconds, and of
 * `poisson(perSecond, body)`: text of a thread's code that calls `body` at exponential gaps.
 */
export const TRUTH_CODE = `
  const summary = (waits) => {
    const sorted = waits.toSorted((a, b) => a - b);
    const at = (share) => sorted[Math.floor(sorted.length * share)] / 1000;
    const mean = sorted.reduce((sum, wait) => sum + wait, 0) / sorted.length / 1000;
    return { mean, p90: at(0.9), p99: at(0.99), count: sorted.length };
  };
  const poisson = (perSecond, body) =>
    "const { parentPort } = require('node:worker_threads');" +
    "const nowMs = () => Number(process.hrtime.bigint()) / 1e6;" +
    "const next = () => setTimeout(() => {" + body + "; next(); }, -Math.log(1 - Math.random()) * " + 1000 / perSecond + ");" +
    "next();";
`;
