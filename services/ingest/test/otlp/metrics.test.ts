import { describe, expect, test } from "vitest";
import { type Attribute, readAttributes } from "../../src/otlp/attributes.ts";
import { jsonToProtobuf, REQUESTS, WrongShape } from "../../src/otlp/json.ts";
import { walkMetrics } from "../../src/otlp/metrics.ts";
import type { MetricHeader, MetricSink, Point } from "../../src/otlp/point.ts";
import { MalformedBody, nanosToMillis, type Wire } from "../../src/otlp/wire.ts";
import { encode, METRICS, metricsRequest } from "../otlp-messages.ts";
import { randomSource } from "../random.ts";

/** Collects what the walker reports as plain data, in a shape protobufjs can be brought to as well. */
function collect(body: Buffer): unknown[] {
  const seen: unknown[] = [];
  let resource: Attribute[] = [];
  let scope = "";
  let header: MetricHeader | undefined;
  const sink: MetricSink = {
    resource(wire: Wire, ranges) {
      resource = [];
      for (let i = 0; i < ranges.length; i += 2) readAttributes(wire, ranges[i]!, ranges[i + 1]!, 1, resource);
    },
    scope(name, version) {
      scope = `${name}/${version}`;
    },
    metric(given) {
      header = given;
    },
    unknownType() {
      seen.push("unknown");
    },
    point(point: Point) {
      const attributes: Attribute[] = [];
      readAttributes(point.wire, point.start, point.end, point.attributeField, attributes);
      const dense = (side: Point["positive"]) => [side.offset, ...side.counts.values.slice(0, side.counts.length)];
      seen.push({
        resource: [...resource],
        scope,
        header,
        attributes,
        time: nanosToMillis(point.timeLo, point.timeHi),
        begin: nanosToMillis(point.beginLo, point.beginHi),
        flags: point.flags,
        value:
          point.value === "double"
            ? point.double
            : point.value === "int"
              ? String((BigInt(point.intHi | 0) << 32n) | BigInt(point.intLo))
              : undefined,
        ...(header?.kind === "gauge" || header?.kind === "sum"
          ? {}
          : {
              count: point.count,
              sum: point.sum,
              min: point.min,
              max: point.max,
              scale: point.scale,
              zero: point.zero,
              positive: dense(point.positive),
              negative: dense(point.negative),
              bounds: [...point.bounds.values.slice(0, point.bounds.length)],
              buckets: [...point.buckets.values.slice(0, point.buckets.length)],
              quantiles: [...point.quantiles.values.slice(0, point.quantiles.length)],
              quantileValues: [...point.quantileValues.values.slice(0, point.quantileValues.length)],
            }),
      });
    },
  };
  walkMetrics(body, sink);
  return seen;
}

// biome-ignore lint/suspicious/noExplicitAny: the reference decoder's plain objects
type Plain = Record<string, any>;

/** The same, from protobufjs. */
function reference(body: Buffer): unknown[] {
  const message = METRICS.toObject(METRICS.decode(body), { longs: String, bytes: String }) as Plain;
  const seen: unknown[] = [];
  const ms = (nanos: string | undefined) => Number(BigInt(nanos ?? 0) / 1_000_000n);
  const numbers = (list: (string | number)[] | undefined) => (list ?? []).map(Number);
  const pairs = (list: Plain[] | undefined) => (list ?? []).map((kv): Attribute => [kv.key ?? "", asText(kv.value)]);
  /** A sum, minimum or maximum that is NaN is none. */
  const number = (value: number | undefined) => (Number.isNaN(value) ? undefined : value);
  const dense = (side: Plain | undefined) => [side?.offset ?? 0, ...numbers(side?.bucketCounts)];
  for (const rm of message.resourceMetrics ?? []) {
    for (const sm of rm.scopeMetrics ?? []) {
      for (const metric of sm.metrics ?? []) {
        const kind = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"].find((name) => metric[name]);
        if (kind === undefined) continue;
        const data = metric[kind];
        const header = {
          name: metric.name ?? "",
          description: metric.description ?? "",
          unit: metric.unit ?? "",
          kind: kind === "exponentialHistogram" ? "exponential_histogram" : kind,
          temporality: ["unspecified", "delta", "cumulative"][data.aggregationTemporality ?? 0],
          monotonic: data.isMonotonic ?? false,
        };
        for (const point of data.dataPoints ?? []) {
          seen.push({
            resource: pairs(rm.resource?.attributes),
            scope: `${sm.scope?.name ?? ""}/${sm.scope?.version ?? ""}`,
            header,
            attributes: pairs(point.attributes),
            time: ms(point.timeUnixNano),
            begin: ms(point.startTimeUnixNano),
            flags: point.flags ?? 0,
            value: point.asDouble ?? point.asInt,
            ...(kind === "gauge" || kind === "sum"
              ? {}
              : {
                  count: Number(point.count ?? 0),
                  sum: number(point.sum),
                  min: number(point.min),
                  max: number(point.max),
                  scale: point.scale ?? 0,
                  zero: Number(point.zeroCount ?? 0),
                  positive: dense(point.positive),
                  negative: dense(point.negative),
                  bounds: numbers(point.explicitBounds),
                  buckets: numbers(point.bucketCounts),
                  quantiles: (point.quantileValues ?? []).map((q: Plain) => q.quantile ?? 0),
                  quantileValues: (point.quantileValues ?? []).map((q: Plain) => q.value ?? 0),
                }),
          });
        }
      }
    }
  }
  return seen;
}

function asText(value: Plain | undefined): string {
  if (value === undefined) return "";
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return String(value.boolValue);
  if (value.intValue !== undefined) return value.intValue;
  if (value.doubleValue !== undefined) return String(value.doubleValue);
  if (value.bytesValue !== undefined) return value.bytesValue;
  if (value.arrayValue === undefined && value.kvlistValue === undefined) return "";
  const json = (inner: Plain | undefined): unknown => {
    if (inner?.arrayValue) return (inner.arrayValue.values ?? []).map(json);
    if (inner?.kvlistValue) {
      return Object.fromEntries((inner.kvlistValue.values ?? []).map((kv: Plain) => [kv.key ?? "", json(kv.value)]));
    }
    return (
      inner?.stringValue ??
      inner?.boolValue ??
      inner?.doubleValue ??
      inner?.bytesValue ??
      (inner?.intValue === undefined ? null : Number(inner.intValue))
    );
  };
  return JSON.stringify(json(value));
}

/** Random, legal messages: what the random source says decides everything, so a failure can be repeated by its seed. */
function randomRequest(random: () => number): object {
  const below = (n: number) => Math.floor(random() * n);
  const times = <T>(n: number, make: () => T) => Array.from({ length: below(n + 1) }, make);
  const word = () => ["", "a", "http.route", "größe", "x".repeat(below(200)), "\u{1F600}"][below(6)]!;
  const double = () => [0, -0, 1, -1.5, 1e300, 5e-324, random(), Number.POSITIVE_INFINITY, Number.NaN][below(9)]!;
  const long = () =>
    String(BigInt.asIntN(64, (BigInt(below(2 ** 31)) << BigInt(below(34))) * (random() < 0.3 ? -1n : 1n)));
  const count = () => String(Math.floor(random() ** 4 * 2 ** 50));
  const value = (depth = 0): object | undefined =>
    [
      { stringValue: word() },
      { boolValue: random() < 0.5 },
      { intValue: long() },
      { doubleValue: random() * 1000 },
      { bytesValue: Buffer.from([1, 2, 255]).toString("base64") },
      depth < 3 ? { arrayValue: { values: times(3, () => value(depth + 1)).filter(Boolean) } } : {},
      depth < 3 ? { kvlistValue: { values: times(3, () => ({ key: word(), value: value(depth + 1) })) } } : {},
      {},
    ][below(8)];
  const attributes = () => times(4, () => ({ key: word(), value: value() }));
  const times64 = () => ({
    startTimeUnixNano: count(),
    timeUnixNano: `${1.7e9 + below(1e6)}${String(below(1e9)).padStart(9, "0")}`,
  });
  const number = () => ({
    ...times64(),
    attributes: attributes(),
    flags: below(3),
    ...[{ asDouble: double() }, { asInt: long() }, {}][below(3)],
    exemplars: times(2, () => ({ asDouble: 1, timeUnixNano: "5", filteredAttributes: attributes() })),
  });
  const optional = () => (random() < 0.5 ? { sum: double(), min: double(), max: double() } : {});
  const buckets = () => ({ offset: below(400) - 200, bucketCounts: times(30, count) });
  const data = () =>
    [
      { gauge: { dataPoints: times(3, number) } },
      { sum: { dataPoints: times(3, number), aggregationTemporality: below(3), isMonotonic: random() < 0.5 } },
      {
        histogram: {
          aggregationTemporality: below(3),
          dataPoints: times(3, () => ({
            ...times64(),
            ...optional(),
            attributes: attributes(),
            count: count(),
            bucketCounts: times(20, count),
            explicitBounds: times(20, () => random()),
          })),
        },
      },
      {
        exponentialHistogram: {
          aggregationTemporality: below(3),
          dataPoints: times(3, () => ({
            ...times64(),
            ...optional(),
            attributes: attributes(),
            count: count(),
            scale: below(30) - 10,
            zeroCount: count(),
            zeroThreshold: 1e-6,
            ...(random() < 0.7 ? { positive: buckets(), negative: buckets() } : {}),
          })),
        },
      },
      {
        summary: {
          dataPoints: times(3, () => ({
            ...times64(),
            attributes: attributes(),
            count: count(),
            sum: random(),
            quantileValues: times(4, () => ({ quantile: random(), value: random() })),
          })),
        },
      },
      {},
    ][below(6)];
  return {
    resourceMetrics: times(3, () => ({
      resource: random() < 0.8 ? { attributes: attributes() } : undefined,
      schemaUrl: word(),
      scopeMetrics: times(3, () => ({
        scope: random() < 0.8 ? { name: word(), version: word(), attributes: attributes() } : undefined,
        metrics: times(4, () => ({
          name: word(),
          description: word(),
          unit: word(),
          ...data(),
          metadata: attributes(),
        })),
      })),
    })),
  };
}

/** Messages whose fields may be shuffled and interleaved with unknown ones, by field number of their parent. */
const NESTED: Record<string, Record<number, string>> = {
  request: { 1: "resourceMetrics" },
  resourceMetrics: { 1: "resource", 2: "scopeMetrics" },
  resource: { 1: "pair" },
  scopeMetrics: { 1: "scope", 2: "metric" },
  scope: { 3: "pair" },
  metric: { 5: "numbers", 7: "numbers", 9: "histograms", 10: "exponentials", 11: "summaries" },
  numbers: { 1: "number" },
  histograms: { 1: "histogram" },
  exponentials: { 1: "exponential" },
  summaries: { 1: "summary" },
  number: { 7: "pair" },
  histogram: { 9: "pair" },
  exponential: { 1: "pair", 8: "buckets", 9: "buckets" },
  summary: { 7: "pair" },
  pair: {},
  buckets: {},
};
const UNPACKABLE: Record<string, Record<number, "fixed64" | "varint">> = {
  histogram: { 6: "fixed64", 7: "fixed64" },
  buckets: { 2: "varint" },
};

/** The same message in another legal encoding: other field order, unpacked numbers, unknown fields, long varints. */
function rewrite(bytes: Buffer, message: string, random: () => number): Buffer {
  const fields: Buffer[] = [];
  let pos = 0;
  const take = (length: number) => {
    pos += length;
    return bytes.subarray(pos - length, pos);
  };
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[pos++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const encoded = (value: bigint, padding = 0): Buffer => {
    const out: number[] = [];
    let rest = value;
    while (rest >= 0x80n) {
      out.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    out.push(Number(rest));
    for (let i = 0; i < padding && out.length < 10; i++) {
      out[out.length - 1]! |= 0x80;
      out.push(0);
    }
    return Buffer.from(out);
  };
  while (pos < bytes.length) {
    const tag = Number(varint());
    const field = tag >> 3;
    const head = encoded(BigInt(tag), random() < 0.1 ? 2 : 0);
    if ((tag & 7) === 1) fields.push(Buffer.concat([head, take(8)]));
    else if ((tag & 7) === 5) fields.push(Buffer.concat([head, take(4)]));
    else if ((tag & 7) === 0) fields.push(Buffer.concat([head, encoded(varint())]));
    else {
      const length = Number(varint());
      const inner = take(length);
      const child = NESTED[message]?.[field];
      const packed = UNPACKABLE[message]?.[field];
      if (packed !== undefined && random() < 0.5) {
        const items: Buffer[] = [];
        const plain = Buffer.from(inner);
        for (let at = 0; at < plain.length; ) {
          const start = at;
          if (packed === "fixed64") at += 8;
          else while (plain[at++]! >= 0x80);
          items.push(encoded(BigInt(field * 8 + (packed === "fixed64" ? 1 : 0))), plain.subarray(start, at));
        }
        fields.push(Buffer.concat(items));
      } else {
        const body = child === undefined ? inner : rewrite(Buffer.from(inner), child, random);
        fields.push(Buffer.concat([head, encoded(BigInt(body.length), random() < 0.1 ? 1 : 0), body]));
      }
    }
  }
  // Unknown fields: a varint, a fixed32, bytes and a group that holds another.
  if (random() < 0.3 && message !== "metric") {
    fields.push(Buffer.concat([encoded(8000n), encoded(7n)]), Buffer.concat([encoded(8005n), Buffer.alloc(4)]));
    fields.push(Buffer.concat([encoded(8003n), encoded(8011n), encoded(8012n), encoded(8004n)]));
  }
  // Order between fields of one number carries meaning and stays; between numbers it does not.
  const keyOf = (field: Buffer) => {
    let key = 0;
    for (let i = 0; ; i++) {
      key |= (field[i]! & 0x7f) << (7 * i);
      if (field[i]! < 0x80) return key >> 3;
    }
  };
  const order = new Map([...new Set(fields.map(keyOf))].map((key) => [key, random()]));
  return Buffer.concat(fields.sort((a, b) => order.get(keyOf(a))! - order.get(keyOf(b))!));
}

function bytesHead(field: number, length: number): Buffer {
  return length < 128
    ? Buffer.from([field * 8 + 2, length])
    : Buffer.from([field * 8 + 2, (length & 0x7f) | 0x80, length >> 7]);
}

describe("walkMetrics", () => {
  test("reads what protobufjs reads, in every legal encoding of 120 random messages", () => {
    for (let seed = 1; seed <= 120; seed++) {
      const random = randomSource(seed);
      const plain = encode(METRICS, randomRequest(random));
      const expected = reference(plain);
      expect(collect(plain), `seed ${seed}`).toEqual(expected);
      const other = rewrite(plain, "request", random);
      expect(reference(other), `seed ${seed}, rewritten`).toEqual(expected);
      expect(collect(other), `seed ${seed}, rewritten`).toEqual(expected);
    }
  });

  test("reads OTLP/JSON as the same points", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const request = randomRequest(randomSource(seed));
      // JSON has no negative zero or NaN of its own.
      const json = JSON.stringify(request, (_key, value) =>
        typeof value === "number" && !Number.isFinite(value) ? String(value) : Object.is(value, -0) ? "-0" : value,
      );
      expect(collect(jsonToProtobuf(Buffer.from(json), REQUESTS.metrics)), `seed ${seed}`).toEqual(
        collect(encode(METRICS, request)),
      );
    }
  });

  test("says where a truncated body ends and never reads past it", () => {
    const body = encode(METRICS, randomRequest(randomSource(12)));
    let malformed = 0;
    for (let length = 0; length < body.length; length++) {
      try {
        collect(body.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedBody);
        malformed++;
      }
    }
    expect(malformed).toBeGreaterThan(body.length * 0.9);
  });

  test("takes the last of two kinds of data, as protobuf asks of a oneof", () => {
    const sum = encode(
      METRICS,
      metricsRequest([{ name: "m", sum: { dataPoints: [{ asInt: 1 }], isMonotonic: true } }]),
    );
    expect(collect(sum)).toHaveLength(1);
    const both = Buffer.concat([
      sum,
      encode(METRICS, metricsRequest([{ name: "m", gauge: { dataPoints: [{ asInt: 2 }] } }])),
    ]);
    expect(collect(both)).toHaveLength(2);
  });

  test("counts a metric of an unknown type", () => {
    // resource_metrics > scope_metrics > metric { name: "m"; field 13: empty message }
    const metric = Buffer.from([10, 1, 109, 13 * 8 + 2, 0]);
    const wrap = (field: number, inner: Buffer) => Buffer.concat([Buffer.from([field * 8 + 2, inner.length]), inner]);
    expect(collect(wrap(1, wrap(2, wrap(2, metric))))).toEqual(["unknown"]);
    const json = JSON.stringify(metricsRequest([{ name: "m", novelty: { dataPoints: [{}] } }]));
    expect(collect(jsonToProtobuf(Buffer.from(json), REQUESTS.metrics))).toEqual(["unknown"]);
  });

  test("refuses groups and attributes nested without end", () => {
    expect(() => collect(Buffer.alloc(5000, 0x0b))).toThrow(MalformedBody);
    const wrap = (field: number, inner: Buffer) => Buffer.concat([bytesHead(field, inner.length), inner]);
    let value = Buffer.alloc(0);
    for (let i = 0; i < 300; i++) value = wrap(5, wrap(1, value));
    const point = wrap(7, wrap(2, value));
    const body = wrap(1, wrap(2, wrap(2, Buffer.concat([wrap(1, Buffer.from("m")), wrap(5, wrap(1, point))]))));
    expect(() => collect(body)).toThrow(/nested too deep/);
  });

  test("names the place of a wrong type in JSON", () => {
    const json = Buffer.from(JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: 5 }] }] }] }));
    expect(() => jsonToProtobuf(json, REQUESTS.metrics)).toThrow(WrongShape);
    expect(() => jsonToProtobuf(json, REQUESTS.metrics)).toThrow("resourceMetrics[0].scopeMetrics[0].metrics[0].name");
  });
});
