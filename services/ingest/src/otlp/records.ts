import { messageRanges, readScope } from "./metrics.ts";
import { Wire } from "./wire.ts";

/** Who receives spans or log records: each as the range of its message, to be read straight into columns. */
export interface RecordSink {
  resource(wire: Wire, ranges: readonly number[], schemaUrl: string): void;
  /** `ranges` are start and end, pairwise, of the scope's messages. */
  scope(name: string, version: string, ranges: readonly number[], schemaUrl: string): void;
  /** As `MetricSink.take`: records of the scope, or other fields of its message, begin at the wire's position. */
  take?(wire: Wire, end: number): void;
  record(wire: Wire, start: number, end: number): void;
}

/**
 * Walks an `ExportTraceServiceRequest` or `ExportLogsServiceRequest`: both are resources > scopes > records under the
 * same field numbers. Throws MalformedBody. Source: opentelemetry-proto 1.x, trace.proto and logs.proto.
 */
export function walkRecords(body: Buffer, sink: RecordSink): void {
  const wire = new Wire(body);
  const end = body.length;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag !== 10) {
      wire.skip(tag, end);
      continue;
    }
    const stop = wire.span(end);
    const start = wire.pos;
    sink.resource(wire, messageRanges(wire, start, stop, 1), readSchemaUrl(wire, start, stop));
    wire.pos = start;
    while (wire.pos < stop) {
      const inner = wire.tag(stop);
      if (inner === 18) {
        const scopeEnd = wire.span(stop);
        walkScope(wire, wire.pos, scopeEnd, sink);
        wire.pos = scopeEnd;
      } else wire.skip(inner, stop);
    }
    wire.pos = stop;
  }
}

function walkScope(wire: Wire, start: number, end: number, sink: RecordSink): void {
  const ranges = messageRanges(wire, start, end, 1);
  const { name, version } = readScope(wire, ranges);
  sink.scope(name, version, ranges, readSchemaUrl(wire, start, end));
  wire.pos = start;
  for (;;) {
    sink.take?.(wire, end);
    if (wire.pos >= end) return;
    const tag = wire.tag(end);
    if (tag === 18) {
      const stop = wire.span(end);
      sink.record(wire, wire.pos, stop);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
}

/** `schema_url` is field 3 at both levels. */
function readSchemaUrl(wire: Wire, start: number, end: number): string {
  let url = "";
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === 26) {
      const stop = wire.span(end);
      url = wire.bytes.toString("utf8", wire.pos, stop);
      wire.pos = stop;
    } else wire.skip(tag, end);
  }
  return url;
}
