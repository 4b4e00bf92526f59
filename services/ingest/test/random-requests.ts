import { Wire } from "../src/otlp/wire.ts";

/** Random, legal messages: what the random source says decides everything, so a failure can be repeated by its seed. */
export function randomMetrics(random: () => number): object {
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
  traces: { 1: "resourceSpans" },
  resourceSpans: { 1: "resource", 2: "scopeSpans" },
  scopeSpans: { 1: "scope", 2: "span" },
  span: { 9: "pair", 11: "event", 13: "link", 15: "status" },
  event: { 3: "pair" },
  link: { 4: "pair" },
  logs: { 1: "resourceLogs" },
  resourceLogs: { 1: "resource", 2: "scopeLogs" },
  scopeLogs: { 1: "scope", 2: "log" },
  log: { 6: "pair" },
  list: { 1: "item" },
};
const UNPACKABLE: Record<string, Record<number, "fixed64" | "varint">> = {
  histogram: { 6: "fixed64", 7: "fixed64" },
  buckets: { 2: "varint" },
};

/** Messages that are expected once, by field number of their parent: sent in several parts they are merged. */
const MERGED: Record<string, Record<number, string>> = {
  resourceMetrics: { 1: "resource" },
  scopeMetrics: { 1: "scope" },
  exponential: { 8: "buckets", 9: "buckets" },
  resourceSpans: { 1: "resource" },
  scopeSpans: { 1: "scope" },
  resourceLogs: { 1: "resource" },
  scopeLogs: { 1: "scope" },
  span: { 15: "status" },
  log: { 5: "value" },
  pair: { 2: "value" },
  value: { 5: "list", 6: "list" },
};

/**
 * The same message in another legal encoding: other field order, unpacked numbers, unknown fields, long varints. With
 * `split`, messages that are expected once come in several parts; protobufjs does not merge those.
 */
export function rewrite(bytes: Buffer, message: string, random: () => number, split = false): Buffer {
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
        const kind = child ?? (split ? MERGED[message]?.[field] : undefined);
        const body = kind === undefined ? inner : rewrite(Buffer.from(inner), kind, random, split);
        const cuts = split && MERGED[message]?.[field] !== undefined ? cutsOf(body, random) : [];
        for (const [i, from] of [0, ...cuts].entries()) {
          const part = body.subarray(from, cuts[i] ?? body.length);
          fields.push(Buffer.concat([head, encoded(BigInt(part.length), random() < 0.1 ? 1 : 0), part]));
        }
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

/** Places between the fields of a message where it may be cut. */
function cutsOf(message: Buffer, random: () => number): number[] {
  const cuts: number[] = [];
  const wire = new Wire(message);
  while (wire.pos < message.length) {
    wire.skip(wire.tag(message.length), message.length);
    if (wire.pos < message.length && random() < 0.3) cuts.push(wire.pos);
  }
  return cuts;
}
