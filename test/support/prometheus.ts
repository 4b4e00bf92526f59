import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs";
import { collect, freePorts, stop, until } from "./tidemark.ts";

/** A series of one remote-write request: its labels, and one sample or one native histogram. */
export interface WriteSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly milliseconds: number;
  readonly value?: number;
  readonly histogram?: NativeHistogram;
}

/** Cumulative; `positive` by Prometheus' bucket index: bucket i ends at 2^(i / 2^schema). */
export interface NativeHistogram {
  readonly count: number;
  readonly sum: number;
  readonly schema: number;
  readonly zero: number;
  readonly positive: ReadonlyMap<number, number>;
}

/** What a Prometheus holds after everything was written and compacted into one block. */
export interface PrometheusSize {
  readonly version: string;
  readonly series: number;
  readonly samples: number;
  readonly chunkBytes: number;
  readonly indexBytes: number;
}

const ZERO_THRESHOLD = 2 ** -128;
const LITERAL_BYTES = 65_536;
const TWO_BYTE_LITERAL = 61 << 2;
const SNAPSHOT_TIMEOUT_MS = 60_000;

const { root } = protobuf.parse(`syntax = "proto3"; package prometheus;
message WriteRequest { repeated TimeSeries timeseries = 1; }
message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; repeated Histogram histograms = 4; }
message Label { string name = 1; string value = 2; }
message Sample { double value = 1; int64 timestamp = 2; }
message BucketSpan { sint32 offset = 1; uint32 length = 2; }
message Histogram {
  uint64 count_int = 1; double sum = 3; sint32 schema = 4; double zero_threshold = 5; uint64 zero_count_int = 6;
  repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; int64 timestamp = 15;
}`);
const WRITE_REQUEST = root.lookupType("prometheus.WriteRequest");

/** Version of the `prometheus` on the path; undefined where there is none. */
export function prometheusVersion(): string | undefined {
  const { status, stdout, stderr } = spawnSync("prometheus", ["--version"], { encoding: "utf8" });
  return status === 0 ? /version (\d[\w.]*)/.exec(stdout + stderr)?.[1] : undefined;
}

/** Writes all requests into a Prometheus of its own by remote write, has it write one block, and measures that. */
export async function measurePrometheus(requests: Iterable<readonly WriteSeries[]>): Promise<PrometheusSize> {
  const version = prometheusVersion();
  if (version === undefined) throw new Error("no prometheus on the path");
  const directory = mkdtempSync(join(tmpdir(), "tidemark-prometheus-"));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const config = join(directory, "prometheus.yml");
  writeFileSync(config, "global: {}\n");
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(directory, "data")}`];
  args.push(`--web.listen-address=127.0.0.1:${port}`, "--web.enable-remote-write-receiver", "--web.enable-admin-api");
  args.push("--enable-feature=native-histograms", "--storage.tsdb.retention.time=60d");
  const child = spawn("prometheus", args, { stdio: ["ignore", "pipe", "pipe"] });
  const output = collect(child);
  try {
    await until(
      () => `Prometheus to be ready\n${output()}`,
      async () => (await fetch(`${url}/-/ready`)).ok,
    );
    for (const series of requests) await write(url, series);
    const response = await fetch(`${url}/api/v1/admin/tsdb/snapshot`, {
      method: "POST",
      signal: AbortSignal.timeout(SNAPSHOT_TIMEOUT_MS),
    });
    const { data } = (await response.json()) as { data?: { name: string } };
    if (data === undefined) throw new Error(`Prometheus made no snapshot: ${output()}`);
    return { version, ...blockSizes(join(directory, "data", "snapshots", data.name)) };
  } finally {
    await stop(child);
    rmSync(directory, { recursive: true, force: true });
  }
}

function blockSizes(snapshot: string): Omit<PrometheusSize, "version"> {
  const total = { series: 0, samples: 0, chunkBytes: 0, indexBytes: 0 };
  for (const block of readdirSync(snapshot)) {
    const { stats } = JSON.parse(readFileSync(join(snapshot, block, "meta.json"), "utf8")) as {
      stats: { numSeries: number; numSamples: number };
    };
    total.series += stats.numSeries;
    total.samples += stats.numSamples;
    total.indexBytes += statSync(join(snapshot, block, "index")).size;
    for (const chunk of readdirSync(join(snapshot, block, "chunks"))) {
      total.chunkBytes += statSync(join(snapshot, block, "chunks", chunk)).size;
    }
  }
  return total;
}

async function write(url: string, series: readonly WriteSeries[]): Promise<void> {
  const timeseries = series.map(({ labels, milliseconds, value, histogram }) => ({
    labels: Object.entries(labels)
      .map(([name, text]) => ({ name, value: text }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    samples: value === undefined ? [] : [{ value, timestamp: milliseconds }],
    histograms: histogram === undefined ? [] : [{ ...encoded(histogram), timestamp: milliseconds }],
  }));
  const response = await fetch(`${url}/api/v1/write`, {
    method: "POST",
    headers: { "content-encoding": "snappy", "content-type": "application/x-protobuf" },
    body: new Uint8Array(snappyLiterals(WRITE_REQUEST.encode({ timeseries }).finish())),
  });
  if (!response.ok) throw new Error(`Prometheus refused a write: ${response.status} ${await response.text()}`);
}

/** Buckets as spans of neighbours and differences of their counts. Source: prometheus/prompb/types.proto. */
function encoded({ count, sum, schema, zero, positive }: NativeHistogram): object {
  const spans: { offset: number; length: number }[] = [];
  const deltas: number[] = [];
  let next: number | undefined;
  let previous = 0;
  for (const [index, bucket] of [...positive].sort((a, b) => a[0] - b[0])) {
    const last = spans.at(-1);
    if (last !== undefined && index === next) last.length++;
    else spans.push({ offset: index - (next ?? 0), length: 1 });
    deltas.push(bucket - previous);
    previous = bucket;
    next = index + 1;
  }
  return {
    countInt: count,
    sum,
    schema,
    zeroThreshold: ZERO_THRESHOLD,
    zeroCountInt: zero,
    positiveSpans: spans,
    positiveDeltas: deltas,
  };
}

/** Snappy's block format with literals only: valid, and no smaller than the input. Source: google/snappy, format_description.txt. */
function snappyLiterals(data: Uint8Array): Buffer {
  const pieces: Uint8Array[] = [new protobuf.Writer().uint32(data.length).finish()];
  for (let start = 0; start < data.length; start += LITERAL_BYTES) {
    const piece = data.subarray(start, start + LITERAL_BYTES);
    pieces.push(Uint8Array.of(TWO_BYTE_LITERAL, (piece.length - 1) & 0xff, (piece.length - 1) >> 8), piece);
  }
  return Buffer.concat(pieces);
}
