import { expect, test } from "vitest";
import { metricPoints, shiftTimes } from "./support/otlp-bytes.ts";
import { prometheusSeries } from "./support/prometheus-series.ts";
import { readRecording } from "./support/recording.ts";
import {
  countPoints,
  DESCRIPTION_TABLES,
  POINT_TABLES,
  replay,
  rowsOf,
  SUBJECT_TABLES,
  untilStored,
  writerClient,
} from "./support/replay.ts";
import { columnSizes, optimize, tableSizes } from "./support/storage-size.ts";
import { startTidemark } from "./support/tidemark.ts";

const MINUTE_MS = 60_000;
const DATA_TABLES = [...POINT_TABLES, ...SUBJECT_TABLES, ...DESCRIPTION_TABLES];
const PRIVATE = /\/tmp\/|\/root\b|\/work\//;

const recording = readRecording();
const minute = recording.requests.filter(({ ms }) => ms < MINUTE_MS);

test("the recording holds half an hour of three processes, and nothing of the machine it was made on", () => {
  expect(recording.header.seconds).toBeGreaterThanOrEqual(1800);
  const { processes, numbers, histograms } = countPoints(recording.requests);
  expect(processes).toBe(3);
  expect(numbers).toBeGreaterThan(100_000);
  expect(histograms).toBeGreaterThan(10_000);
  for (const { body } of recording.requests) expect(PRIVATE.test(body.toString("latin1"))).toBe(false);
});

test("a replayed body is the recorded one with other times, whole days later", () => {
  const { body, path } = minute.find((request) => request.path === "/v1/metrics")!;
  const later = shiftTimes(body, path, false, 2 * 24 * 60 * MINUTE_MS);
  expect(later).not.toEqual(body);
  expect(shiftTimes(later, path, false, -2 * 24 * 60 * MINUTE_MS)).toEqual(body);
  const times = (of: Buffer): number[] => [...metricPoints(of)].map(({ milliseconds }) => milliseconds);
  expect(times(later)).toEqual(times(body).map((ms) => ms + 2 * 24 * 60 * MINUTE_MS));
  const last = Math.max(...recording.requests.slice(-20).flatMap((r) => (r.path === path ? times(r.body) : [])));
  expect(last).toBeLessThanOrEqual(Date.now());
});

test("Prometheus gets as many samples as are counted", () => {
  const classic = [...prometheusSeries(minute, true)].flat();
  const native = [...prometheusSeries(minute, false)].flat();
  const { numbers, histograms, samples } = countPoints(minute);
  expect(classic).toHaveLength(samples);
  expect(native).toHaveLength(numbers + histograms);
  expect(native.filter(({ histogram }) => histogram !== undefined)).toHaveLength(histograms);
});

test("a minute of the recording is stored point for point, and its bytes can be told by table and column", async () => {
  const tidemark = await startTidemark([], { TIDEMARK_SELF_METRICS: "off" });
  const client = writerClient(tidemark);
  try {
    const { numbers, histograms } = countPoints(minute);
    await replay(tidemark.otlp, minute);
    await untilStored(client, numbers + histograms);
    const [waits] = await rowsOf<{ sum: number }>(client, "SELECT sum(wait_sum) AS sum FROM resource_samples");
    const sent = minute
      .filter(({ path }) => path === "/v1/metrics")
      .flatMap(({ body }) => [...metricPoints(body)])
      .reduce((sum, p) => (p.metric === "tidemark.resource.wait" && p.kind === "exponential" ? sum + p.sum : sum), 0);
    expect(Number(waits?.sum)).toBeCloseTo(sent, 6);
    await optimize(client, DATA_TABLES);
    const tables = await tableSizes(client, DATA_TABLES);
    expect(tables.map(({ table }) => table)).toEqual(
      expect.arrayContaining(["samples", "exp_histograms", "resource_samples", "http_requests", "series"]),
    );
    const columns = await columnSizes(client, ["samples", "resource_samples"]);
    expect(columns.find(({ table, column }) => table === "samples" && column === "ts")).toMatchObject({
      codec: "CODEC(Delta(8), ZSTD(3))",
    });
    for (const { bytes, uncompressed } of columns) expect(bytes).toBeLessThanOrEqual(uncompressed + 100);
  } finally {
    await client.close();
    await tidemark.stop();
  }
});
