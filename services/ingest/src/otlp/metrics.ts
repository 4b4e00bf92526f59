import { text } from "./attributes.ts";
import { HeaderPlace, MetricHeaders } from "./metric-headers.ts";
import { type DenseBuckets, type MetricKind, type MetricSink, type Numbers, Point, type Temporality } from "./point.ts";
import { BYTES, FIXED64, VARINT, Wire } from "./wire.ts";

const KINDS: Readonly<Record<number, MetricKind>> = {
  5: "gauge",
  7: "sum",
  9: "histogram",
  10: "exponential_histogram",
  11: "summary",
};
/** Fields of `Metric` that are not data: name, description, unit, metadata. */
const METRIC_METADATA_FIELD = 12;
const TEMPORALITIES: readonly Temporality[] = ["unspecified", "delta", "cumulative"];
const ATTRIBUTE_FIELD: Readonly<Record<MetricKind, number>> = {
  gauge: 7,
  sum: 7,
  histogram: 9,
  exponential_histogram: 1,
  summary: 7,
};

const point = new Point();
const place = new HeaderPlace();

/**
 * Walks an `ExportMetricsServiceRequest` and hands every data point to the sink.
 *
 * Fields may come in any order, repeated and unknown ones included: each message is scanned for what its children need
 * before the children are read. `headers` remembers those of requests before. Throws MalformedBody when the bytes are no legal message.
 * Source: opentelemetry-proto 1.x, metrics.proto.
 */
export function walkMetrics(body: Buffer, sink: MetricSink, headers = new MetricHeaders()): void {
  const wire = new Wire(body);
  const end = body.length;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 10) {
      const stop = wire.span(end);
      walkResourceMetrics(wire, wire.pos, stop, sink, headers);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
}

function walkResourceMetrics(wire: Wire, start: number, end: number, sink: MetricSink, headers: MetricHeaders): void {
  sink.resource(wire, messageRanges(wire, start, end, 1));
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 18) {
      const stop = wire.span(end);
      walkScopeMetrics(wire, wire.pos, stop, sink, headers);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
}

function walkScopeMetrics(wire: Wire, start: number, end: number, sink: MetricSink, headers: MetricHeaders): void {
  const scope = readScope(wire, messageRanges(wire, start, end, 1));
  sink.scope(scope.name, scope.version);
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 18) {
      const stop = wire.span(end);
      walkMetric(wire, wire.pos, stop, sink, headers);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
}

/** Start and end, pairwise, of every occurrence of a message field; the whole of `start..end` is checked on the way. */
export function messageRanges(wire: Wire, start: number, end: number, field: number): number[] {
  const wanted = (field << 3) | BYTES;
  const ranges: number[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === wanted) {
      const stop = wire.span(end);
      ranges.push(wire.pos, stop);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  return ranges;
}

export function readScope(wire: Wire, ranges: readonly number[]): { name: string; version: string } {
  let name = "";
  let version = "";
  for (let i = 0; i < ranges.length; i += 2) {
    const end = ranges[i + 1]!;
    wire.pos = ranges[i]!;
    while (wire.pos < end) {
      const tag = wire.tag(end);
      if (tag === 10 || tag === 18) {
        const stop = wire.span(end);
        if (tag === 10) name = text(wire, wire.pos, stop);
        else version = text(wire, wire.pos, stop);
        wire.pos = stop;
      } else wire.skip(tag, end);
    }
  }
  return { name, version };
}

function walkMetric(wire: Wire, start: number, end: number, sink: MetricSink, headers: MetricHeaders): void {
  place.clear();
  let dataField = 0;
  let unknown = false;
  const data: number[] = [];
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if ((tag & 7) !== BYTES) {
      wire.skip(tag, end);
      continue;
    }
    const stop = wire.span(end);
    const field = tag >>> 3;
    if (field === 1) {
      place.nameStart = wire.pos;
      place.nameEnd = stop;
    } else if (field === 2) {
      place.descriptionStart = wire.pos;
      place.descriptionEnd = stop;
    } else if (field === 3) {
      place.unitStart = wire.pos;
      place.unitEnd = stop;
    } else if (KINDS[field] !== undefined) {
      if (field !== dataField) data.length = 0;
      dataField = field;
      data.push(wire.pos, stop);
    } else if (field !== METRIC_METADATA_FIELD) unknown = true;
    wire.pos = stop;
  }
  const kind = KINDS[dataField];
  if (kind === undefined) {
    if (unknown) sink.unknownType();
    return;
  }
  let temporality = 0;
  let monotonic = false;
  if (kind !== "gauge" && kind !== "summary") {
    for (let i = 0; i < data.length; i += 2) {
      const stop = data[i + 1]!;
      wire.pos = data[i]!;
      while (wire.pos < stop) {
        const tag = wire.tag(stop);
        if (tag === 16) temporality = wire.varint(stop);
        else if (tag === 24 && kind === "sum") monotonic = wire.varint(stop) !== 0;
        else wire.skip(tag, stop);
      }
    }
  }
  sink.metric(headers.read(wire, place, kind, TEMPORALITIES[temporality] ?? "unspecified", monotonic));
  const attributeField = ATTRIBUTE_FIELD[kind];
  for (let i = 0; i < data.length; i += 2) {
    const stop = data[i + 1]!;
    wire.pos = data[i]!;
    for (;;) {
      sink.take?.(wire, stop);
      if (wire.pos >= stop) break;
      const tag = wire.tag(stop);
      if (tag !== 10) {
        wire.skip(tag, stop);
        continue;
      }
      const pointEnd = wire.span(stop);
      point.begin(wire, wire.pos, pointEnd, attributeField);
      if (kind === "gauge" || kind === "sum") readNumber(wire, pointEnd);
      else {
        point.beginDistribution();
        if (kind === "histogram") readHistogram(wire, pointEnd);
        else if (kind === "exponential_histogram") readExponential(wire, pointEnd);
        else readSummary(wire, pointEnd);
      }
      sink.point(point);
      wire.pos = pointEnd;
    }
  }
}

function readNumber(wire: Wire, end: number): void {
  while (wire.pos < end) {
    const at = wire.pos;
    const tag = wire.tag(end);
    switch (tag) {
      case (7 << 3) | BYTES:
        wire.pos = wire.span(end);
        point.sawAttribute(at, wire.pos);
        break;
      case (2 << 3) | FIXED64:
        readBegin(wire, end);
        break;
      case (3 << 3) | FIXED64:
        readTime(wire, end);
        break;
      case (4 << 3) | FIXED64:
        point.double = wire.double(end);
        point.value = "double";
        break;
      case (6 << 3) | FIXED64:
        wire.fixed64(end);
        point.intLo = wire.lo;
        point.intHi = wire.hi;
        point.value = "int";
        break;
      case (8 << 3) | VARINT:
        wire.varint(end);
        point.flags = wire.lo;
        break;
      default:
        wire.skip(tag, end);
    }
  }
}

function readHistogram(wire: Wire, end: number): void {
  while (wire.pos < end) {
    const at = wire.pos;
    const tag = wire.tag(end);
    switch (tag) {
      case (9 << 3) | BYTES:
        wire.pos = wire.span(end);
        point.sawAttribute(at, wire.pos);
        break;
      case (2 << 3) | FIXED64:
        readBegin(wire, end);
        break;
      case (3 << 3) | FIXED64:
        readTime(wire, end);
        break;
      case (4 << 3) | FIXED64:
        wire.fixed64(end);
        point.count = wire.hi * 4294967296 + wire.lo;
        break;
      case (5 << 3) | FIXED64:
        point.sumValue = wire.double(end);
        break;
      case (6 << 3) | FIXED64:
        wire.fixed64(end);
        point.buckets.push(wire.hi * 4294967296 + wire.lo);
        break;
      case (6 << 3) | BYTES: {
        const stop = wire.span(end);
        if ((stop - wire.pos) % 8 !== 0) wire.fail("truncated 64-bit value");
        if (stop > wire.pos) point.sawBuckets(wire.pos, stop);
        wire.pos = stop;
        break;
      }
      case (7 << 3) | FIXED64:
        point.bounds.push(wire.double(end));
        break;
      case (7 << 3) | BYTES: {
        const stop = wire.span(end);
        if ((stop - wire.pos) % 8 !== 0) wire.fail("truncated 64-bit value");
        if (stop > wire.pos) point.sawBounds(wire.pos, stop);
        wire.pos = stop;
        break;
      }
      case (10 << 3) | VARINT:
        wire.varint(end);
        point.flags = wire.lo;
        break;
      case (11 << 3) | FIXED64:
        point.minValue = wire.double(end);
        break;
      case (12 << 3) | FIXED64:
        point.maxValue = wire.double(end);
        break;
      default:
        wire.skip(tag, end);
    }
  }
}

function readExponential(wire: Wire, end: number): void {
  while (wire.pos < end) {
    const at = wire.pos;
    const tag = wire.tag(end);
    switch (tag) {
      case (1 << 3) | BYTES:
        wire.pos = wire.span(end);
        point.sawAttribute(at, wire.pos);
        break;
      case (2 << 3) | FIXED64:
        readBegin(wire, end);
        break;
      case (3 << 3) | FIXED64:
        readTime(wire, end);
        break;
      case (4 << 3) | FIXED64:
        wire.fixed64(end);
        point.count = wire.hi * 4294967296 + wire.lo;
        break;
      case (5 << 3) | FIXED64:
        point.sumValue = wire.double(end);
        break;
      case (6 << 3) | VARINT:
        point.scale = readSigned(wire, end);
        break;
      case (7 << 3) | FIXED64:
        wire.fixed64(end);
        point.zero = wire.hi * 4294967296 + wire.lo;
        break;
      case (8 << 3) | BYTES:
      case (9 << 3) | BYTES: {
        const stop = wire.span(end);
        readBuckets(wire, stop, tag >> 3 === 8 ? point.positive : point.negative);
        break;
      }
      case (10 << 3) | VARINT:
        wire.varint(end);
        point.flags = wire.lo;
        break;
      case (12 << 3) | FIXED64:
        point.minValue = wire.double(end);
        break;
      case (13 << 3) | FIXED64:
        point.maxValue = wire.double(end);
        break;
      default:
        wire.skip(tag, end);
    }
  }
}

function readBuckets(wire: Wire, end: number, into: DenseBuckets): void {
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 8) into.offset = readSigned(wire, end);
    else if (tag === 16) into.counts.push(wire.varint(end));
    else if (tag === 18) {
      readCounts(wire, wire.span(end), into.counts);
    } else wire.skip(tag, end);
  }
}

/** Packed varints. Those of one or two bytes, which nearly all counts are, are read here. */
function readCounts(wire: Wire, end: number, into: Numbers): void {
  const { bytes } = wire;
  into.reserve(end - wire.pos);
  const { values } = into;
  let length = into.length;
  let pos = wire.pos;
  while (pos < end) {
    const first = bytes[pos]!;
    if (first < 0x80) {
      values[length++] = first;
      pos++;
      continue;
    }
    const second = bytes[pos + 1]!;
    if (pos + 1 < end && second < 0x80) {
      values[length++] = (first & 0x7f) | (second << 7);
      pos += 2;
      continue;
    }
    wire.pos = pos;
    values[length++] = wire.varint(end);
    pos = wire.pos;
  }
  wire.pos = pos;
  into.length = length;
}

function readSummary(wire: Wire, end: number): void {
  while (wire.pos < end) {
    const at = wire.pos;
    const tag = wire.tag(end);
    switch (tag) {
      case (7 << 3) | BYTES:
        wire.pos = wire.span(end);
        point.sawAttribute(at, wire.pos);
        break;
      case (2 << 3) | FIXED64:
        readBegin(wire, end);
        break;
      case (3 << 3) | FIXED64:
        readTime(wire, end);
        break;
      case (4 << 3) | FIXED64:
        wire.fixed64(end);
        point.count = wire.hi * 4294967296 + wire.lo;
        break;
      case (5 << 3) | FIXED64:
        point.sumValue = wire.double(end);
        break;
      case (6 << 3) | BYTES: {
        const stop = wire.span(end);
        let quantile = 0;
        let value = 0;
        while (wire.pos < stop) {
          const inner = wire.tag(stop);
          if (inner === 9) quantile = wire.double(stop);
          else if (inner === 17) value = wire.double(stop);
          else wire.skip(inner, stop);
        }
        point.quantiles.push(quantile);
        point.quantileValues.push(value);
        break;
      }
      case (8 << 3) | VARINT:
        wire.varint(end);
        point.flags = wire.lo;
        break;
      default:
        wire.skip(tag, end);
    }
  }
}

function readBegin(wire: Wire, end: number): void {
  wire.fixed64(end);
  point.beginLo = wire.lo;
  point.beginHi = wire.hi;
}

function readTime(wire: Wire, end: number): void {
  wire.fixed64(end);
  point.timeLo = wire.lo;
  point.timeHi = wire.hi;
}

/** sint32: zigzag. */
function readSigned(wire: Wire, end: number): number {
  wire.varint(end);
  return (wire.lo >>> 1) ^ -(wire.lo & 1);
}
