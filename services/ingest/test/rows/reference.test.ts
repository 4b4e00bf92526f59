import { describe, expect, test } from "vitest";
import type { Signal } from "../../src/otlp/reply.ts";
import { RAW_BITS } from "../../src/rows/decimal.ts";
import { Decoder } from "../../src/rows/decoder.ts";
import { TABLE_ORDER } from "../../src/rows/tables.ts";
import { readBlock } from "../native.ts";
import { encode, LOGS, METRICS, nanos, TRACES } from "../otlp-messages.ts";
import { randomSource } from "../random.ts";
import { rewrite } from "../random-requests.ts";

const NOW = 1_700_500_000_000;
const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUSES = ["Unset", "Ok", "Error"];

// biome-ignore lint/suspicious/noExplicitAny: the reference decoder's plain objects
type Plain = Record<string, any>;
type Row = Record<string, unknown>;

const options = { retentionDays: 15, maxSeries: 100_000, now: () => NOW };
const plainOf = (type: typeof METRICS, body: Buffer): Plain =>
  type.toObject(type.decode(body), { longs: String, bytes: String, defaults: false });

/** Every row of one request, by table. */
function rowsOf(decoder: Decoder, signal: Signal, body: Buffer): Map<string, Row[]> {
  const { blocks } = decoder.decode(signal, "protobuf", body);
  return new Map(blocks.map(({ table, bytes }) => [TABLE_ORDER[table]!, readBlock(bytes)]));
}

function textOf(value: Plain | undefined): string {
  if (value === undefined) return "";
  if (value.arrayValue !== undefined || value.kvlistValue !== undefined) return JSON.stringify(jsonOf(value));
  return String(value.stringValue ?? value.boolValue ?? value.intValue ?? value.doubleValue ?? value.bytesValue ?? "");
}
function jsonOf(value: Plain | undefined): unknown {
  if (value?.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(jsonOf);
  if (value?.kvlistValue !== undefined) {
    return Object.fromEntries((value.kvlistValue.values ?? []).map((kv: Plain) => [kv.key ?? "", jsonOf(kv.value)]));
  }
  return (
    value?.stringValue ??
    value?.boolValue ??
    value?.doubleValue ??
    value?.bytesValue ??
    (value?.intValue === undefined ? null : Number(value.intValue))
  );
}
const pairs = (list: Plain[] | undefined) => (list ?? []).map((kv) => [kv.key ?? "", textOf(kv.value)]);
const sorted = (list: Plain[] | undefined) =>
  [...new Map(pairs(list) as [string, string][])].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
const hex = (base64: string | undefined) => Buffer.from(base64 ?? "", "base64").toString("hex");
const serviceOf = (resource: Plain | undefined) =>
  sorted(resource?.attributes).find(([key]) => key === "service.name")?.[1] || "unknown_service";
const flat = (message: Plain, top: string, middle: string, bottom: string) =>
  (message[top] ?? []).flatMap((outer: Plain) =>
    (outer[middle] ?? []).flatMap((scoped: Plain) =>
      (scoped[bottom] ?? []).map((one: Plain) => ({ outer, scoped, one })),
    ),
  );

/** Makers of random parts of messages. */
function parts(random: () => number) {
  const below = (n: number) => Math.floor(random() * n);
  const times = <T>(n: number, make: (i: number) => T) => Array.from({ length: below(n + 1) }, (_, i) => make(i));
  const word = () => ["", "plain", "größe", "\u{1F600}", "a\nb\\", "w".repeat(below(300))][below(6)]!;
  const id = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => 1 + below(255)));
  const value = (depth = 0): object =>
    [
      { stringValue: word() },
      { boolValue: random() < 0.5 },
      { intValue: ["-9007199254740993", "0", "77"][below(3)] },
      { doubleValue: random() * 10 },
      { bytesValue: id(below(5)) },
      depth < 3 ? { arrayValue: { values: times(4, () => value(depth + 1)) } } : {},
      depth < 3 ? { kvlistValue: { values: times(4, (i) => ({ key: `k${i}`, value: value(depth + 1) })) } } : {},
      {},
    ][below(8)]!;
  const attributes = () => times(5, (i) => ({ key: `${["k", "größe", "http.route"][below(3)]}.${i}`, value: value() }));
  const resource = () => ({
    attributes: [{ key: "service.name", value: { stringValue: ["a", "b", ""][below(3)] } }, ...attributes()],
  });
  return { below, times, word, id, value, attributes, resource };
}

function spansRequest(random: () => number): object {
  const { below, times, word, id, attributes, resource } = parts(random);
  const span = (i: number) => ({
    traceId: id(16),
    spanId: id(8),
    parentSpanId: random() < 0.5 ? id(8) : undefined,
    traceState: word(),
    name: word(),
    kind: below(7),
    startTimeUnixNano: nanos(NOW, i),
    endTimeUnixNano: nanos(NOW - 1 + below(3), i * 2),
    attributes: attributes(),
    events: times(3, () => ({ timeUnixNano: nanos(NOW, below(1e6)), name: word(), attributes: attributes() })),
    links: times(2, () => ({ traceId: id(16), spanId: id(8), traceState: word(), attributes: attributes() })),
    status: { code: below(3), message: word() },
  });
  const scopeSpans = () => ({
    scope: { name: word(), version: word(), attributes: attributes() },
    spans: times(6, span),
  });
  return { resourceSpans: times(3, () => ({ resource: resource(), scopeSpans: times(3, scopeSpans) })) };
}

function spanRows(message: Plain): Row[] {
  return flat(message, "resourceSpans", "scopeSpans", "spans").map(({ outer, scoped, one }: Plain) => {
    const begin = BigInt(one.startTimeUnixNano);
    const duration = BigInt(one.endTimeUnixNano ?? 0) - begin;
    const [events, links]: [Plain[], Plain[]] = [one.events ?? [], one.links ?? []];
    return {
      Timestamp: begin,
      TraceId: hex(one.traceId),
      SpanId: hex(one.spanId),
      ParentSpanId: hex(one.parentSpanId),
      TraceState: one.traceState ?? "",
      SpanName: one.name ?? "",
      SpanKind: KINDS[one.kind ?? 0] ?? "Unspecified",
      ServiceName: serviceOf(outer.resource),
      ResourceAttributes: sorted(outer.resource?.attributes),
      ScopeName: scoped.scope?.name ?? "",
      ScopeVersion: scoped.scope?.version ?? "",
      SpanAttributes: pairs(one.attributes),
      Duration: duration > 0n ? duration : 0n,
      StatusCode: STATUSES[one.status?.code ?? 0],
      StatusMessage: one.status?.message ?? "",
      "Events.Timestamp": events.map((event) => BigInt(event.timeUnixNano ?? 0)),
      "Events.Name": events.map((event) => event.name ?? ""),
      "Events.Attributes": events.map((event) => pairs(event.attributes)),
      "Links.TraceId": links.map((link) => hex(link.traceId)),
      "Links.SpanId": links.map((link) => hex(link.spanId)),
      "Links.TraceState": links.map((link) => link.traceState ?? ""),
      "Links.Attributes": links.map((link) => pairs(link.attributes)),
    };
  });
}

function logsRequest(random: () => number): object {
  const { below, times, word, id, value, attributes, resource } = parts(random);
  const record = (i: number) => ({
    timeUnixNano: random() < 0.7 ? nanos(NOW, i) : undefined,
    observedTimeUnixNano: nanos(NOW, i + 1),
    severityNumber: below(25),
    severityText: word(),
    body: random() < 0.9 ? value() : undefined,
    attributes: attributes(),
    flags: below(256),
    ...(random() < 0.5 ? { traceId: id(16), spanId: id(8) } : {}),
    eventName: word(),
  });
  const scopeLogs = () => ({
    scope: { name: word(), version: word(), attributes: attributes() },
    schemaUrl: word(),
    logRecords: times(6, record),
  });
  return {
    resourceLogs: times(3, () => ({ resource: resource(), schemaUrl: word(), scopeLogs: times(3, scopeLogs) })),
  };
}

function logRows(message: Plain): Row[] {
  return flat(message, "resourceLogs", "scopeLogs", "logRecords").map(({ outer, scoped, one }: Plain) => ({
    Timestamp: BigInt(one.timeUnixNano ?? one.observedTimeUnixNano),
    TraceId: hex(one.traceId),
    SpanId: hex(one.spanId),
    TraceFlags: one.flags ?? 0,
    SeverityText: one.severityText ?? "",
    SeverityNumber: one.severityNumber ?? 0,
    ServiceName: serviceOf(outer.resource),
    Body: textOf(one.body),
    ResourceSchemaUrl: outer.schemaUrl ?? "",
    ResourceAttributes: sorted(outer.resource?.attributes),
    ScopeSchemaUrl: scoped.schemaUrl ?? "",
    ScopeName: scoped.scope?.name ?? "",
    ScopeVersion: scoped.scope?.version ?? "",
    ScopeAttributes: pairs(scoped.scope?.attributes),
    LogAttributes: pairs(one.attributes),
    EventName: one.eventName ?? "",
  }));
}

function metricsRequest(random: () => number): object {
  const { below, times, word, attributes, resource } = parts(random);
  const count = () => String(Math.floor(random() ** 4 * 2 ** 40));
  const number = () => [0, -1.5, below(1000) / 8, random(), 1e300, below(1e6)][below(6)]!;
  const point = (i: number) => ({
    timeUnixNano: nanos(NOW - i, below(1e6)),
    startTimeUnixNano: nanos(NOW - 1000),
    attributes: attributes(),
  });
  const distribution = (i: number) => ({
    ...point(i),
    count: count(),
    ...(random() < 0.7 ? { sum: number(), min: number(), max: number() } : {}),
  });
  const buckets = () => ({ offset: below(200) - 100, bucketCounts: times(20, count) });
  const data = () =>
    [
      {
        gauge: {
          dataPoints: times(5, (i) => ({
            ...point(i),
            ...[{ asDouble: number() }, { asInt: below(99) - 50 }][below(2)],
          })),
        },
      },
      {
        histogram: {
          aggregationTemporality: 1,
          dataPoints: times(5, (i) => {
            const explicitBounds = times(9, (b) => b + random());
            return { ...distribution(i), explicitBounds, bucketCounts: [...explicitBounds, 0].map(count) };
          }),
        },
      },
      {
        exponentialHistogram: {
          aggregationTemporality: 1,
          dataPoints: times(5, (i) => ({
            ...distribution(i),
            scale: below(31) - 10,
            zeroCount: count(),
            positive: buckets(),
            ...(random() < 0.5 ? { negative: buckets() } : {}),
          })),
        },
      },
    ][below(3)]!;
  const scopeMetrics = () => ({
    scope: { name: word(), version: word() },
    metrics: times(4, (i) => ({ name: `metric.${i}`, unit: ["1", "s"][below(2)], ...data() })),
  });
  return { resourceMetrics: times(3, () => ({ resource: resource(), scopeMetrics: times(2, scopeMetrics) })) };
}

/** Seconds to the nearest 2^-30. */
const steps = (seconds: number) => Math.round(seconds * 2 ** 30) / 2 ** 30;

/** What is stored of each point, with the attributes of its series in place of the id; by table. */
function metricRows(message: Plain): Map<string, Row[]> {
  const rows = new Map<string, Row[]>();
  const sparse = (side: Plain | undefined) =>
    ((side?.bucketCounts ?? []) as string[])
      .map((n, i) => [(side!.offset ?? 0) + i, BigInt(n)])
      .filter(([, n]) => n !== 0n);
  for (const { outer, scoped, one } of flat(message, "resourceMetrics", "scopeMetrics", "metrics")) {
    const kind = ["gauge", "histogram", "exponentialHistogram"].find((name) => one[name] !== undefined)!;
    const table = { gauge: "samples", histogram: "histograms", exponentialHistogram: "exp_histograms" }[kind]!;
    for (const point of one[kind].dataPoints ?? []) {
      const key = {
        metric: one.name,
        service: serviceOf(outer.resource),
        ts: BigInt(point.timeUnixNano) / 1_000_000n,
        series: [sorted(outer.resource?.attributes), sorted(point.attributes), scoped.scope?.name ?? ""],
      };
      const kept = (value: number | undefined) =>
        value === undefined ? null : one.unit === "s" && Math.abs(value) < 2 ** 23 ? steps(value) : value;
      const of = {
        count: BigInt(point.count ?? 0),
        sum: kept(point.sum),
        min: kept(point.min),
        max: kept(point.max),
      };
      const row =
        kind === "gauge"
          ? { ...key, value: Number(point.asDouble ?? point.asInt) }
          : kind === "histogram"
            ? { ...key, ...of, bounds: point.explicitBounds ?? [], buckets: (point.bucketCounts ?? []).map(BigInt) }
            : {
                ...key,
                ...of,
                scale: point.scale ?? 0,
                zero: BigInt(point.zeroCount ?? 0),
                positive: sparse(point.positive),
                negative: sparse(point.negative),
              };
      rows.set(table, [...(rows.get(table) ?? []), row]);
    }
  }
  return rows;
}

/** The decoder's rows in the shape of `metricRows`; `series` remembers what each id stands for. */
function storedMetrics(tables: Map<string, Row[]>, series: Map<unknown, unknown>): Map<string, Row[]> {
  for (const row of tables.get("series") ?? [])
    series.set(row.series_id, [row.resource, row.attributes, row.scope_name]);
  const rows = new Map<string, Row[]>();
  for (const [table, found] of tables) {
    if (table === "series") continue;
    rows.set(
      table,
      found.map(({ series_id, m, e, ...row }) => {
        const known = { ...row, series: series.get(series_id) };
        if (table !== "samples") return known;
        const bits = Buffer.alloc(8);
        bits.writeBigUInt64LE(m as bigint);
        const value =
          e === RAW_BITS ? bits.readDoubleLE() : Number(BigInt.asIntN(64, m as bigint)) / 10 ** -(e as number);
        return { ...known, value };
      }),
    );
  }
  return rows;
}

describe.each([
  ["with the kernel", true],
  ["by the walkers alone", false],
])("%s, rows are those of a plain decoder, in every legal encoding, split messages included:", (_name, kernel) => {
  test("spans", () => {
    const decoder = new Decoder({ ...options, kernel });
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomSource(seed);
      const body = encode(TRACES, spansRequest(random));
      const expected = spanRows(plainOf(TRACES, body));
      for (const [i, bytes] of [body, rewrite(body, "traces", random, true)].entries()) {
        expect(rowsOf(decoder, "traces", bytes).get("otel_traces") ?? [], `seed ${seed}, ${i}`).toEqual(expected);
      }
    }
  });

  test("log records", () => {
    const decoder = new Decoder({ ...options, kernel });
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomSource(seed);
      const body = encode(LOGS, logsRequest(random));
      const expected = logRows(plainOf(LOGS, body));
      for (const [i, bytes] of [body, rewrite(body, "logs", random, true)].entries()) {
        expect(rowsOf(decoder, "logs", bytes).get("otel_logs") ?? [], `seed ${seed}, ${i}`).toEqual(expected);
      }
    }
  });

  test("numbers and histograms of both kinds", () => {
    const decoder = new Decoder({ ...options, kernel });
    const series = new Map<unknown, unknown>();
    for (let seed = 1; seed <= 80; seed++) {
      const random = randomSource(seed);
      const body = encode(METRICS, metricsRequest(random));
      const expected = metricRows(plainOf(METRICS, body));
      // The second time the series are known, and the kernel takes them.
      for (const [i, bytes] of [body, body, rewrite(body, "request", random, true)].entries()) {
        const stored = storedMetrics(rowsOf(decoder, "metrics", bytes), series);
        expect(stored, `seed ${seed}, ${i}`).toEqual(expected);
      }
    }
    expect(decoder.kernelRows > 0).toBe(kernel);
  });
});
