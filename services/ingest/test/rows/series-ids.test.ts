import { describe, expect, test } from "vitest";
import { Decoder } from "../../src/rows/decoder.ts";
import { xxHash64 } from "../../src/rows/hash.ts";
import { SeriesIds } from "../../src/rows/series-ids.ts";
import { TABLE_ORDER } from "../../src/rows/tables.ts";
import { attribute, encode, METRICS, metricsRequest, nanos } from "../otlp-messages.ts";
import { randomSource } from "../random.ts";

const NOW = Date.UTC(2026, 0, 15);

/** Ids of the points of one gauge, one for each set of attributes, in the order of the points. */
function ids(decoder: Decoder, sets: readonly object[][], name = "m", scope?: object): string[] {
  const dataPoints = sets.map((attributes, i) => ({ asInt: i, timeUnixNano: nanos(NOW), attributes }));
  const request = metricsRequest([{ name, gauge: { dataPoints } }]);
  if (scope !== undefined)
    request.resourceMetrics[0]!.scopeMetrics[0]!.scope = scope as { name: string; version: string };
  const { blocks } = decoder.decode("metrics", "protobuf", encode(METRICS, request));
  const { bytes, rows } = blocks.find(({ table }) => TABLE_ORDER[table] === "samples")!;
  // series_id is the column in front of `ts`, whose name, type and numbers are followed by `m` and `e`.
  const header = bytes.lastIndexOf("\tseries_id\x06UInt64", undefined, "latin1") + "\tseries_id\x06UInt64".length;
  return Array.from({ length: rows }, (_, i) => bytes.readBigUInt64LE(header + 8 * i).toString(16));
}

const options = { retentionDays: 15, maxSeries: 10_000, now: () => NOW };
const sets = (n: number) => Array.from({ length: n }, (_, i) => [attribute("n", i)]);

describe("ids of series", () => {
  test("do not depend on the order of attributes, nor on what was sent twice under one key", () => {
    const decoder = new Decoder(options);
    const [a, b, c] = [attribute("a", "1"), attribute("b", "2"), attribute("größe", 3)];
    const found = ids(decoder, [
      [a, b, c],
      [c, a, b],
      [b, c, a],
      [attribute("a", "old"), b, c, a],
      [a, b],
    ]);
    expect(new Set(found.slice(0, 4)).size).toBe(1);
    expect(found[4]).not.toBe(found[0]);
    expect(ids(new Decoder(options), [[c, b, a]])).toEqual([found[0]]);
  });

  test("differ where texts joined without lengths would be one", () => {
    const decoder = new Decoder(options);
    const seen = [
      ...ids(decoder, [[attribute("a", "b")], [attribute("ab", "")], [attribute("", "ab")], [attribute("a1:b", "")]]),
      ...ids(decoder, [[]], "x\0", { name: "y" }),
      ...ids(decoder, [[]], "x", { name: "\0y" }),
      ...ids(decoder, [[]], "x", { name: "y", version: "\0" }),
    ];
    expect(new Set(seen).size).toBe(seen.length);
    expect(decoder.idCollisions).toBe(0);
  });

  test.each([
    ["every text has one hash", (text: string, n: number) => (n === 0 ? 5n : xxHash64(`${n}${text}`))],
    ["there are eight hashes", (text: string, n: number) => (n === 0 ? xxHash64(text) & 7n : xxHash64(`${n}${text}`))],
    ["all further hashes are those of every other text, too", (_text: string, n: number) => BigInt(n)],
  ])("stay apart and stay the same when %s", (_name, hash) => {
    const decoder = new Decoder({ ...options, hash });
    const first = ids(decoder, sets(60));
    expect(new Set(first).size).toBe(60);
    expect(decoder.idCollisions).toBeGreaterThanOrEqual(52);
    const before = decoder.idCollisions;
    expect(ids(decoder, sets(60))).toEqual(first);
    expect(ids(decoder, sets(60).reverse())).toEqual([...first].reverse());
    expect(decoder.idCollisions).toBe(before);
  });

  test("that collided stay with their series when all series are forgotten", () => {
    const hash = (text: string, n: number) => (n === 0 ? 5n : xxHash64(`${n}${text}`));
    const decoder = new Decoder({ ...options, hash, maxSeries: 3 });
    const first = ids(decoder, sets(4));
    // Over the limit: the next request begins with an empty book, and in the other order.
    expect(ids(decoder, sets(4).reverse())).toEqual([...first].reverse());
  });

  test("are spread evenly over all 64 bits", () => {
    const seen = new SeriesIds();
    const random = randomSource(9);
    const ones = new Array<number>(64).fill(0);
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      const owner = { metric: "m", attributes: `1:n${String(i).length}:${i}${random() < 0.5 ? "1:a1:b" : ""}` };
      const id = seen.idOf(owner);
      for (let bit = 0; bit < 64; bit++) ones[bit]! += Number((id >> BigInt(bit)) & 1n);
    }
    // Five standard deviations of a fair coin.
    const tolerance = 5 * Math.sqrt(count / 4);
    for (const [bit, n] of ones.entries()) expect(Math.abs(n - count / 2), `bit ${bit}`).toBeLessThan(tolerance);
  });
});
