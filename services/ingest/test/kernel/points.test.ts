import { describe, expect, test } from "vitest";
import { compiled } from "../../kernel/build.mjs";
import { RAW_BITS } from "../../src/rows/decimal.ts";
import { type Block, Decoder } from "../../src/rows/decoder.ts";
import { TABLE_ORDER } from "../../src/rows/tables.ts";
import { attribute, encode, METRICS, metricsRequest, nanos } from "../otlp-messages.ts";
import { randomSource } from "../random.ts";
import { randomMetrics, rewrite } from "../random-requests.ts";

const NOW = 1_700_500_000_000;
/** Name and type of the last column of `samples`. */
const EXPONENT_HEADER = "\x01e\x04Int8";
/** The window the kernel reads through, in bytes: `kernel/memory.ts`. */
const WINDOW_BYTES = 0x20000;

/** Two decoders that see the same requests: one with the kernel, one that sends everything through the walkers. */
class Pair {
  now = NOW;
  private readonly short: Decoder;
  private readonly long: Decoder;

  constructor(maxSeries = 100_000) {
    const limits = { perMetric: 1e6, perService: 1e6 };
    const options = { retentionDays: 15, maxSeries, limits, now: () => this.now };
    this.short = new Decoder(options);
    this.long = new Decoder({ ...options, kernel: false });
  }

  /** Decodes with both, demands the same blocks and rejections, and returns how many rows the kernel made. */
  decode(body: Buffer, label: string): number {
    const before = this.short.kernelRows;
    const { undo: _undo, ...short } = this.short.decode("metrics", "protobuf", body);
    const { undo: _other, ...long } = this.long.decode("metrics", "protobuf", body);
    for (const [i, block] of long.blocks.entries()) {
      const same = short.blocks[i];
      expect(same?.table, label).toBe(block.table);
      expect(content(same!).equals(content(block)), `${label}, block of ${TABLE_ORDER[block.table]}`).toBe(true);
    }
    expect({ ...short, blocks: short.blocks.length }, label).toEqual({ ...long, blocks: long.blocks.length });
    return this.short.kernelRows - before;
  }

  undo(body: Buffer): void {
    this.short.decode("metrics", "protobuf", body).undo();
    this.long.decode("metrics", "protobuf", body).undo();
  }

  forget(): void {
    this.short.rewriteSeries();
    this.long.rewriteSeries();
  }
}

/**
 * A block's bytes. Of samples, values in place of mantissas and exponents: which of two exponents that both give the value
 * is taken depends on what the series had before, and the two ways remember that for themselves.
 */
function content({ table, rows, bytes }: Block): Buffer {
  if (TABLE_ORDER[table] !== "samples") return bytes;
  const exponents = bytes.length - rows;
  const mantissas = exponents - EXPONENT_HEADER.length - 8 * rows;
  expect(bytes.toString("latin1", exponents - EXPONENT_HEADER.length, exponents)).toBe(EXPONENT_HEADER);
  const values = Buffer.alloc(8 * rows);
  for (let i = 0; i < rows; i++) {
    const exponent = bytes.readInt8(exponents + i);
    const at = mantissas + 8 * i;
    if (exponent === RAW_BITS) bytes.copy(values, 8 * i, at, at + 8);
    else values.writeDoubleLE(Number(bytes.readBigInt64LE(at)) / 10 ** -exponent, 8 * i);
  }
  return Buffer.concat([bytes.subarray(0, mantissas), values]);
}

/** Points as an SDK sends them, of every kind, with what is unusual about every tenth. */
function usual(random: () => number, series: number, attributeBytes = 10): object {
  const below = (n: number) => Math.floor(random() * n);
  const doubles = [
    () => below(1000) / 8,
    () => below(1e6) / 1000,
    () => Math.PI * random(),
    () => -random() * 2 ** -29,
  ];
  const fixed = [-0, 2 ** 60, -1.5, 1e300, 2 ** 23, 2 ** 23 - 2 ** -31, 0.5 * 2 ** -30, -1.5 * 2 ** -30, 5e-324];
  const double = () => (random() < 0.6 ? doubles[below(doubles.length)]!() : fixed[below(fixed.length)]!);
  const count = () => [0, 0, 1, 90, 127, 128, 300, 16383, 16384, 2 ** 40][below(10)]!;
  const point = (i: number) => ({
    attributes: [attribute("route", `/${i}/${"x".repeat(attributeBytes)}`), attribute("größe", i % 3)],
    startTimeUnixNano: nanos(NOW - 5000),
    timeUnixNano: i % 11 === 5 ? "0" : nanos(NOW - (i % 3), i % 999_999),
    flags: i % 13 === 7 ? 1 : 0,
  });
  const distribution = (i: number) => ({
    ...point(i),
    count: count(),
    ...(random() < 0.8 ? { sum: double(), min: double(), max: random() < 0.1 ? Number.NaN : double() } : {}),
  });
  const bounds = Array.from({ length: below(20) }, (_, b) => b * 1.5 - 2);
  const points = (make: (i: number) => object) => ({ dataPoints: Array.from({ length: series }, (_, i) => make(i)) });
  const buckets = (i: number) => ({ offset: i - 20, bucketCounts: Array.from({ length: below(60) }, count) });
  const numbers = (i: number) => ({
    ...point(i),
    ...(i % 17 === 3 ? {} : i % 5 === 0 ? { asInt: -i } : { asDouble: i % 19 === 4 ? Number.NaN : double() }),
    exemplars: i % 7 === 0 ? [{ asDouble: 1 }] : [],
  });
  return metricsRequest([
    { name: "gauge", gauge: points(numbers) },
    { name: "sum", unit: "1", sum: { ...points(numbers), aggregationTemporality: 2, isMonotonic: true } },
    { name: "", gauge: points(numbers) },
    {
      name: "histogram",
      histogram: {
        ...points((i) => ({
          ...distribution(i),
          explicitBounds: i % 23 === 6 ? [2, 1] : bounds,
          bucketCounts: i % 29 === 8 ? [1] : Array.from({ length: bounds.length + 1 }, count),
        })),
        aggregationTemporality: 1,
      },
    },
    {
      name: "exponential",
      exponentialHistogram: {
        ...points((i) => ({
          ...distribution(i),
          scale: i % 31 === 9 ? 25 : below(30) - 10,
          zeroCount: count(),
          positive: random() < 0.8 ? buckets(i) : undefined,
          negative: random() < 0.3 ? buckets(-i) : undefined,
        })),
        aggregationTemporality: 1,
      },
    },
    {
      name: "seconds",
      unit: "s",
      histogram: { ...points(distribution), aggregationTemporality: 1 },
    },
    {
      name: "exponential seconds",
      unit: "s",
      exponentialHistogram: {
        ...points((i) => ({ ...distribution(i), scale: 3, zeroCount: 1, positive: buckets(i) })),
        aggregationTemporality: 1,
      },
    },
    {
      name: "http.server.request.duration",
      unit: "s",
      histogram: { ...points(distribution), aggregationTemporality: 1 },
    },
    { name: "tidemark.resource.busy", gauge: points(numbers) },
  ]);
}

describe("the kernel", () => {
  test("makes the rows that the walkers make, of points as SDKs send them", () => {
    const pair = new Pair();
    let rows = 0;
    for (let seed = 1; seed <= 40; seed++)
      rows += pair.decode(encode(METRICS, usual(randomSource(seed), 60)), `${seed}`);
    // Six metrics of 60 points are for it; the walkers keep the first points, and what is unusual or rejected.
    expect(rows).toBeGreaterThan(40 * 6 * 60 * 0.7);
  });

  test("makes the rows that the walkers make, in every legal encoding of random messages", () => {
    const pair = new Pair();
    let rows = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const random = randomSource(seed);
      const plain = encode(METRICS, seed % 2 === 0 ? usual(random, 12) : randomMetrics(random));
      const other = rewrite(plain, "request", random);
      for (const [i, body] of [plain, other, plain, other].entries()) rows += pair.decode(body, `seed ${seed}, ${i}`);
    }
    expect(rows).toBeGreaterThan(2000);
  });

  test("reads on where its window ends, and leaves what is longer than the window to the walkers", () => {
    const pair = new Pair();
    for (const [series, attributeBytes] of [
      [3000, 10],
      [9, 50_000],
      [3, WINDOW_BYTES + 10],
    ] as const) {
      const body = encode(METRICS, usual(randomSource(series), series, attributeBytes));
      expect(body.length).toBeGreaterThan(3 * WINDOW_BYTES);
      pair.decode(body, "first");
      const rows = pair.decode(body, "again");
      if (attributeBytes < WINDOW_BYTES) expect(rows).toBeGreaterThan(series * 2);
      else expect(rows).toBe(0);
    }
  });

  test("empties its columns when a window holds more rows than they do", () => {
    // 10,000 points of 9 bytes: a number without attributes.
    const dataPoints = Array.from({ length: 10_000 }, (_, i) => ({ asInt: i }));
    const body = encode(METRICS, metricsRequest([{ name: "m", gauge: { dataPoints } }]));
    expect(body.length).toBeLessThan(WINDOW_BYTES);
    const pair = new Pair();
    expect(pair.decode(body, "first")).toBe(9_999);
    expect(pair.decode(body, "again")).toBe(10_000);
  });

  test("lets a series pass to the walkers again when its row was taken back, is a day old, or all are forgotten", () => {
    const body = encode(METRICS, usual(randomSource(1), 60));
    const pair = new Pair();
    pair.undo(body);
    expect(pair.decode(body, "after undo")).toBe(0);
    const known = pair.decode(body, "known");
    expect(known).toBeGreaterThan(100);
    pair.now += 24 * 3600 * 1000;
    expect(pair.decode(body, "a day later")).toBe(0);
    expect(pair.decode(body, "known again")).toBe(known);
    pair.forget();
    expect(pair.decode(body, "after a rewrite")).toBe(0);
    expect(pair.decode(body, "known once more")).toBe(known);
  });

  test("forgets with the book of series, and has room for as many series as that", () => {
    const body = encode(METRICS, usual(randomSource(2), 500));
    const small = new Pair(100);
    for (let i = 0; i < 3; i++) expect(small.decode(body, `small ${i}`)).toBe(0);
    const large = new Pair();
    const bodies = Array.from({ length: 10 }, (_, i) => encode(METRICS, usual(randomSource(3), 500 + i, i * 20)));
    for (const each of bodies) large.decode(each, "large");
    for (const each of bodies) expect(large.decode(each, "large, again")).toBeGreaterThan(1000);
  });

  test("refuses what the walkers refuse, at every length of a truncated body", () => {
    const body = encode(METRICS, usual(randomSource(4), 4));
    const options = { retentionDays: 15, maxSeries: 1000, now: () => NOW };
    const short = new Decoder(options);
    const long = new Decoder({ ...options, kernel: false });
    short.decode("metrics", "protobuf", body);
    long.decode("metrics", "protobuf", body);
    const outcome = (decoder: Decoder, bytes: Buffer) => {
      try {
        return decoder.decode("metrics", "protobuf", bytes).blocks.map((block) => block.bytes.toString("latin1"));
      } catch (error) {
        return String(error);
      }
    };
    for (let length = 0; length < body.length; length++) {
      const cut = body.subarray(0, length);
      expect(outcome(short, cut)).toEqual(outcome(long, cut));
    }
    expect(outcome(short, body)).toEqual(outcome(long, body));
  });

  test("is what its source compiles to", async () => {
    const { readFile } = await import("node:fs/promises");
    const committed = await readFile(new URL("../../src/kernel/module.ts", import.meta.url), "utf8");
    expect(committed).toBe(await compiled());
  });
});
