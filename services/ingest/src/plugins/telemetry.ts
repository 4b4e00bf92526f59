import fp from "fastify-plugin";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { DurableLog } from "../log/durable-log.ts";
import type { Signal } from "../otlp/reply.ts";
import type { Overflow } from "../rows/cardinality.ts";
import type { Source } from "../rows/decoder.ts";
import type { Reason } from "../rows/rejections.ts";

declare module "fastify" {
  interface FastifyInstance {
    telemetry: Telemetry;
  }
}

export interface TelemetryOptions {
  readonly log: DurableLog;
  readonly series: () => number;
  readonly liveSeries: () => number;
  readonly idCollisions: () => number;
  readonly receivingBytes: () => number;
  readonly clickhouseHealthy: () => boolean;
  readonly now: () => number;
}

const MS_PER_S = 1000;
/** Sources beyond these are counted together. */
const MAX_SOURCE_LABELS = 200;
const MAX_NAMES = 200;
/** A longer name is none that a person looks for; kept, two hundred of them could be as large as two hundred requests. */
const LONGEST_NAME = 250;
const OTHER = "(other)";

/** What the ingest says about itself on /metrics. Counters of points survive restarts: the log keeps them. */
export class Telemetry {
  readonly registry = new Registry();
  private readonly registers = [this.registry];
  private readonly overflowing = new Set<string>();
  private readonly services = new Set<string>();
  readonly requests = new Counter({
    name: "tidemark_ingest_requests_total",
    help: "OTLP requests by protocol, signal and HTTP status or name of the gRPC code.",
    labelNames: ["protocol", "signal", "status"],
    registers: this.registers,
  });
  readonly rejected = new Counter({
    name: "tidemark_ingest_rejected_points_total",
    help: "Points, spans and log records that were not taken, by reason.",
    labelNames: ["signal", "reason"],
    registers: this.registers,
  });
  readonly overflow = new Counter({
    name: "tidemark_ingest_overflow_points_total",
    help: "Points over the budgets of series, by outcome: folded into a marked series or value, or rejected.",
    labelNames: ["service", "metric", "outcome"],
    registers: this.registers,
  });
  readonly scrubbed = new Counter({
    name: "tidemark_ingest_scrubbed_attributes_total",
    help: "Attributes that were dropped or cleaned before they were stored, by reason; those of series and resources when first seen.",
    labelNames: ["signal", "reason"],
    registers: this.registers,
  });
  readonly points = new Counter({
    name: "tidemark_ingest_points_total",
    help: "Points, spans and log records that arrived, rejected ones too, by signal and service.",
    labelNames: ["signal", "service"],
    registers: this.registers,
  });
  readonly bytes = new Counter({
    name: "tidemark_ingest_bytes_total",
    help: "Bytes of OTLP bodies as sent, by signal and service; a body of several services is shared out by their points.",
    labelNames: ["signal", "service"],
    registers: this.registers,
  });
  private readonly sources = new Set<string>();
  readonly sourceRequests = new Counter({
    name: "tidemark_ingest_source_requests_total",
    help: "OTLP requests that were received whole, by the source whose token they showed.",
    labelNames: ["source"],
    registers: this.registers,
  });
  readonly sourceBytes = new Counter({
    name: "tidemark_ingest_source_bytes_total",
    help: "Bytes of OTLP bodies as sent, by source.",
    labelNames: ["source"],
    registers: this.registers,
  });
  readonly sourceLimited = new Counter({
    name: "tidemark_ingest_source_limited_total",
    help: "OTLP requests that were refused because their source was over a limit.",
    labelNames: ["source", "limit"],
    registers: this.registers,
  });
  readonly slow = new Counter({
    name: "tidemark_ingest_slow_senders_total",
    help: "Requests whose connection was ended because their body came in too slowly.",
    registers: this.registers,
  });
  readonly connectionsRefused = new Counter({
    name: "tidemark_ingest_connections_refused_total",
    help: "Connections that were closed because their address had too many.",
    registers: this.registers,
  });
  readonly reloadFailures = new Counter({
    name: "tidemark_ingest_reload_failures_total",
    help: "Changed files that could not be used; what was known before stays.",
    labelNames: ["file"],
    registers: this.registers,
  });
  readonly unauthorized = new Counter({
    name: "tidemark_ingest_unauthorized_total",
    help: "OTLP requests without a token that is taken here.",
    registers: this.registers,
  });
  readonly repeated = new Counter({
    name: "tidemark_ingest_repeated_requests_total",
    help: "Requests that had been stored before and were only answered.",
    registers: this.registers,
  });
  readonly receivedBytes = new Counter({
    name: "tidemark_ingest_received_bytes_total",
    help: "Bytes of OTLP bodies as sent.",
    labelNames: ["signal"],
    registers: this.registers,
  });
  readonly acknowledgeSeconds = new Histogram({
    name: "tidemark_ingest_acknowledge_seconds",
    help: "From the last byte of a request to its data being on disk.",
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    registers: this.registers,
  });
  readonly syncSeconds = new Histogram({
    name: "tidemark_ingest_sync_seconds",
    help: "Duration of fdatasync of the log: the disk's part of an acknowledgement.",
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2],
    registers: this.registers,
  });
  readonly insertRows = new Histogram({
    name: "tidemark_ingest_insert_rows",
    help: "Rows per insert into ClickHouse.",
    labelNames: ["table"],
    buckets: [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
    registers: this.registers,
  });
  readonly insertSeconds = new Histogram({
    name: "tidemark_ingest_insert_seconds",
    help: "Duration of inserts into ClickHouse.",
    labelNames: ["table"],
    buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
    registers: this.registers,
  });
  readonly insertedRows = new Counter({
    name: "tidemark_ingest_inserted_rows_total",
    help: "Rows inserted since this process started.",
    labelNames: ["table"],
    registers: this.registers,
  });
  readonly insertFailures = new Counter({
    name: "tidemark_ingest_insert_failures_total",
    help: "Inserts that failed and were or will be tried again.",
    labelNames: ["table"],
    registers: this.registers,
  });
  readonly setAside = new Counter({
    name: "tidemark_ingest_set_aside_points_total",
    help: "Points whose rows ClickHouse refused for good; they are kept in *.bad files.",
    labelNames: ["table"],
    registers: this.registers,
  });
  readonly ownReportsDropped = new Counter({
    name: "tidemark_ingest_own_reports_dropped_total",
    help: "Reports of the ingest about itself that were left out, by reason; the next one covers their time.",
    labelNames: ["reason"],
    registers: this.registers,
  });

  constructor({ log, series, liveSeries, idCollisions, receivingBytes, clickhouseHealthy, now }: TelemetryOptions) {
    collectDefaultMetrics({ register: this.registry });
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers: this.registers,
        collect() {
          this.set(read());
        },
      });
    const counter = (name: string, help: string, read: () => number) =>
      new Counter({
        name,
        help,
        registers: this.registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    counter(
      "tidemark_ingest_acknowledged_points_total",
      "Points, spans and log records made durable, over restarts.",
      () => log.acknowledgedPoints,
    );
    counter(
      "tidemark_ingest_inserted_points_total",
      "Points, spans and log records that are in ClickHouse, over restarts.",
      () => log.insertedPoints,
    );
    counter(
      "tidemark_ingest_damaged_segments_total",
      "Segments found damaged; a copy is kept as *.corrupt and their intact part was inserted.",
      () => log.damagedSegments,
    );
    counter(
      "tidemark_ingest_damaged_points_total",
      "Points known to have been in segments, or parts of them, that cannot be read any more.",
      () => log.lostPoints,
    );
    new Gauge({
      name: "tidemark_ingest_kept_aside_files",
      help: "Files of rows that wait for a person: refused by ClickHouse (bad), found damaged (corrupt).",
      labelNames: ["kind"],
      registers: this.registers,
      async collect() {
        const { bad, corrupt } = await log.keptAside();
        this.set({ kind: "bad" }, bad);
        this.set({ kind: "corrupt" }, corrupt);
      },
    });
    gauge("tidemark_ingest_receiving_bytes", "Bytes of requests in memory.", receivingBytes);
    gauge("tidemark_ingest_queue_bytes", "Bytes in the log that wait to be inserted.", () => log.queuedBytes);
    gauge(
      "tidemark_ingest_queue_limit_bytes",
      "Bytes the log may hold; then senders are asked to wait.",
      () => log.quotaBytes,
    );
    gauge("tidemark_ingest_queue_segments", "Closed segments that wait to be inserted.", () => log.closedSegments);
    gauge("tidemark_ingest_insert_lag_seconds", "Age of the oldest data that is not in ClickHouse.", () => {
      const since = log.oldestWaiting;
      return since === undefined ? 0 : Math.max(0, (now() - since) / MS_PER_S);
    });
    gauge("tidemark_ingest_series", "Series and metrics in memory.", series);
    gauge(
      "tidemark_ingest_live_series",
      "Series of generic metrics seen in the last half to one hour: what the budgets count.",
      liveSeries,
    );
    counter(
      "tidemark_ingest_series_id_collisions_total",
      "Times that two series had one hash, and the second got another id.",
      idCollisions,
    );
    gauge(
      "tidemark_ingest_clickhouse_up",
      "1 when ClickHouse answers, has its tables and took the last inserts.",
      () => (clickhouseHealthy() ? 1 : 0),
    );
  }

  /** A request of a source that was let in. */
  visited(source: string, bytes: number): void {
    const label = this.sourceLabel(source);
    this.sourceRequests.inc({ source: label });
    this.sourceBytes.inc({ source: label }, bytes);
  }

  /** A request that was not let in: RateLimited, or Unauthorized. */
  refused(error: unknown): void {
    const { source, limit } = error as { source?: string; limit?: string };
    if (source === undefined) this.unauthorized.inc();
    else this.sourceLimited.inc({ source: this.sourceLabel(source), limit: limit ?? "" });
  }

  private sourceLabel(source: string): string {
    if (this.sources.has(source)) return source;
    if (this.sources.size >= MAX_SOURCE_LABELS) return "_other";
    this.sources.add(source);
    return source;
  }

  reject(signal: Signal, reason: Reason, count: number): void {
    this.rejected.inc({ signal, reason }, count);
  }

  /** Counts one request's data to the services it came from. */
  received(signal: Signal, sentBytes: number, sources: readonly Source[]): void {
    let points = 0;
    for (const source of sources) points += source.points;
    for (const source of sources) {
      const known = isKnown(this.services, source.service, [source.service]);
      const labels = { signal, service: known ? source.service : OTHER };
      this.points.inc(labels, source.points);
      if (points > 0) this.bytes.inc(labels, (sentBytes * source.points) / points);
    }
  }

  overflowed({ service, metric, folded, rejected }: Overflow): void {
    const known = isKnown(this.overflowing, `${service}\0${metric}`, [service, metric]);
    const labels = known ? { service, metric } : { service: OTHER, metric: OTHER };
    if (folded > 0) this.overflow.inc({ ...labels, outcome: "folded" }, folded);
    if (rejected > 0) this.overflow.inc({ ...labels, outcome: "rejected" }, rejected);
  }
}

/** Names come from senders and must not become endless here either: beyond MAX_NAMES and LONGEST_NAME they are `(other)`. */
function isKnown(keys: Set<string>, key: string, names: readonly string[]): boolean {
  if (names.some(({ length }) => length > LONGEST_NAME)) return false;
  if (!keys.has(key) && keys.size >= MAX_NAMES) return false;
  keys.add(key);
  return true;
}

/** Decorates the server with the telemetry. */
export default fp<{ telemetry: Telemetry }>(
  async (app, { telemetry }) => {
    app.decorate("telemetry", telemetry);
  },
  { name: "telemetry" },
);
