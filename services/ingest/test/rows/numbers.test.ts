import { describe, expect, test } from "vitest";
import { Point } from "../../src/otlp/point.ts";
import { nanosToMillis, signedText } from "../../src/otlp/wire.ts";
import { decimalExponent, mantissa, RAW_BITS } from "../../src/rows/decimal.ts";
import { quickHash, xxHash64 } from "../../src/rows/hash.ts";
import { keyOf, toScale4, ZERO_BUCKET } from "../../src/rows/scale4.ts";
import { randomSource } from "../random.ts";

describe("decimal mantissas", () => {
  test("give every value back exactly, or say that they cannot", () => {
    const random = randomSource(3);
    for (let i = 0; i < 20_000; i++) {
      const value = [random(), random() * 1e6, Math.round(random() * 1e9) / 1000, random() * 1e300, -random()][i % 5]!;
      const exponent = decimalExponent(value, i % 10);
      if (exponent !== RAW_BITS) expect(mantissa(value, exponent) / 10 ** -exponent).toBe(value);
    }
  });

  test("keep the exponent of a series while it fits", () => {
    expect(decimalExponent(2, 3)).toBe(-3);
    expect(decimalExponent(0.25, 0)).toBe(-2);
    expect(decimalExponent(7, 0)).toBe(0);
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, -0, 2 ** 60 + 2 ** 12, Math.PI]) {
      expect(decimalExponent(odd, 0)).toBe(RAW_BITS);
    }
  });
});

describe("hashes", () => {
  test("xxHash64 is the one of the specification", () => {
    // Test vectors: the reference implementation's, seed 0.
    expect(xxHash64("").toString(16)).toBe("ef46db3751d8e999");
    expect(xxHash64("a").toString(16)).toBe("d24ec4f1a98c6e5b");
    expect(xxHash64("abc").toString(16)).toBe("44bc2cf5ad770999");
  });

  test("quickHash tells a million neighbours apart", () => {
    const seen = new Set<number>();
    const bytes = Buffer.alloc(11);
    for (let i = 0; i < 1_000_000; i++) {
      bytes.writeUInt32LE(i, i % 8);
      bytes[10] = i % 8;
      seen.add(quickHash(bytes, 0, 11));
    }
    // By chance 53 bits let one pair in 18,000 such sets meet; the table compares the bytes in any case.
    expect(seen.size).toBeGreaterThanOrEqual(999_000);
  });
});

describe("scale 4", () => {
  test("puts a value into the bucket that holds it", () => {
    for (const value of [1e-6, 0.001, 0.05, 1, 1.0000001, 2, 3.7, 1000]) {
      const key = keyOf(value);
      expect(2 ** (key / 16)).toBeLessThan(value);
      expect(2 ** ((key + 1) / 16)).toBeGreaterThanOrEqual(value * (1 - 1e-12));
    }
  });

  test("merges finer buckets, spreads coarser ones, and loses no count", () => {
    const point = new Point();
    point.beginDistribution();
    point.scale = 6;
    point.zero = 2;
    point.positive.offset = -9;
    for (const count of [1, 1, 1, 1, 5, 0, 7]) point.positive.counts.push(count);
    const into = new Map<number, number>();
    toScale4(point, true, into);
    expect([...into].sort(([a], [b]) => a - b)).toEqual([
      [ZERO_BUCKET, 2],
      [-3, 1],
      [-2, 8],
      [-1, 7],
    ]);
    point.scale = 2;
    toScale4(point, true, into);
    expect([...into.values()].reduce((a, b) => a + b)).toBe(18);
  });

  test("converts explicit bounds at the geometric middle, inside of minimum and maximum", () => {
    const point = new Point();
    point.beginDistribution();
    for (const bound of [0.01, 0.1, 1]) point.bounds.push(bound);
    for (const count of [1, 2, 0, 3]) point.buckets.push(count);
    point.minValue = 0.004;
    point.maxValue = 4;
    const into = new Map<number, number>();
    toScale4(point, false, into);
    expect([...into]).toEqual([
      [keyOf(Math.sqrt(0.004 * 0.01)), 1],
      [keyOf(Math.sqrt(0.01 * 0.1)), 2],
      [keyOf(2), 3],
    ]);
  });
});

describe("64-bit numbers", () => {
  test("nanoseconds become milliseconds exactly, signed text is exact", () => {
    const random = randomSource(5);
    for (let i = 0; i < 2000; i++) {
      const nanos = BigInt(Math.floor(random() * 2 ** 32)) * 2n ** 31n + BigInt(Math.floor(random() * 2 ** 32));
      const [lo, hi] = [Number(nanos & 0xffffffffn), Number(nanos >> 32n)];
      expect(nanosToMillis(lo, hi)).toBe(Number(nanos / 1_000_000n));
      expect(signedText(lo, hi)).toBe(BigInt.asIntN(64, nanos).toString());
    }
  });
});
