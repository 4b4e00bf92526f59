import type { CodecTrial, OrderTrial } from "../support/codec-trials.ts";
import type { PrometheusSize } from "../support/prometheus.ts";
import type { TableSize } from "../support/storage-size.ts";
import type { StorageFigures } from "./storage.ts";

const COLUMNS_SHOWN = 20;
const SECONDS_PER_MINUTE = 60;
/** Columns smaller than this change nothing whatever their codec. */
const TRIAL_BYTES = 1000;

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(row)].join("\n");
const number = (value: number): string => Math.round(value).toLocaleString("en-US");
const per = (bytes: number, count: number): string => (bytes / count).toFixed(2);
const total = (sizes: readonly { readonly bytes: number }[]): number =>
  sizes.reduce((sum, { bytes }) => sum + bytes, 0);

/** The bench's figures as Markdown. */
export function storageTables(figures: StorageFigures): string {
  const { recording, points, tables, tablesBeforeOptimize, rollups, columns, classic, native } = figures;
  const count = points.numbers + points.histograms;
  const ours = total(tables);
  const compared = (name: string, bytes: number, samples: number): (string | number)[] => [
    name,
    number(bytes),
    per(bytes, points.samples),
    per(bytes, count),
    number(samples),
  ];
  const prometheus = (name: string, size: PrometheusSize | undefined): (string | number)[][] =>
    size === undefined
      ? [[`Prometheus, ${name}`, "not measured", "", "", ""]]
      : [
          compared(
            `Prometheus ${size.version}, ${name}: chunks and index`,
            size.chunkBytes + size.indexBytes,
            size.samples,
          ),
          compared(`Prometheus ${size.version}, ${name}: chunks alone`, size.chunkBytes, size.samples),
        ];
  const instanceSeconds = points.processes * recording.seconds;
  return [
    `Recording: ${(recording.seconds / SECONDS_PER_MINUTE).toFixed(0)} minutes of the demo, ${points.processes} processes, an export every ${recording.exportIntervalSeconds} s; ` +
      `${number(recording.requests)} requests, ${number(recording.wireBytes)} bytes on the wire; ${number(count)} metric points ` +
      `(${number(points.numbers)} numbers, ${number(points.histograms)} exponential histograms) of ${number(points.series)} series: ` +
      `${(count / instanceSeconds).toFixed(1)} points per process and second. Engine ${figures.engine}.`,
    "",
    table(
      ["held by", "bytes", "bytes per sample", "bytes per OTLP point", "samples held"],
      [
        compared("Tidemark, after OPTIMIZE FINAL", ours, count),
        compared("Tidemark, as the inserts left it", total(tablesBeforeOptimize), count),
        ...prometheus("classic histograms", classic),
        ...prometheus("native histograms", native),
        compared("Tidemark's rollups, beside it", total(rollups), total(rollups.map(({ rows }) => ({ bytes: rows })))),
      ],
    ),
    "",
    "A sample is what Prometheus' text format makes of a point: a number is one, a histogram is one per bucket (OpenTelemetry's default",
    `bounds) and its sum and count. The recording is ${number(points.samples)} of them.`,
    "",
    table(
      ["table", "rows", "bytes", "bytes per row"],
      tables.map(({ table: name, rows, bytes }: TableSize) => [
        `\`${name}\``,
        number(rows),
        number(bytes),
        per(bytes, rows),
      ]),
    ),
    "",
    table(
      ["largest columns", "codec", "bytes", "share"],
      columns
        .slice(0, COLUMNS_SHOWN)
        .map((size) => [
          `\`${size.table}.${size.column}\``,
          size.codec.replace(/^CODEC\((.*)\)$/, "`$1`"),
          number(size.bytes),
          `${((100 * size.bytes) / total(columns)).toFixed(1)} %`,
        ]),
    ),
  ].join("\n");
}

/** Columns worth a choice: what each has, and the best three of the alternatives. */
export function codecTable(trials: readonly CodecTrial[]): string {
  const rows = trials.flatMap(({ table: name, column, codec, bytes }) => {
    const best = Object.entries(bytes).sort((a, b) => a[1] - b[1]);
    const present = codec.replace(/^CODEC\((.*)\)$/, "$1").replaceAll(/\(8\)/g, "");
    if ((best[0]?.[1] ?? 0) < TRIAL_BYTES) return [];
    const shown = best.slice(0, 3).map(([chain, size]) => `\`${chain}\` ${number(size)}`);
    const worst = best.at(-1)!;
    return [
      [
        `\`${name}.${column}\``,
        `\`${present}\` ${number(bytes[present] ?? Number.NaN)}`,
        ...shown,
        `\`${worst[0]}\` ${number(worst[1])}`,
      ],
    ];
  });
  return table(["column", "as it is, bytes", "best", "second", "third", "worst"], rows);
}

export function orderTable(trials: readonly OrderTrial[]): string {
  return table(
    ["table", "sorting key", "bytes of the columns"],
    trials.map(({ table: name, order, bytes }) => [`\`${name}\``, `\`${order}\``, number(bytes)]),
  );
}
