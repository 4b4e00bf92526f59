/** Rows that a batch adds to each of its tables. */
export const ROWS = 4;

export type Signal = "metrics" | "traces" | "logs";
export const SIGNALS: readonly Signal[] = ["metrics", "traces", "logs"];

/** Where the numbers of a batch end up: each row of a table holds one that no other row of it has. */
export interface Place {
  readonly table: string;
  readonly signal: Signal;
  /** SQL of the row's number. */
  readonly id: string;
  readonly where: string;
}

export const PLACES: readonly Place[] = [
  { table: "samples", signal: "metrics", id: "value", where: "metric = 'chaos.gauge'" },
  { table: "samples", signal: "metrics", id: "value", where: "metric = 'chaos.sum'" },
  { table: "histograms", signal: "metrics", id: "sum", where: "metric = 'chaos.histogram'" },
  { table: "exp_histograms", signal: "metrics", id: "sum", where: "metric = 'chaos.exponential'" },
  { table: "summaries", signal: "metrics", id: "sum", where: "metric = 'chaos.summary'" },
  { table: "resource_samples", signal: "metrics", id: "busy", where: "service = 'chaos'" },
  { table: "http_requests", signal: "metrics", id: "sum", where: "service = 'chaos'" },
  { table: "request_phases", signal: "metrics", id: "sum", where: "service = 'chaos'" },
  { table: "query_timings", signal: "metrics", id: "sum", where: "service = 'chaos'" },
  { table: "connection_memory", signal: "metrics", id: "connections", where: "service = 'chaos'" },
  { table: "otel_traces", signal: "traces", id: "reinterpretAsUInt64(reverse(unhex(SpanId)))", where: "1" },
  { table: "otel_logs", signal: "logs", id: "toUInt64(Body)", where: "ServiceName = 'chaos'" },
];

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const CUMULATIVE = 2;
const DELTA = 1;

/**
 * OTLP/JSON of the three signals of batch `number`, at least 1. Its rows are numbered `number * ROWS + row`, whole numbers that a
 * Float64 holds exactly, and so are their sums: a rollup can be compared to the last bit. No two points of a series
 * share a time as long as `atMs` differs by sender.
 */
export function bodies(number: number, sender: number, atMs: number): Record<Signal, object> {
  const numbers = Array.from({ length: ROWS }, (_, row) => number * ROWS + row);
  const timeUnixNano = `${atMs}000000`;
  const startTimeUnixNano = `${atMs - 1000}000000`;
  const resource = {
    attributes: [text("service.name", "chaos"), text("service.instance.id", `sender-${sender}`)],
  };
  const points = (of: (id: number) => object, labels: (row: number) => object[]) =>
    numbers.map((id, row) => ({ timeUnixNano, startTimeUnixNano, attributes: labels(row), ...of(id) }));
  const byRow = (row: number) => [text("row", `${row}`)];
  const exponential = (id: number) => ({
    count: 1,
    sum: id,
    max: id,
    scale: 4,
    positive: { offset: id % 100, bucketCounts: [1] },
  });
  const duration = (name: string, labels: (row: number) => object[]) => ({
    name,
    unit: "s",
    exponentialHistogram: { aggregationTemporality: DELTA, dataPoints: points(exponential, labels) },
  });
  const ofResource = (row: number) => [
    text("tidemark.resource.kind", "thread_pool"),
    text("tidemark.resource.name", `pool-${row}`),
  ];
  const gauge = (name: string, of: (id: number) => object, labels: (row: number) => object[]) => ({
    name,
    gauge: { dataPoints: points(of, labels) },
  });
  const metrics = [
    gauge("chaos.gauge", (asDouble) => ({ asDouble }), byRow),
    {
      name: "chaos.sum",
      sum: {
        aggregationTemporality: CUMULATIVE,
        isMonotonic: true,
        dataPoints: points((id) => ({ asInt: String(id) }), byRow),
      },
    },
    {
      name: "chaos.histogram",
      histogram: {
        aggregationTemporality: DELTA,
        dataPoints: points((sum) => ({ count: 1, sum, explicitBounds: [10], bucketCounts: [0, 1] }), byRow),
      },
    },
    {
      name: "chaos.exponential",
      exponentialHistogram: { aggregationTemporality: DELTA, dataPoints: points(exponential, byRow) },
    },
    {
      name: "chaos.summary",
      summary: {
        dataPoints: points((sum) => ({ count: 1, sum, quantileValues: [{ quantile: 0.5, value: sum }] }), byRow),
      },
    },
    gauge("tidemark.resource.capacity", () => ({ asDouble: 4 }), ofResource),
    gauge("tidemark.resource.busy", (asDouble) => ({ asDouble }), ofResource),
    duration("tidemark.resource.wait", ofResource),
    duration("http.server.request.duration", (row) => [text("http.route", `/chaos/${row}`)]),
    duration("tidemark.http.server.phase.duration", (row) => [text("tidemark.phase", `phase-${row}`)]),
    duration("db.client.operation.duration", (row) => [
      text("db.query.text", `SELECT ${row} FROM chaos`),
      text("db.system.name", "postgresql"),
    ]),
    gauge(
      "tidemark.connections",
      (asDouble) => ({ asDouble }),
      (row) => [text("tidemark.connection.kind", `kind-${row}`)],
    ),
  ];
  const spans = numbers.map((id) => ({
    traceId: number.toString(16).padStart(32, "0"),
    spanId: id.toString(16).padStart(16, "0"),
    name: "GET /chaos",
    kind: 2,
    startTimeUnixNano,
    endTimeUnixNano: timeUnixNano,
  }));
  const logRecords = numbers.map((id) => ({ timeUnixNano, body: { stringValue: `${id}` } }));
  return {
    metrics: { resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] },
    traces: { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] },
    logs: { resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] },
  };
}
