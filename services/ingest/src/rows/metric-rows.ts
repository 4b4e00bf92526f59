import type { Kernel } from "../kernel/kernel.ts";
import { PointColumns } from "../kernel/point-columns.ts";
import type { DenseBuckets, MetricHeader, MetricSink, Point } from "../otlp/point.ts";
import { nanosToMillis, type Wire } from "../otlp/wire.ts";
import type { Cardinality } from "./cardinality.ts";
import { toClockSteps } from "./clock.ts";
import { decimalExponent, mantissa, RAW_BITS } from "./decimal.ts";
import { type Difference, difference } from "./differences.ts";
import { xxHash64 } from "./hash.ts";
import type { Identities, Identity } from "./identity.ts";
import { Pivots } from "./pivots.ts";
import type { Rejections } from "./rejections.ts";
import { type Scale4, toScale4 } from "./scale4.ts";
import type { MetricContext, Reached, Series, SeriesBook } from "./series.ts";
import type { Tables } from "./tables.ts";

const SECONDS = "s";
const TABLE_OF = { numbers: "samples", histograms: "histograms", exponentials: "exp_histograms" } as const;
const KIND_NUMBERS = { gauge: 1, sum: 2, histogram: 3, exponential_histogram: 4, summary: 5 } as const;
const TEMPORALITY_NUMBERS = { unspecified: 0, delta: 1, cumulative: 2 } as const;
/** A row of `series` or `query_statements` is written again after this long, so that `last_seen` stays true. */
const REFRESH_MS = 24 * 3600 * 1000;
const MS_PER_S = 1000;
const MAX_STATUS = 65535;
const LOWEST_SCALE = -10;
const HIGHEST_SCALE = 20;
const TWO_32 = 4294967296;
const MAX_STATEMENTS = 100_000;
/** What remembered statements may take: senders choose their lengths. */
const MAX_STATEMENT_BYTES = 64 * 2 ** 20;

/** Times that are taken, in milliseconds since 1970. */
export interface TimeWindow {
  readonly now: number;
  readonly earliest: number;
  readonly latest: number;
}

/**
 * Turns the data points of one request into rows: each point to exactly one table.
 *
 * Call `begin`, walk the request with this as the sink, call `finish`. When the rows cannot be kept after all,
 * `undo` takes back what later requests would rely on.
 */
export class MetricRows implements MetricSink {
  private readonly tables: Tables;
  private readonly identities: Identities;
  private readonly book: SeriesBook;
  private readonly guard: Cardinality;
  private readonly rejections: Rejections;
  private knownSince: number;
  private readonly statements = new Map<string, { id: bigint; writtenAt: number }>();
  private statementBytes = 0;
  private readonly pivots: Pivots;
  private readonly scale4: Scale4 = new Map();
  private window: TimeWindow = { now: 0, earliest: 0, latest: 0 };
  private undoLog: (() => void)[] = [];
  private identity!: Identity;
  private scopeName = "";
  private scopeVersion = "";
  private context!: MetricContext;
  private readonly kernel: Kernel | undefined;
  private readonly columns: PointColumns | undefined;

  /**
   * `startedAt`: when this process began to know series, in ms; see `difference`. Without a kernel every point goes the
   * long way.
   */
  constructor(
    tables: Tables,
    identities: Identities,
    guard: Cardinality,
    book: SeriesBook,
    rejections: Rejections,
    startedAt: number,
    kernel: Kernel | undefined,
  ) {
    this.kernel = kernel;
    this.columns = kernel === undefined ? undefined : new PointColumns(kernel, tables);
    this.tables = tables;
    this.identities = identities;
    this.guard = guard;
    this.book = book;
    this.rejections = rejections;
    this.knownSince = startedAt;
    this.pivots = new Pivots(tables);
  }

  begin(window: TimeWindow): void {
    this.window = window;
    this.guard.begin(window.now);
    // What cumulative series had reached is forgotten with them: their next points start anew, nothing counts twice.
    if (this.book.trim()) {
      this.knownSince = window.now;
      this.kernel?.forget();
    }
    this.columns?.clear();
    this.undoLog = [];
    this.pivots.clear();
  }

  /** Writes the pivoted rows and returns how to take back this request's marks. */
  finish(): () => void {
    this.flush();
    this.pivots.write();
    const log = this.undoLog;
    return () => {
      for (const step of log.reverse()) step();
    };
  }

  /** Makes the next point of every series and statement write its row again. */
  rewrite(): void {
    this.book.rewrite();
    this.kernel?.forget();
    this.forgetStatements();
  }

  private forgetStatements(): void {
    this.statements.clear();
    this.statementBytes = 0;
  }

  resource(wire: Wire, ranges: readonly number[]): void {
    this.identity = this.identities.read(wire, ranges);
  }

  scope(name: string, version: string): void {
    this.scopeName = name;
    this.scopeVersion = version;
    this.book.scope(this.identity, name, version);
  }

  metric(header: MetricHeader): void {
    this.context = this.book.context(this.identity, this.scopeName, this.scopeVersion, header);
    this.kernel?.functions.beginMetric(this.context.number, header.unit === SECONDS);
  }

  /** Lets the kernel take what it can. */
  take(wire: Wire, end: number): void {
    const { context, columns, tables } = this;
    if (columns === undefined || context.taken === undefined) return;
    const { silent } = columns;
    const rows = columns.take(context.taken, wire, end);
    this.identity.received += rows + ((columns.silent - silent) >>> 0);
    if (rows === 0) return;
    const table = tables[TABLE_OF[context.taken]];
    table.columns.metric.pushTimes(context.header.name, rows);
    table.columns.service.pushTimes(context.identity.service, rows);
    table.points += rows;
  }

  /** Appends to the tables what the kernel has taken. */
  flush(): void {
    this.columns?.flushAll();
  }

  unknownType(): void {
    this.rejections.add("unknown_type");
  }

  point(point: Point): void {
    this.identity.received++;
    const { context, rejections, window } = this;
    if (context.header.name === "") {
      rejections.add("no_name");
      return;
    }
    if (point.noRecordedValue) return;
    const ts = point.timeLo === 0 && point.timeHi === 0 ? window.now : nanosToMillis(point.timeLo, point.timeHi);
    if (ts < window.earliest) {
      rejections.add("too_old");
      return;
    }
    if (ts > window.latest) {
      rejections.add("in_future");
      return;
    }
    switch (context.header.kind) {
      case "gauge":
      case "sum":
        this.number(context, point, ts);
        return;
      case "histogram":
        if (!validBuckets(point)) {
          rejections.add("bad_buckets");
          return;
        }
        this.distribution(context, point, ts, false);
        return;
      case "exponential_histogram":
        if (point.scale < LOWEST_SCALE || point.scale > HIGHEST_SCALE) {
          rejections.add("bad_scale");
          return;
        }
        this.distribution(context, point, ts, true);
        return;
      case "summary":
        this.summary(context, point, ts);
        return;
    }
  }

  private number(context: MetricContext, point: Point, ts: number): void {
    if (point.value === "none") {
      this.rejections.add("no_value");
      return;
    }
    if (point.value === "double" && !Number.isFinite(point.double)) {
      this.rejections.add("not_a_number");
      return;
    }
    const series = this.book.find(context, point);
    if (series === undefined) {
      this.rejections.add("too_many_series");
      return;
    }
    const { route } = context;
    if (route.to === "resource" || route.to === "connections") {
      const value = point.value === "double" ? point.double : (point.intHi | 0) * 4294967296 + point.intLo;
      if (route.to === "connections" && series.get.get("tidemark.connection.direction") === "outbound") {
        this.sample(context, series, point, ts);
        return;
      }
      const { header } = context;
      let stored: number | undefined = value;
      if (header.kind === "sum" && header.monotonic && header.temporality === "cumulative") {
        stored = this.since(series, point, ts, { count: value, sum: 0 }, undefined)?.count;
        if (stored === undefined) return;
      }
      this.pivots.add(context, series, ts, route, stored);
    } else this.sample(context, series, point, ts);
  }

  private sample(context: MetricContext, series: Series, point: Point, ts: number): void {
    this.announce(context, series);
    this.columns?.flush("numbers");
    const table = this.tables.samples;
    const { metric, service, series_id, ts: time, m, e } = table.columns;
    metric.push(context.header.name);
    service.push(context.identity.service);
    series_id.bytes.u64(series.idLo, series.idHi);
    time.bytes.integer(ts);
    if (point.value === "int") {
      m.bytes.u64(point.intLo, point.intHi);
      e.bytes.byte(0);
    } else {
      const exponent = decimalExponent(point.double, series.digits);
      if (exponent === RAW_BITS) m.bytes.f64(point.double);
      else {
        series.digits = -exponent;
        m.bytes.integer(mantissa(point.double, exponent));
      }
      e.bytes.byte(exponent & 0xff);
    }
    table.points++;
    this.remember(context, series, point);
  }

  private distribution(context: MetricContext, point: Point, ts: number, exponential: boolean): void {
    const series = this.book.find(context, point);
    if (series === undefined) {
      this.rejections.add("too_many_series");
      return;
    }
    const { route } = context;
    if (route.to !== "generic") {
      this.timing(context, series, point, ts, exponential);
      return;
    }
    this.announce(context, series);
    this.columns?.flush(exponential ? "exponentials" : "histograms");
    const table = exponential ? this.tables.exp_histograms : this.tables.histograms;
    const { metric, service, series_id, ts: time, count, sum, min, max } = table.columns;
    metric.push(context.header.name);
    service.push(context.identity.service);
    series_id.bytes.u64(series.idLo, series.idHi);
    time.bytes.integer(ts);
    count.bytes.integer(point.count);
    const kept = context.header.unit === SECONDS ? toClockSteps : asItIs;
    sum.pushFinite(kept(point.sumValue));
    min.pushFinite(kept(point.minValue));
    max.pushFinite(kept(point.maxValue));
    table.points++;
    if (exponential) {
      const { scale, zero, positive, negative } = this.tables.exp_histograms.columns;
      scale.bytes.byte(point.scale & 0xff);
      zero.bytes.integer(point.zero);
      pushBuckets(positive, point.positive);
      pushBuckets(negative, point.negative);
    } else {
      const { bounds, buckets } = this.tables.histograms.columns;
      // Packed numbers lie in the message as they lie in the column.
      if (point.boundsEnd !== 0) bounds.items.bytes.run(point.wire.view, point.boundsStart, point.boundsEnd);
      else for (let i = 0; i < point.bounds.length; i++) bounds.items.bytes.f64(point.bounds.values[i]!);
      bounds.close();
      if (point.bucketsEnd !== 0) buckets.items.bytes.run(point.wire.view, point.bucketsStart, point.bucketsEnd);
      else for (let i = 0; i < point.buckets.length; i++) buckets.items.bytes.integer(point.buckets.values[i]!);
      buckets.close();
    }
    this.remember(context, series, point);
  }

  private timing(context: MetricContext, series: Series, point: Point, ts: number, exponential: boolean): void {
    const { route, header, identity, runtime } = context;
    toScale4(point, exponential, this.scale4);
    let sum = finite(point.sum) ?? 0;
    let count = point.count;
    let max = finite(point.max);
    if (header.temporality === "cumulative") {
      const fresh = this.since(series, point, ts, { count, sum }, this.scale4);
      if (fresh === undefined || fresh.count === 0) return;
      ({ count, sum } = fresh);
      // Of a cumulative series the maximum is the one since its start: it says nothing about this interval.
      max = undefined;
    }
    if (header.unit === SECONDS) {
      sum = toClockSteps(sum);
      max = max === undefined ? undefined : toClockSteps(max);
    }
    if (route.to === "resource_wait") {
      this.pivots.addWait(context, series, ts, count, sum, max, this.scale4);
      return;
    }
    const label = (name: string) => series.get.get(name) ?? "";
    const table =
      route.to === "http_requests"
        ? this.tables.http_requests
        : route.to === "request_phases"
          ? this.tables.request_phases
          : this.tables.query_timings;
    const shared = table.columns;
    shared.ts.bytes.integer(ts);
    shared.service.push(identity.service);
    shared.runtime.push(runtime);
    shared.environment.push(identity.environment);
    shared.host.push(identity.host);
    shared.instance.push(identity.instance);
    shared.worker.push(identity.worker);
    shared.server.push(identity.server);
    shared.route.push(label("http.route"));
    shared.count.bytes.integer(count);
    shared.sum.bytes.f64(sum);
    shared.max.pushFloat(max);
    for (const [key, inBucket] of this.scale4) {
      shared.buckets.keys.bytes.byte(key & 0xff);
      shared.buckets.keys.bytes.byte((key >> 8) & 0xff);
      shared.buckets.items.bytes.integer(inBucket);
    }
    shared.buckets.close();
    shared.points.bytes.byte(1);
    shared.points.bytes.byte(0);
    table.points++;
    if (route.to === "http_requests") {
      const { method, status, error_type } = this.tables.http_requests.columns;
      const code = Number(label("http.response.status_code") || label("http.status_code"));
      const kept = Number.isInteger(code) && code >= 0 && code <= MAX_STATUS ? code : 0;
      method.push(label("http.request.method") || label("http.method"));
      status.bytes.byte(kept & 0xff);
      status.bytes.byte(kept >> 8);
      error_type.push(label("error.type"));
    } else if (route.to === "request_phases") this.tables.request_phases.columns.phase.push(label("tidemark.phase"));
    else {
      const columns = this.tables.query_timings.columns;
      const system = label("db.system.name") || label("db.system");
      const id = this.statement(label("db.query.text"), system);
      columns.db_system.push(system);
      columns.db_namespace.push(label("db.namespace"));
      columns.db_alias.push(label("tidemark.db.alias"));
      columns.operation.push(label("db.operation.name"));
      columns.summary.push(label("db.query.summary"));
      columns.statement_id.bytes.u64(Number(id & 0xffffffffn), Number(id >> 32n));
      columns.error_type.push(label("error.type"));
    }
  }

  private summary(context: MetricContext, point: Point, ts: number): void {
    const series = this.book.find(context, point);
    if (series === undefined) {
      this.rejections.add("too_many_series");
      return;
    }
    this.announce(context, series);
    const table = this.tables.summaries;
    const { metric, service, series_id, ts: time, count, sum, quantiles, values } = table.columns;
    metric.push(context.header.name);
    service.push(context.identity.service);
    series_id.bytes.u64(series.idLo, series.idHi);
    time.bytes.integer(ts);
    count.bytes.integer(point.count);
    sum.bytes.f64(finite(point.sum) ?? 0);
    for (let i = 0; i < point.quantiles.length; i++) {
      quantiles.items.bytes.f64(point.quantiles.values[i]!);
      values.items.bytes.f64(point.quantileValues.values[i]!);
    }
    quantiles.close();
    values.close();
    table.points++;
  }

  /** Lets the kernel take the series' next points. */
  private remember(context: MetricContext, series: Series, point: Point): void {
    if (context.taken === undefined || series.home !== undefined || !point.attributesContiguous) return;
    const due = Math.min(series.writtenAt + REFRESH_MS, this.guard.rotatesAt);
    const expire = this.kernel?.remember(point.attributesStart, point.attributesEnd, series, due);
    // Its own row came with this request and may yet be taken back.
    if (expire !== undefined && series.writtenAt === this.window.now) this.undoLog.push(expire);
  }

  private since(series: Series, point: Point, ts: number, now: Difference, buckets: Scale4 | undefined) {
    const before: Reached | undefined = series.reached;
    this.undoLog.push(() => {
      series.reached = before;
    });
    const beganAt = nanosToMillis(point.beginLo, point.beginHi);
    return difference(series, point, now, buckets, ts, beganAt, this.knownSince);
  }

  /** Writes the series' own row with its first point, and again once a day. */
  private announce(context: MetricContext, series: Series): void {
    const { now } = this.window;
    if (now - series.writtenAt < REFRESH_MS) return;
    const before = series.writtenAt;
    series.writtenAt = now;
    this.undoLog.push(() => {
      series.writtenAt = before;
    });
    const { identity, header, runtime, scopeName, scopeVersion } = series.home ?? context;
    const columns = this.tables.series.columns;
    columns.metric.push(header.name);
    columns.service.push(identity.service);
    columns.series_id.bytes.u64(series.idLo, series.idHi);
    columns.runtime.push(runtime);
    columns.instance.push(identity.instance);
    columns.worker.push(identity.worker);
    columns.environment.push(identity.environment);
    columns.host.push(identity.host);
    columns.kind.bytes.byte(KIND_NUMBERS[header.kind]);
    columns.temporality.bytes.byte(TEMPORALITY_NUMBERS[header.temporality]);
    columns.monotonic.bytes.byte(header.monotonic ? 1 : 0);
    columns.unit.push(header.unit);
    columns.description.push(header.description);
    for (const [column, attributes] of [
      [columns.resource, identity.attributes],
      [columns.attributes, series.attributes],
    ] as const) {
      for (const [key, value] of attributes) {
        column.keys.push(key);
        column.items.push(value);
      }
      column.close();
    }
    columns.scope_name.push(scopeName);
    columns.scope_version.push(scopeVersion);
    columns.last_seen.bytes.u32(Math.floor(now / MS_PER_S));
  }

  /** Id of a statement's text; its row is written with its first use. 0 without a text. */
  private statement(text: string, system: string): bigint {
    if (text === "") return 0n;
    const { now } = this.window;
    const key = `${system}\0${text}`;
    let known = this.statements.get(key);
    if (known === undefined) {
      if (this.statements.size >= MAX_STATEMENTS || this.statementBytes >= MAX_STATEMENT_BYTES) this.forgetStatements();
      this.statementBytes += 2 * key.length;
      known = { id: xxHash64(text), writtenAt: 0 };
      this.statements.set(key, known);
    }
    if (now - known.writtenAt >= REFRESH_MS) {
      const statement = known;
      const before = statement.writtenAt;
      statement.writtenAt = now;
      this.undoLog.push(() => {
        statement.writtenAt = before;
      });
      const columns = this.tables.query_statements.columns;
      columns.statement_id.bytes.u64(Number(known.id & 0xffffffffn), Number(known.id >> 32n));
      columns.db_system.push(system);
      columns.text.push(text);
      columns.last_seen.bytes.u32(Math.floor(now / MS_PER_S));
    }
    return known.id;
  }
}

const asItIs = (value: number): number => value;

/** Adds one row: the buckets that are not empty, straight into the columns of the map. */
function pushBuckets(column: Tables["exp_histograms"]["columns"]["positive"], side: DenseBuckets): void {
  const { counts, offset } = side;
  const { length, values } = counts;
  const keys = column.keys.bytes;
  const items = column.items.bytes;
  keys.reserve(4 * length);
  items.reserve(8 * length);
  const keyView = keys.view;
  const itemView = items.view;
  let keyAt = keys.length;
  let itemAt = items.length;
  for (let i = 0; i < length; i++) {
    const count = values[i]!;
    if (count === 0) continue;
    keyView.setInt32(keyAt, offset + i, true);
    keyAt += 4;
    const hi = count < TWO_32 ? 0 : Math.floor(count / TWO_32);
    itemView.setUint32(itemAt, count - hi * TWO_32, true);
    itemView.setUint32(itemAt + 4, hi, true);
    itemAt += 8;
  }
  keys.length = keyAt;
  items.length = itemAt;
  column.close();
}

function validBuckets(point: Point): boolean {
  if (point.boundsEnd !== 0 && point.bucketsEnd !== 0) {
    const { boundsStart, boundsEnd, bucketsStart, bucketsEnd } = point;
    if (bucketsEnd - bucketsStart !== boundsEnd - boundsStart + 8) return false;
    const { view } = point.wire;
    let before = view.getFloat64(boundsStart, true);
    if (!Number.isFinite(before)) return false;
    for (let at = boundsStart + 8; at < boundsEnd; at += 8) {
      const bound = view.getFloat64(at, true);
      if (!(bound > before)) return false;
      before = bound;
    }
    return true;
  }
  const { bounds, buckets } = point;
  if (buckets.length === 0) return bounds.length === 0;
  if (buckets.length !== bounds.length + 1) return false;
  for (let i = 1; i < bounds.length; i++) if (!(bounds.values[i]! > bounds.values[i - 1]!)) return false;
  return bounds.length === 0 || Number.isFinite(bounds.values[0]);
}

function finite(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}
