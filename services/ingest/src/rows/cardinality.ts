import type { MetricHeader } from "../otlp/point.ts";
import { xxHash64 } from "./hash.ts";
import type { Identity } from "./identity.ts";
import type { Route } from "./routing.ts";

export interface CardinalityLimits {
  /** Live series of one metric of one service. */
  readonly perMetric: number;
  /** Live series of one service, all of its metrics together. */
  readonly perService: number;
}

export const DEFAULT_LIMITS: CardinalityLimits = { perMetric: 10_000, perService: 100_000 };

/** A series is live when it was seen in this half hour or the one before. */
const GENERATION_MS = 30 * 60 * 1000;
/** Live values of one attribute of a subject table, per service. Agents cap routes at 500 and statements at 500 per process. */
const MAX_VALUES = 2_000;
const MAX_STATEMENTS = 10_000;
const MAX_INSTANCES = 5_000;
/** Marked series of one metric: one for each unit, kind and temporality that it comes in. */
const MAX_FORMS = 8;
/** Stands for every value over the limit in the columns of a subject table. */
export const OVERFLOW_VALUE = "(overflow)";
/**
 * The only attribute of a series that others were folded into. OpenTelemetry's own SDKs mark theirs with it, so one
 * query finds both. Source: OpenTelemetry metrics SDK, "Overflow attribute".
 */
export const OVERFLOW_ATTRIBUTE = "otel.metric.overflow";
const LONGEST_KEY = 64;

const STATEMENT = "db.query.text";
const INSTANCE = "service.instance.id";

/** Attributes that become columns of a subject table, and that a sender could fill with ever new values. */
const DIMENSIONS: Readonly<Record<Exclude<Route["to"], "generic">, readonly string[]>> = {
  resource: ["tidemark.resource.kind", "tidemark.resource.name", "tidemark.listener.id"],
  resource_wait: ["tidemark.resource.kind", "tidemark.resource.name", "tidemark.listener.id"],
  connections: ["tidemark.connection.kind", "tidemark.memory.type"],
  http_requests: ["http.route", "http.request.method", "http.method", "error.type"],
  request_phases: ["http.route", "tidemark.phase"],
  query_timings: [
    "http.route",
    STATEMENT,
    "db.query.summary",
    "db.namespace",
    "tidemark.db.alias",
    "db.operation.name",
    "error.type",
  ],
};

/** What one request brought beyond a budget. */
export interface Overflow {
  readonly service: string;
  readonly metric: string;
  /** Points added to a marked series, or stored under a marked value. */
  readonly folded: number;
  /** Points that could not be folded without becoming wrong, and were rejected. */
  readonly rejected: number;
}

/** Keys seen in this generation or the one before, at most `limit` of them: forgetting costs nothing per key. */
class Live<K> {
  private current = new Set<K>();
  private previous = new Set<K>();
  size = 0;

  /** Whether the key is, or now becomes, one of the live ones. */
  admit(key: K, limit: number): boolean {
    if (this.current.has(key)) return true;
    if (!this.previous.has(key)) {
      if (this.size >= limit) return false;
      this.size++;
    }
    this.current.add(key);
    return true;
  }

  rotate(): void {
    this.previous = this.current;
    this.current = new Set();
    this.size = this.previous.size;
  }
}

interface ServiceBudget {
  readonly service: string;
  readonly metrics: Map<string, MetricBudget>;
  /** Live values by attribute. */
  readonly values: Map<string, Live<number | string>>;
  /** Live series of all metrics. */
  series: number;
}

/** What one metric of one service may still add, and what it had to leave out in this request. */
export interface MetricBudget {
  readonly owner: ServiceBudget;
  readonly metric: string;
  readonly live: Live<number>;
  /** The marked series that this process writes, by the form of the metric. Its type belongs to `series.ts`. */
  readonly forms: Map<string, unknown>;
  folded: number;
  rejected: number;
}

/**
 * Budgets of live series per service and metric, and of the values in the columns of the subject tables.
 *
 * It is asked once per series and generation, not per point; a series over the budget asks with every point, so that it
 * gets in when room is made. Ids outlive `SeriesBook.trim`: a series that was admitted stays so.
 */
export class Cardinality {
  readonly limits: CardinalityLimits;
  private readonly services = new Map<string, ServiceBudget>();
  private readonly touched = new Set<MetricBudget>();
  private rotateAt = Number.NEGATIVE_INFINITY;
  generation = 0;

  constructor(limits: CardinalityLimits) {
    this.limits = limits;
  }

  /** When the next generation begins, in ms: until then a series that was admitted need not be asked about again. */
  get rotatesAt(): number {
    return this.rotateAt;
  }

  /** Live series of the generic metrics of all services. */
  get series(): number {
    let series = 0;
    for (const service of this.services.values()) series += service.series;
    return series;
  }

  /** Begins a request at `now`, in ms; every half hour a new generation. */
  begin(now: number): void {
    for (const budget of this.touched) {
      budget.folded = 0;
      budget.rejected = 0;
    }
    this.touched.clear();
    if (now < this.rotateAt) return;
    this.rotateAt = now + GENERATION_MS;
    this.generation++;
    for (const service of this.services.values()) {
      service.series = 0;
      for (const { live } of service.metrics.values()) {
        live.rotate();
        service.series += live.size;
      }
      for (const live of service.values.values()) live.rotate();
    }
  }

  /** Forgets services without a live series or value. Nobody may hold a budget from before. */
  sweep(): void {
    for (const [name, { metrics, values }] of this.services) {
      for (const [metric, { live }] of metrics) if (live.size === 0) metrics.delete(metric);
      for (const [attribute, live] of values) if (live.size === 0) values.delete(attribute);
      if (metrics.size === 0 && values.size === 0) this.services.delete(name);
    }
  }

  budget(service: string, metric: string): MetricBudget {
    let owner = this.services.get(service);
    if (owner === undefined) {
      owner = { service, metrics: new Map(), values: new Map(), series: 0 };
      this.services.set(service, owner);
    }
    let budget = owner.metrics.get(metric);
    if (budget === undefined) {
      budget = { owner, metric, live: new Live(), forms: new Map(), folded: 0, rejected: 0 };
      owner.metrics.set(metric, budget);
    }
    return budget;
  }

  /** Whether the series, by the halves of its id, is within its metric's and its service's budget. */
  admit({ live, owner }: MetricBudget, idLo: number, idHi: number): boolean {
    const before = live.size;
    const room = owner.series >= this.limits.perService ? before : this.limits.perMetric;
    // 53 of the 64 bits: two of a metric's thousands of ids agree in them with a chance below one in a million.
    const admitted = live.admit((idHi & 0x1fffff) * 0x100000000 + idLo, room);
    owner.series += live.size - before;
    return admitted;
  }

  /** Attributes whose values are over the limit of their column. */
  refused(
    budget: MetricBudget,
    route: Exclude<Route["to"], "generic">,
    get: ReadonlyMap<string, string>,
  ): readonly string[] {
    return DIMENSIONS[route].filter((attribute) => {
      const value = get.get(attribute);
      if (value === undefined || value === "") return false;
      return !this.admitValue(budget, attribute, value, attribute === STATEMENT ? MAX_STATEMENTS : MAX_VALUES);
    });
  }

  /** Whether the process is one of the live ones of its service. */
  admitInstance(budget: MetricBudget, { instance }: Identity): boolean {
    return instance === "" || this.admitValue(budget, INSTANCE, instance, MAX_INSTANCES);
  }

  fold(budget: MetricBudget): void {
    budget.folded++;
    this.touched.add(budget);
  }

  reject(budget: MetricBudget): void {
    budget.rejected++;
    this.touched.add(budget);
  }

  /** What this request has brought beyond the budgets so far. */
  overflow(): Overflow[] {
    return [...this.touched].map(({ owner, metric, folded, rejected }) => ({
      service: owner.service,
      metric,
      folded,
      rejected,
    }));
  }

  private admitValue({ owner }: MetricBudget, attribute: string, value: string, limit: number): boolean {
    let live = owner.values.get(attribute);
    if (live === undefined) {
      live = new Live();
      owner.values.set(attribute, live);
    }
    return live.admit(value.length > LONGEST_KEY ? Number(xxHash64(value) & 0x1fffffffffffffn) : value, limit);
  }
}

/** The labels with the marked value in place of each refused one; a statement has no text then, and a marked summary. */
export function marked(get: ReadonlyMap<string, string>, refused: readonly string[]): ReadonlyMap<string, string> {
  const labels = new Map(get);
  for (const attribute of refused) labels.set(attribute, OVERFLOW_VALUE);
  if (refused.includes(STATEMENT)) labels.set(STATEMENT, "").set("db.query.summary", OVERFLOW_VALUE);
  return labels;
}

/**
 * Key of the marked series that a point may be added to; `undefined` when adding would make a wrong number: what several
 * gauges, running totals or summaries say at one time is no fact about any of them.
 */
export function formOf({ live, forms }: MetricBudget, header: MetricHeader): string | undefined {
  const { kind, unit, temporality, monotonic } = header;
  if (temporality !== "delta" || kind === "gauge" || kind === "summary") return undefined;
  const form = `${kind}\0${unit}\0${monotonic}`;
  // A metric of which the service's budget let nothing in has no series to stand beside: names are endless too.
  return live.size > 0 && (forms.has(form) || forms.size < MAX_FORMS) ? form : undefined;
}

/** `partial_success.error_message` about what was over a budget; empty when nothing was. */
export function overflowMessage(overflow: readonly Overflow[], { perMetric, perService }: CardinalityLimits): string {
  const folded = overflow.filter((each) => each.folded > 0);
  if (folded.length === 0) return "";
  const points = folded.reduce((sum, each) => sum + each.folded, 0);
  const named = folded.slice(0, 3).map(({ service, metric }) => `${metric} of ${service}`);
  const rest = folded.length > named.length ? ` and ${folded.length - named.length} more` : "";
  return `folded ${points} into series marked ${OVERFLOW_ATTRIBUTE} or values ${OVERFLOW_VALUE}: too many series (limits: ${perMetric} per metric, ${perService} per service) in ${named.join(", ")}${rest}`;
}
