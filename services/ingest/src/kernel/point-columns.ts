import type { Wire } from "../otlp/wire.ts";
import type { Bytes, Fixed, List, Optional } from "../rows/columns.ts";
import type { Tables } from "../rows/tables.ts";
import type { Kernel, Walk } from "./kernel.ts";

export type PointKind = "numbers" | "histograms" | "exponentials";

/** What the kernel has of one table: rows that wait to be appended to the table's columns. */
interface Pending {
  readonly walk: Walk;
  readonly rows: () => number;
  readonly append: (rows: number) => void;
  readonly clear: () => void;
  /** Rows appended so far. */
  appended: number;
}

/** The rows that the kernel makes of data points, on their way into the columns of the tables. */
export class PointColumns {
  private readonly kernel: Kernel;
  private readonly pending: Readonly<Record<PointKind, Pending>>;

  constructor(kernel: Kernel, tables: Tables) {
    this.kernel = kernel;
    const { functions, layout } = kernel;
    const append = (to: Bytes, name: string, bytes: number) => {
      const from = layout(name);
      to.raw(kernel.bytes, from, from + bytes);
    };
    const fixed = (column: Fixed, name: string) => {
      const from = layout(name);
      return (rows: number) => column.bytes.raw(kernel.bytes, from, from + rows * column.width);
    };
    const optional = ({ inner, nulls }: Optional, name: string, noName: string) => {
      const values = fixed(inner, name);
      const from = layout(noName);
      return (rows: number) => {
        values(rows);
        nulls.raw(kernel.bytes, from, from + rows);
      };
    };
    const ends = (column: Pick<List<Fixed>, "appendEnds">, name: string) => {
      const from = layout(name);
      return (rows: number) => column.appendEnds(kernel.bytes, from, rows);
    };
    const distribution = (prefix: string, table: Tables["histograms"] | Tables["exp_histograms"]) => {
      const { series_id, ts, count, sum, min, max } = table.columns;
      return [
        fixed(series_id, `${prefix}_SERIES`),
        fixed(ts, `${prefix}_TIME`),
        fixed(count, `${prefix}_COUNT`),
        optional(sum, `${prefix}_SUM`, `${prefix}_NO_SUM`),
        optional(min, `${prefix}_MIN`, `${prefix}_NO_MIN`),
        optional(max, `${prefix}_MAX`, `${prefix}_NO_MAX`),
      ];
    };
    const { samples, histograms, exp_histograms } = tables;
    const numberColumns = [
      fixed(samples.columns.series_id, "NUMBER_SERIES"),
      fixed(samples.columns.ts, "NUMBER_TIME"),
      fixed(samples.columns.m, "NUMBER_MANTISSA"),
      fixed(samples.columns.e, "NUMBER_EXPONENT"),
    ];
    const { bounds, buckets } = histograms.columns;
    const histogramColumns = [
      ...distribution("HISTOGRAM", histograms),
      ends(bounds, "HISTOGRAM_BOUNDS_END"),
      ends(buckets, "HISTOGRAM_BUCKETS_END"),
    ];
    const { scale, zero, positive, negative } = exp_histograms.columns;
    const exponentialColumns = [
      ...distribution("EXPONENTIAL", exp_histograms),
      fixed(scale, "EXPONENTIAL_SCALE"),
      fixed(zero, "EXPONENTIAL_ZERO"),
      ends(positive, "POSITIVE_END"),
      ends(negative, "NEGATIVE_END"),
    ];
    this.pending = {
      numbers: {
        walk: functions.takeNumbers,
        rows: functions.numberRows,
        append: (rows) => {
          for (const column of numberColumns) column(rows);
        },
        clear: functions.clearNumbers,
        appended: 0,
      },
      histograms: {
        walk: functions.takeHistograms,
        rows: functions.histogramRows,
        append: (rows) => {
          for (const column of histogramColumns) column(rows);
          append(bounds.items.bytes, "HISTOGRAM_BOUNDS", functions.boundItems() * 8);
          append(buckets.items.bytes, "HISTOGRAM_BUCKETS", functions.bucketItems() * 8);
        },
        clear: functions.clearHistograms,
        appended: 0,
      },
      exponentials: {
        walk: functions.takeExponentials,
        rows: functions.exponentialRows,
        append: (rows) => {
          for (const column of exponentialColumns) column(rows);
          const positives = functions.positiveItems();
          const negatives = functions.negativeItems();
          append(positive.keys.bytes, "POSITIVE_KEYS", positives * 4);
          append(positive.items.bytes, "POSITIVE_COUNTS", positives * 8);
          append(negative.keys.bytes, "NEGATIVE_KEYS", negatives * 4);
          append(negative.items.bytes, "NEGATIVE_COUNTS", negatives * 8);
        },
        clear: functions.clearExponentials,
        appended: 0,
      },
    };
  }

  /** Points taken that become no row, by their senders' word; since the start. */
  get silent(): number {
    return this.kernel.functions.silentPoints();
  }

  /** Takes points from the wire's position on; returns how many rows they became, which are appended by `flush`. */
  take(kind: PointKind, wire: Wire, end: number): number {
    const pending = this.pending[kind];
    const before = pending.appended + pending.rows();
    this.kernel.walk(pending.walk, wire, end);
    const rows = pending.appended + pending.rows() - before;
    this.kernel.rows += rows;
    return rows;
  }

  /** Appends what waits for one table: to be called before a row is written to it by anybody else. */
  flush(kind: PointKind): void {
    const pending = this.pending[kind];
    const rows = pending.rows();
    if (rows === 0) return;
    pending.append(rows);
    pending.appended += rows;
    pending.clear();
  }

  flushAll(): void {
    this.flush("numbers");
    this.flush("histograms");
    this.flush("exponentials");
  }

  /** Forgets what waits: rows of a request that could not be read to its end. */
  clear(): void {
    for (const pending of Object.values(this.pending)) pending.clear();
  }
}
