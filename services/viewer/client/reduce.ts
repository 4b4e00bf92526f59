/** Grafana's reducers by id; null when there is nothing to reduce. Values may hold null. */
export function reduce(values: unknown[], calc: string): number | string | boolean | null {
  if (calc === "last") return primitive(values.at(-1));
  if (calc === "first") return primitive(values[0]);
  if (calc === "lastNotNull") return primitive(values.findLast((value) => value !== null && value !== undefined));
  if (calc === "firstNotNull") return primitive(values.find((value) => value !== null && value !== undefined));
  if (calc === "count") return values.length;
  const numbers = values.filter((value): value is number => typeof value === "number");
  if (calc === "distinctCount") return new Set(values).size;
  if (numbers.length === 0) return null;
  const sum = numbers.reduce((total, value) => total + value, 0);
  switch (calc) {
    case "sum":
      return sum;
    case "mean":
      return sum / numbers.length;
    case "min":
      return numbers.reduce((a, b) => Math.min(a, b));
    case "max":
      return numbers.reduce((a, b) => Math.max(a, b));
    case "range":
      return numbers.reduce((a, b) => Math.max(a, b)) - numbers.reduce((a, b) => Math.min(a, b));
    case "diff":
      return numbers.at(-1)! - numbers[0]!;
    case "delta":
      return numbers.reduce((total, value, i) => total + (i > 0 ? Math.max(0, value - numbers[i - 1]!) : 0), 0);
    case "median":
      return quantile(numbers, 0.5);
    case "p95":
      return quantile(numbers, 0.95);
    case "p99":
      return quantile(numbers, 0.99);
    case "stdDev": {
      const mean = sum / numbers.length;
      return Math.sqrt(numbers.reduce((total, value) => total + (value - mean) ** 2, 0) / numbers.length);
    }
    default:
      return numbers.at(-1)!;
  }
}

/** Names of reducers as a legend's head shows them. */
export const CALC_NAMES: Record<string, string> = {
  last: "Last",
  lastNotNull: "Last",
  first: "First",
  firstNotNull: "First",
  min: "Min",
  max: "Max",
  mean: "Mean",
  sum: "Total",
  count: "Count",
  median: "Median",
  p95: "p95",
  p99: "p99",
  range: "Range",
  diff: "Change",
};

function primitive(value: unknown): number | string | boolean | null {
  return typeof value === "number" || typeof value === "string" || typeof value === "boolean" ? value : null;
}

function quantile(numbers: number[], q: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}
