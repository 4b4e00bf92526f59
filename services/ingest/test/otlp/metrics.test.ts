import { describe, expect, test } from "vitest";
import { type Attribute, readAttributes } from "../../src/otlp/attributes.ts";
import { jsonToProtobuf, REQUESTS, WrongShape } from "../../src/otlp/json.ts";
import { walkMetrics } from "../../src/otlp/metrics.ts";
import type { MetricHeader, MetricSink, Point } from "../../src/otlp/point.ts";
import { MalformedBody, nanosToMillis, type Wire } from "../../src/otlp/wire.ts";
import { encode, METRICS, metricsRequest } from "../otlp-messages.ts";
import { randomSource } from "../random.ts";
import { randomMetrics, rewrite } from "../random-requests.ts";

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

function bytesHead(field: number, length: number): Buffer {
  return length < 128
    ? Buffer.from([field * 8 + 2, length])
    : Buffer.from([field * 8 + 2, (length & 0x7f) | 0x80, length >> 7]);
}

describe("walkMetrics", () => {
  test("reads what protobufjs reads, in every legal encoding of 120 random messages", () => {
    for (let seed = 1; seed <= 120; seed++) {
      const random = randomSource(seed);
      const plain = encode(METRICS, randomMetrics(random));
      const expected = reference(plain);
      expect(collect(plain), `seed ${seed}`).toEqual(expected);
      const other = rewrite(plain, "request", random);
      expect(reference(other), `seed ${seed}, rewritten`).toEqual(expected);
      expect(collect(other), `seed ${seed}, rewritten`).toEqual(expected);
    }
  });

  test("reads OTLP/JSON as the same points", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const request = randomMetrics(randomSource(seed));
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
    const body = encode(METRICS, randomMetrics(randomSource(12)));
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
