import { expect, test } from "vitest";
import { Decoder } from "../../src/rows/decoder.ts";
import { TABLE_ORDER } from "../../src/rows/tables.ts";
import { encode, METRICS, metricsRequest, nanos } from "../otlp-messages.ts";

const NOW = Date.UTC(2026, 0, 15);

function request(count: number, begin: number, at: number): Buffer {
  return encode(
    METRICS,
    metricsRequest([
      {
        name: "http.server.request.duration",
        unit: "s",
        histogram: {
          aggregationTemporality: 2,
          dataPoints: [
            {
              startTimeUnixNano: nanos(begin),
              timeUnixNano: nanos(at),
              count,
              sum: count,
              explicitBounds: [2],
              bucketCounts: [count, 0],
            },
          ],
        },
      },
    ]),
  );
}

const points = (decoder: Decoder, body: Buffer) => decoder.decode("metrics", "protobuf", body).points;

test("a cumulative series from before this process starts at its first point, a younger one counts in full", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  expect(points(decoder, request(100, NOW - 1000, NOW))).toBe(0);
  expect(points(decoder, request(103, NOW - 1000, NOW + 1))).toBe(1);
  expect(points(decoder, request(103, NOW - 1000, NOW + 2))).toBe(0);
  expect(points(decoder, request(1, NOW + 2, NOW + 3))).toBe(1);
});

/** What the rows of one request count together: the column `count` of its only row, 0 without one. */
function counted(decoder: Decoder, body: Buffer): number {
  const { blocks } = decoder.decode("metrics", "protobuf", body);
  const block = blocks.find(({ table }) => TABLE_ORDER[table] === "http_requests");
  if (block === undefined) return 0;
  expect(block.rows).toBe(1);
  const name = block.bytes.indexOf("\x05count\x06UInt64");
  return Number(block.bytes.readBigUInt64LE(name + 13));
}

test("a cumulative point that came late, or twice, adds nothing, whatever follows", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  expect(counted(decoder, request(5, NOW, NOW + 10))).toBe(5);
  expect(counted(decoder, request(9, NOW, NOW + 30))).toBe(4);
  expect(counted(decoder, request(7, NOW, NOW + 20))).toBe(0);
  expect(counted(decoder, request(9, NOW, NOW + 30))).toBe(0);
  expect(counted(decoder, request(8, NOW, NOW + 30))).toBe(0);
  expect(counted(decoder, request(12, NOW, NOW + 40))).toBe(3);
});

test("a new start time is a restart, also where the count has grown past the old one", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  expect(counted(decoder, request(5, NOW, NOW + 10))).toBe(5);
  expect(counted(decoder, request(8, NOW + 15, NOW + 20))).toBe(8);
  // The last point of the time before the restart, late.
  expect(counted(decoder, request(6, NOW, NOW + 14))).toBe(0);
  expect(counted(decoder, request(10, NOW + 15, NOW + 30))).toBe(2);
});

test("a count that falls without a new start time is a restart too", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  expect(counted(decoder, request(5, NOW, NOW + 10))).toBe(5);
  expect(counted(decoder, request(2, NOW, NOW + 20))).toBe(2);
  expect(counted(decoder, request(6, NOW, NOW + 30))).toBe(4);
});

test("a gap in a cumulative series loses nothing, a restart of the ingest loses what came in between", () => {
  const before = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  expect(counted(before, request(5, NOW, NOW + 10))).toBe(5);
  expect(counted(before, request(905, NOW, NOW + 600_000))).toBe(900);
  const after = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW + 610_000 });
  expect(counted(after, request(907, NOW, NOW + 620_000))).toBe(0);
  expect(counted(after, request(910, NOW, NOW + 630_000))).toBe(3);
});

test("what could not be kept counts again when it is sent again", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  const body = request(5, NOW, NOW + 1);
  const first = decoder.decode("metrics", "protobuf", body);
  expect(first.points).toBe(1);
  first.undo();
  expect(points(decoder, body)).toBe(1);
  expect(points(decoder, body)).toBe(0);
});

test("a row of series is written with the first point, again when it was not kept, and again after a rewrite", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1000, now: () => NOW });
  const body = encode(
    METRICS,
    metricsRequest([{ name: "m", gauge: { dataPoints: [{ asInt: 1, timeUnixNano: nanos(NOW) }] } }]),
  );
  const tables = () => {
    const decoded = decoder.decode("metrics", "protobuf", body);
    return { undo: decoded.undo, rows: decoded.blocks.map((block) => block.table) };
  };
  const first = tables();
  expect(first.rows).toEqual([0, 2]);
  expect(tables().rows).toEqual([2]);
  first.undo();
  expect(tables().rows).toEqual([0, 2]);
  expect(tables().rows).toEqual([2]);
  decoder.rewriteSeries();
  expect(tables().rows).toEqual([0, 2]);
});

test("beyond the limit all series are forgotten and nothing is counted twice", () => {
  const decoder = new Decoder({ retentionDays: 15, maxSeries: 1, now: () => NOW });
  expect(points(decoder, request(5, NOW - 10, NOW + 1))).toBe(0);
  // Two entries (the metric and its series) are over the limit of one: the next request starts anew.
  expect(points(decoder, request(9, NOW - 10, NOW + 2))).toBe(0);
});
