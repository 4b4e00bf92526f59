/** The database everything lives in, unless the URL names another. */
export const DATABASE = "tidemark";

/** Names of tables and views. */
export const TABLES = {
  series: "series",
  samples: "samples",
  samples1m: "samples_1m",
  samples1h: "samples_1h",
  histograms: "histograms",
  expHistograms: "exp_histograms",
  summaries: "summaries",
  resourceSamples: "resource_samples",
  httpRequests: "http_requests",
  requestPhases: "request_phases",
  queryTimings: "query_timings",
  queryStatements: "query_statements",
  connectionMemory: "connection_memory",
  resourceSamples1m: "resource_samples_1m",
  resourceSamples5m: "resource_samples_5m",
  resourceSamples1h: "resource_samples_1h",
  httpRequests1m: "http_requests_1m",
  httpRequests5m: "http_requests_5m",
  httpRequests1h: "http_requests_1h",
  requestPhases1m: "request_phases_1m",
  requestPhases5m: "request_phases_5m",
  requestPhases1h: "request_phases_1h",
  queryTimings1m: "query_timings_1m",
  queryTimings5m: "query_timings_5m",
  queryTimings1h: "query_timings_1h",
  connectionMemory1m: "connection_memory_1m",
  connectionMemory1h: "connection_memory_1h",
  expHistograms1m: "exp_histograms_1m",
  expHistograms1h: "exp_histograms_1h",
  alertEvents: "alert_events",
  traces: "otel_traces",
  traceIds: "otel_traces_trace_id_ts",
  logs: "otel_logs",
  saturation: "saturation",
  saturation1m: "saturation_1m",
  saturation5m: "saturation_5m",
  saturation1h: "saturation_1h",
  resourceWindows: "resource_windows",
  requestWindows: "request_windows",
  phaseWindows: "phase_windows",
  queryWindows: "query_windows",
  connectionWindows: "connection_windows",
  sampleWindows: "sample_windows",
  expHistogramWindows: "exp_histogram_windows",
  eventLoopLag: "event_loop_lag",
  threadSaturation: "thread_saturation",
  stalls: "stalls",
  annotations: "annotations",
  alertsCurrent: "alerts_current",
  metrics: "metrics",
  metricsGauge: "otel_metrics_gauge",
  metricsSum: "otel_metrics_sum",
  metricsHistogram: "otel_metrics_histogram",
  metricsExponentialHistogram: "otel_metrics_exponential_histogram",
  metricsSummary: "otel_metrics_summary",
  seriesLives: "series_lives",
  seriesCost: "series_cost",
  schemaMigrations: "schema_migrations",
} as const;
export type TableName = (typeof TABLES)[keyof typeof TABLES];

/** Columns of the view `saturation`, in order: a contract of dashboards, alerts and users. */
export const SATURATION_COLUMNS = [
  "ts",
  "service",
  "runtime",
  "instance",
  "worker",
  "kind",
  "name",
  "scope",
  "capacity",
  "busy",
  "busy_max",
  "waiting",
  "waiting_max",
  "utilization",
  "wait_count",
  "wait_sum",
  "wait_p50",
  "wait_p95",
  "wait_p99",
  "wait_max",
  "stall_age",
  "rejected",
  "saturated_time",
] as const;

/** One row of `saturation`; times in seconds, null where the resource has no such number. */
export interface SaturationRow {
  /** `2026-01-31 12:00:00.000`, UTC. */
  ts: string;
  service: string;
  /** `node`, `django`, or another runtime's name. */
  runtime: string;
  instance: string;
  worker: string;
  kind: string;
  name: string;
  /** `process` or `host`. */
  scope: string;
  capacity: number | null;
  busy: number | null;
  busy_max: number | null;
  waiting: number | null;
  waiting_max: number | null;
  utilization: number | null;
  wait_count: number | null;
  wait_sum: number | null;
  wait_p50: number | null;
  wait_p95: number | null;
  wait_p99: number | null;
  wait_max: number | null;
  stall_age: number | null;
  rejected: number | null;
  saturated_time: number | null;
}
