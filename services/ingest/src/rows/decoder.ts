import { Kernel } from "../kernel/kernel.ts";
import { spanHost } from "../kernel/span-columns.ts";
import { jsonToProtobuf, REQUESTS } from "../otlp/json.ts";
import { MetricHeaders } from "../otlp/metric-headers.ts";
import { walkMetrics } from "../otlp/metrics.ts";
import { walkRecords } from "../otlp/records.ts";
import type { Encoding, Signal } from "../otlp/reply.ts";
import { Scrubber, type ScrubReason } from "../privacy/scrubber.ts";
import { Cardinality, type CardinalityLimits, DEFAULT_LIMITS, type Overflow, overflowMessage } from "./cardinality.ts";
import { Identities } from "./identity.ts";
import { LogRows } from "./log-rows.ts";
import { MetricRows, type TimeWindow } from "./metric-rows.ts";
import { LabelOwner } from "./record-labels.ts";
import { type Reason, Rejections } from "./rejections.ts";
import { SeriesBook } from "./series.ts";
import { type IdHash, SeriesIds } from "./series-ids.ts";
import { SpanRows } from "./span-rows.ts";
import { createTables, TABLE_ORDER } from "./tables.ts";

const FUTURE_MS = 7 * 24 * 3600 * 1000;
const MS_PER_DAY = 24 * 3600 * 1000;
/** Of the series remembered, how many resources and texts of metrics are: so that one setting bounds them all. */
const SERIES_PER_RESOURCE = 4;
const SERIES_PER_HEADER = 10;

/** What one service sent in one request. */
export interface Source {
  readonly service: string;
  /** Points, spans or log records, rejected ones too. */
  readonly points: number;
}

/** One table's rows of one request, as a `Native` block. */
export interface Block {
  /** Index in TABLE_ORDER. */
  readonly table: number;
  readonly rows: number;
  readonly points: number;
  readonly bytes: Buffer;
}

export interface Decoded {
  readonly blocks: readonly Block[];
  readonly points: number;
  readonly sources: readonly Source[];
  readonly rejected: number;
  readonly rejectedBy: ReadonlyMap<Reason, number>;
  /** What was over the budgets of series, by service and metric. */
  readonly overflow: readonly Overflow[];
  /** What was taken out before it could be stored. */
  readonly scrubbedBy: ReadonlyMap<ScrubReason, number>;
  /** For `partial_success`; empty when nothing was rejected or folded. */
  readonly message: string;
  /** To be called when the blocks could not be kept: takes back which series count as written. */
  readonly undo: () => void;
}

export interface DecoderOptions {
  /** Points older than this are rejected, in days. */
  readonly retentionDays: number;
  /** Series remembered before all are forgotten and their rows written again; of resources a quarter as many. */
  readonly maxSeries: number;
  /** Budgets of live series; default: DEFAULT_LIMITS. */
  readonly limits?: CardinalityLimits;
  /** See AttributeRules. */
  readonly denyAttributes?: readonly string[];
  readonly now: () => number;
  /** False sends everything through the walkers, which the tests compare the kernel with. */
  readonly kernel?: boolean;
  /** In place of xxHash64 over a series' canonical text, for tests. */
  readonly hash?: IdHash;
}

/**
 * OTLP request in, `Native` blocks out. One per process: it remembers the series it has seen.
 * `decode` throws MalformedBody, SyntaxError or WrongShape when the body as a whole cannot be read; the rows read so
 * far are dropped then.
 */
export class Decoder {
  private readonly options: DecoderOptions;
  private readonly tables = createTables();
  private readonly rejections = new Rejections();
  private readonly identities: Identities;
  private readonly headers: MetricHeaders;
  private readonly guard: Cardinality;
  private readonly scrubber: Scrubber;
  private readonly ids: SeriesIds;
  private readonly book: SeriesBook;
  private readonly metrics: MetricRows;
  private readonly spans: SpanRows;
  private readonly logs: LogRows;
  private readonly kernel: Kernel | undefined;

  constructor(options: DecoderOptions) {
    this.options = options;
    this.scrubber = new Scrubber(options.denyAttributes);
    const owner = new LabelOwner(this.scrubber);
    if (options.kernel !== false) {
      const flush = () => {
        this.metrics.flush();
        this.spans.flush();
      };
      const host = spanHost(() => kernel, owner);
      const kernel = new Kernel(options.maxSeries, flush, host);
      this.kernel = kernel;
    }
    this.identities = new Identities(Math.ceil(options.maxSeries / SERIES_PER_RESOURCE), this.scrubber);
    this.headers = new MetricHeaders(Math.ceil(options.maxSeries / SERIES_PER_HEADER));
    const { identities } = this;
    this.ids = new SeriesIds(options.hash);
    this.guard = new Cardinality(options.limits ?? DEFAULT_LIMITS);
    this.book = new SeriesBook(options.maxSeries, this.guard, this.scrubber, this.ids);
    this.metrics = new MetricRows(
      this.tables,
      identities,
      this.guard,
      this.book,
      this.rejections,
      options.now(),
      this.kernel,
    );
    this.spans = new SpanRows(this.tables, identities, this.rejections, owner, this.kernel);
    this.logs = new LogRows(this.tables, identities, this.rejections, this.scrubber);
  }

  /** Series and metrics in memory. */
  get series(): number {
    return this.book.size;
  }

  /** Series of generic metrics that were seen within the window of their budgets. */
  get liveSeries(): number {
    return this.guard.series;
  }

  /** Times that two series had one hash: the second got another id. */
  get idCollisions(): number {
    return this.ids.collisions;
  }

  /** Rows that came the short way, since the start. */
  get kernelRows(): number {
    return this.kernel?.rows ?? 0;
  }

  /** Makes every series write its row again, for a database that may have lost them. */
  rewriteSeries(): void {
    this.metrics.rewrite();
  }

  /** `checkService` is asked for each resource's service.name; what it throws ends the request, nothing of it is kept. */
  decode(signal: Signal, encoding: Encoding, body: Buffer, checkService?: (service: string) => void): Decoded {
    this.identities.check = checkService;
    const message = encoding === "json" ? jsonToProtobuf(body, REQUESTS[signal]) : body;
    const now = this.options.now();
    const window: TimeWindow = {
      now,
      earliest: now - this.options.retentionDays * MS_PER_DAY,
      latest: now + FUTURE_MS,
    };
    this.clear();
    // Also before metrics: spans that a refused request left in the kernel would come out with its next rows.
    this.spans.begin(window);
    this.kernel?.begin(message, now, window.earliest, window.latest);
    let undo = () => {};
    if (signal === "metrics") {
      this.metrics.begin(window);
      try {
        walkMetrics(message, this.metrics, this.headers);
      } catch (error) {
        this.metrics.finish()();
        throw error;
      }
      undo = this.metrics.finish();
    } else {
      const sink = signal === "traces" ? this.spans : this.logs;
      sink.begin(window);
      walkRecords(message, sink);
      if (signal === "traces") this.spans.flush();
    }
    return this.collect(undo, signal === "metrics" ? this.guard.overflow() : []);
  }

  private collect(undo: () => void, overflow: readonly Overflow[]): Decoded {
    const blocks: Block[] = [];
    let points = 0;
    for (const [index, name] of TABLE_ORDER.entries()) {
      const table = this.tables[name];
      if (table.rows === 0) continue;
      blocks.push({ table: index, rows: table.rows, points: table.points, bytes: table.block() });
      points += table.points;
    }
    return {
      blocks,
      points,
      sources: this.sources(),
      rejected: this.rejections.total,
      rejectedBy: new Map(this.rejections.counts),
      overflow,
      message: [this.rejections.message, overflowMessage(overflow, this.guard.limits)].filter(Boolean).join("; "),
      scrubbedBy: new Map(this.scrubber.counts),
      undo,
    };
  }

  private sources(): Source[] {
    const services = new Map<string, number>();
    for (const { service, received } of this.identities.entered) {
      services.set(service, (services.get(service) ?? 0) + received);
    }
    return [...services].map(([service, points]) => ({ service, points }));
  }

  private clear(): void {
    for (const identity of this.identities.entered) identity.received = 0;
    this.identities.entered.clear();
    for (const name of TABLE_ORDER) this.tables[name].clear();
    this.rejections.clear();
    this.scrubber.clear();
  }
}
