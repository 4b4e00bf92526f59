import { type Column, Dictionary, Fixed } from "./columns.ts";
import {
  buckets4,
  fixed,
  float,
  labels,
  list,
  millis,
  nanos,
  optionalFloat,
  optionalU64,
  seconds,
  Table,
  text,
  u64,
  words,
} from "./table.ts";

const SERIES_KIND = "Enum8('gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5)";
const TEMPORALITY = "Enum8('unspecified' = 0, 'delta' = 1, 'cumulative' = 2)";

const sampleKey = () => ({ metric: words(), service: words(), series_id: u64(), ts: millis() });
const distribution = () => ({ count: u64(), sum: optionalFloat(), min: optionalFloat(), max: optionalFloat() });
const identity = () => ({
  ts: millis(),
  service: words(),
  runtime: words(),
  environment: words(),
  host: words(),
  instance: words(),
  worker: words(),
  server: words(),
});
const timing = () => ({
  count: u64(),
  sum: float(),
  max: optionalFloat(),
  buckets: buckets4(),
  points: fixed("UInt16", 2),
});

/** Every table that the ingest writes, with the columns of `services/store/migrations` that it fills. */
export function createTables() {
  return {
    series: new Table("series", {
      metric: words(),
      service: words(),
      series_id: u64(),
      runtime: words(),
      instance: words(),
      worker: words(),
      environment: words(),
      host: words(),
      kind: fixed(SERIES_KIND, 1),
      temporality: fixed(TEMPORALITY, 1),
      monotonic: fixed("Bool", 1),
      unit: words(),
      description: text(),
      resource: labels(),
      scope_name: words(),
      scope_version: words(),
      attributes: labels(),
      last_seen: seconds(),
    }),
    samples: new Table("samples", { ...sampleKey(), m: fixed("Int64", 8), e: fixed("Int8", 1) }),
    histograms: new Table("histograms", {
      ...sampleKey(),
      ...distribution(),
      bounds: list(float()),
      buckets: list(u64()),
    }),
    exp_histograms: new Table("exp_histograms", {
      ...sampleKey(),
      ...distribution(),
      scale: fixed("Int8", 1),
      zero: u64(),
      positive: bucketMap(),
      negative: bucketMap(),
    }),
    summaries: new Table("summaries", {
      ...sampleKey(),
      count: u64(),
      sum: float(),
      quantiles: list(float()),
      values: list(float()),
    }),
    resource_samples: new Table("resource_samples", {
      ...identity(),
      group_id: words(),
      pid: fixed("UInt32", 4),
      kind: words(),
      name: words(),
      scope: words(),
      listener_id: words(),
      capacity: optionalFloat(),
      busy: optionalFloat(),
      busy_max: optionalFloat(),
      waiting: optionalFloat(),
      waiting_max: optionalFloat(),
      wait_count: optionalU64(),
      wait_sum: optionalFloat(),
      wait_max: optionalFloat(),
      wait_buckets: buckets4(),
      stall_age: optionalFloat(),
      rejected: optionalFloat(),
      saturated_time: optionalFloat(),
      points: fixed("UInt16", 2),
    }),
    http_requests: new Table("http_requests", {
      ...identity(),
      route: words(),
      method: words(),
      status: fixed("UInt16", 2),
      error_type: words(),
      ...timing(),
    }),
    request_phases: new Table("request_phases", { ...identity(), route: words(), phase: words(), ...timing() }),
    query_timings: new Table("query_timings", {
      ...identity(),
      db_system: words(),
      db_namespace: words(),
      db_alias: words(),
      operation: words(),
      summary: words(),
      statement_id: u64(),
      route: words(),
      error_type: words(),
      ...timing(),
    }),
    query_statements: new Table("query_statements", {
      statement_id: u64(),
      db_system: words(),
      text: text(),
      last_seen: seconds(),
    }),
    connection_memory: new Table("connection_memory", {
      ...identity(),
      kind: words(),
      memory_type: words(),
      connections: optionalFloat(),
      opened: optionalFloat(),
      memory_bytes: optionalFloat(),
      bytes_per_connection: optionalFloat(),
      fit_r2: optionalFloat(),
      fit_span: optionalFloat(),
      points: fixed("UInt16", 2),
    }),
    otel_traces: new Table("otel_traces", {
      Timestamp: nanos(),
      TraceId: text(),
      SpanId: text(),
      ParentSpanId: text(),
      TraceState: text(),
      SpanName: words(),
      SpanKind: words(),
      ServiceName: words(),
      ResourceAttributes: labels(),
      ScopeName: text(),
      ScopeVersion: text(),
      SpanAttributes: labels(),
      Duration: u64(),
      StatusCode: words(),
      StatusMessage: text(),
      "Events.Timestamp": list(nanos()),
      "Events.Name": list(words()),
      "Events.Attributes": list(labels()),
      "Links.TraceId": list(text()),
      "Links.SpanId": list(text()),
      "Links.TraceState": list(text()),
      "Links.Attributes": list(labels()),
    }),
    otel_logs: new Table("otel_logs", {
      Timestamp: nanos(),
      TraceId: text(),
      SpanId: text(),
      TraceFlags: fixed("UInt8", 1),
      SeverityText: words(),
      SeverityNumber: fixed("UInt8", 1),
      ServiceName: words(),
      Body: text(),
      ResourceSchemaUrl: words(),
      ResourceAttributes: labels(),
      ScopeSchemaUrl: words(),
      ScopeName: text(),
      ScopeVersion: words(),
      ScopeAttributes: labels(),
      LogAttributes: labels(),
      EventName: text(),
    }),
  };
}

export type Tables = ReturnType<typeof createTables>;
export type TableName = keyof Tables;

/**
 * Tables in the order of their numbers in the log: append only, a number never changes its meaning.
 * Dictionaries come before the tables whose rows refer to them.
 */
export const TABLE_ORDER: readonly TableName[] = [
  "series",
  "query_statements",
  "samples",
  "histograms",
  "exp_histograms",
  "summaries",
  "resource_samples",
  "http_requests",
  "request_phases",
  "query_timings",
  "connection_memory",
  "otel_traces",
  "otel_logs",
];

/** Column list of each table's INSERT. */
export const COLUMN_NAMES: ReadonlyMap<TableName, readonly string[]> = new Map(
  Object.entries(createTables()).map(([name, table]) => [
    name as TableName,
    (table as Table<Record<string, Column>>).columnNames,
  ]),
);

function bucketMap() {
  return new Dictionary(new Fixed("Int32", 4), u64());
}
