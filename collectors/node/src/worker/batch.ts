import { METRICS, type Metric } from "@tidemark/semconv";
import type { HistogramDelta } from "../shared/histogram.ts";
import type { Attributes } from "../shared/messages.ts";

const registry = new Map<string, Metric>(METRICS.map((metric) => [metric.name, metric]));

export interface Point {
  readonly attributes: Attributes;
  readonly value: number | HistogramDelta;
}

/** Every point of one export, by metric. Unit and kind come from the registry. */
export class Batch {
  readonly metrics = new Map<Metric, Point[]>();
  points = 0;

  /**
   * Adds a point; nothing if the value is absent or not a number.
   *
   * @throws {RangeError} the registry has no such metric.
   */
  add(name: string, attributes: Attributes, value: number | HistogramDelta | undefined): void {
    if (value === undefined || (typeof value === "number" && !Number.isFinite(value))) return;
    const metric = registry.get(name);
    if (metric === undefined) throw new RangeError(`metric ${name} is not in the registry`);
    let points = this.metrics.get(metric);
    if (points === undefined) {
      points = [];
      this.metrics.set(metric, points);
    }
    points.push({ attributes, value });
    this.points += 1;
  }
}

/** Attributes of a point of the `tidemark.resource.*` family. */
export function resource(kind: string, name: string): Attributes {
  return { "tidemark.resource.kind": kind, "tidemark.resource.name": name, "tidemark.resource.scope": "process" };
}

/** Turns ever-growing numbers into what an interval added. */
export class Differences {
  readonly #previous = new Map<string, number>();

  /** Difference to the last value under this key; from zero at first. Never negative. */
  of(key: string, value: number | undefined): number | undefined {
    if (value === undefined) return undefined;
    const before = this.#previous.get(key) ?? 0;
    this.#previous.set(key, value);
    return Math.max(0, value - before);
  }
}
