import { messageRanges, readScope } from "./metrics.ts";
import { Wire } from "./wire.ts";

/** Who receives spans or log records: each as the range of its message, to be read straight into columns. */
export interface RecordSink {
  resource(wire: Wire, ranges: readonly number[], schemaUrl: string): void;
  /** `ranges` are start and end, pairwise, of the scope's messages. */
  scope(name: string, version: string, ranges: readonly number[], schemaUrl: string): void;
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
    forEach(wire, start, stop, 2, (scopeStart, scopeEnd) => {
      const ranges = messageRanges(wire, scopeStart, scopeEnd, 1);
      const { name, version } = readScope(wire, ranges);
      sink.scope(name, version, ranges, readSchemaUrl(wire, scopeStart, scopeEnd));
      forEach(wire, scopeStart, scopeEnd, 2, (recordStart, recordEnd) => sink.record(wire, recordStart, recordEnd));
    });
    wire.pos = stop;
  }
}

function forEach(
  wire: Wire,
  start: number,
  end: number,
  field: number,
  visit: (start: number, end: number) => void,
): void {
  const wanted = (field << 3) | 2;
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.tag(end);
    if (tag === wanted) {
      const stop = wire.span(end);
      visit(wire.pos, stop);
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
