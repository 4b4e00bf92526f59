import { parseArgs } from "node:util";
import { machine, writeTable } from "../support/benchmarks-page.ts";
import { tryCodecs, tryOrders } from "../support/codec-trials.ts";
import { measurePrometheus, type PrometheusSize, prometheusVersion } from "../support/prometheus.ts";
import { prometheusSeries } from "../support/prometheus-series.ts";
import { RECORDING, type Recording, readRecording } from "../support/recording.ts";
import {
  countPoints,
  DESCRIPTION_TABLES,
  POINT_TABLES,
  type PointCount,
  replay,
  rowsOf,
  SUBJECT_TABLES,
  untilStored,
  writerClient,
} from "../support/replay.ts";
import { type ColumnSize, columnSizes, optimize, type TableSize, tableSizes } from "../support/storage-size.ts";
import { startTidemark } from "../support/tidemark.ts";
import { codecTable, orderTable, storageTables } from "./storage-tables.ts";

const HELP = `Bytes per sample of a recorded demo, beside Prometheus holding the same samples: npm run bench:storage -- [options]

  --json              one last line of JSON
  --codecs            also every column under other codecs, and tables under other sorting keys
  --minutes N         replay the first N minutes only
  --recording FILE    default ${RECORDING}
  --without-prometheus
  --write             put the tables into docs/benchmarks.md
  --help

Needs Debian's package prometheus (2.42) on the path for the comparison; without it the figure is null.
`;
const MS_PER_MINUTE = 60_000;
const DATA_TABLES = [...POINT_TABLES, ...SUBJECT_TABLES, ...DESCRIPTION_TABLES];
/** What rollups are called. */
const ROLLUP = "_(1m|5m|1h)$";
const OTHER_ORDERS = {
  samples: ["service, metric, series_id, ts", "metric, service, ts, series_id"],
  resource_samples: ["kind, name, service, instance, ts", "service, instance, kind, name, ts"],
  http_requests: ["service, route, instance, status, method, ts"],
  request_phases: ["service, route, phase, instance, ts"],
};

/** Everything the bench found. */
export interface StorageFigures {
  readonly recording: Recording["header"] & { readonly requests: number; readonly wireBytes: number };
  readonly points: PointCount;
  readonly tables: readonly TableSize[];
  readonly tablesBeforeOptimize: readonly TableSize[];
  readonly rollups: readonly TableSize[];
  readonly columns: readonly ColumnSize[];
  readonly engine: string;
  readonly classic: PrometheusSize | undefined;
  readonly native: PrometheusSize | undefined;
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    codecs: { type: "boolean", default: false },
    minutes: { type: "string" },
    recording: { type: "string", default: RECORDING },
    "without-prometheus": { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const whole = readRecording(Date.now(), options.recording);
const minutes = options.minutes === undefined ? Number.POSITIVE_INFINITY : Number(options.minutes);
const recording = { ...whole, requests: whole.requests.filter(({ ms }) => ms < minutes * MS_PER_MINUTE) };
const figures = await measure();
const tables = storageTables(figures);
process.stdout.write(`${tables}\n`);
if (options.write) writeTable("storage", [...tables.split("\n"), "", measuredOn()]);
if (options.json) process.stdout.write(`${JSON.stringify(summary(figures))}\n`);

function measuredOn(): string {
  return `Measured on ${new Date().toISOString().slice(0, 10)}: ${machine()}.`;
}

async function measure(): Promise<StorageFigures> {
  const { requests } = recording;
  const points = countPoints(requests);
  say(`Replaying ${requests.length} requests with ${points.numbers + points.histograms} metric points ...`);
  // Only what was recorded: the ingest would add numbers of its own.
  const tidemark = await startTidemark([], { TIDEMARK_SELF_METRICS: "off" });
  const client = writerClient(tidemark);
  try {
    await replay(tidemark.otlp, requests);
    await untilStored(client, points.numbers + points.histograms);
    const tablesBeforeOptimize = await tableSizes(client, DATA_TABLES);
    const rollupTables = await tablesLike(ROLLUP);
    await optimize(client, [...DATA_TABLES, ...rollupTables]);
    const stored = await tableSizes(client, DATA_TABLES);
    const rollups = await tableSizes(client, rollupTables);
    say("Measuring columns ...");
    const columns = await columnSizes(client, DATA_TABLES);
    const [version] = await rowsOf<{ v: string }>(client, "SELECT version() AS v");
    if (options.codecs) {
      say("Trying codecs and sorting keys ...");
      const tried = `${codecTable(await tryCodecs(client, DATA_TABLES))}\n\n${orderTable(await tryOrders(client, OTHER_ORDERS))}\n`;
      process.stdout.write(`${tried}\n`);
      if (options.write) writeTable("codecs", [...tried.split("\n"), measuredOn()]);
    }
    return {
      recording: {
        ...recording.header,
        requests: requests.length,
        wireBytes: requests.reduce((sum, { wireBytes }) => sum + wireBytes, 0),
      },
      points,
      tables: stored,
      tablesBeforeOptimize,
      rollups,
      columns,
      engine: version?.v ?? "",
      ...(await prometheus()),
    };

    async function tablesLike(pattern: string): Promise<string[]> {
      const found = await rowsOf<{ name: string }>(
        client,
        `SELECT name FROM system.tables
         WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND match(name, '${pattern}') ORDER BY name`,
      );
      if (found.length === 0) throw new Error(`no table is called like ${pattern}`);
      return found.map(({ name }) => name);
    }
  } finally {
    await client.close();
    await tidemark.stop();
  }
}

async function prometheus(): Promise<Pick<StorageFigures, "classic" | "native">> {
  if (options["without-prometheus"]) return { classic: undefined, native: undefined };
  if (prometheusVersion() === undefined) {
    say("There is no prometheus on the path (Debian: apt-get install prometheus): its figures are null.");
    return { classic: undefined, native: undefined };
  }
  say("Writing the same samples into Prometheus, with classic and with native histograms ...");
  const classic = await measurePrometheus(prometheusSeries(recording.requests, true));
  const native = await measurePrometheus(prometheusSeries(recording.requests, false));
  return { classic, native };
}

/** The keys that others rely on; `null` for what was not measured. */
function summary({ points, tables, tablesBeforeOptimize, classic, native }: StorageFigures) {
  const total = (sizes: readonly TableSize[]): number => sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  const count = points.numbers + points.histograms;
  const per = (size: PrometheusSize | undefined, n: number): number | null =>
    size === undefined ? null : (size.chunkBytes + size.indexBytes) / n;
  return {
    bytes_per_sample: total(tables) / points.samples,
    prometheus_bytes_per_sample: per(classic, points.samples),
    samples: points.samples,
    points: count,
    number_points: points.numbers,
    histogram_points: points.histograms,
    bytes: total(tables),
    bytes_before_optimize: total(tablesBeforeOptimize),
    bytes_per_point: total(tables) / count,
    prometheus_native_bytes_per_point: per(native, count),
    prometheus_version: classic?.version ?? null,
  };
}
