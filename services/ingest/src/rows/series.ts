import type { PointKind } from "../kernel/point-columns.ts";
import { type Attribute, readAttributes } from "../otlp/attributes.ts";
import type { MetricHeader, MetricKind, Point } from "../otlp/point.ts";
import type { Scrubber } from "../privacy/scrubber.ts";
import {
  type Cardinality,
  formOf,
  type MetricBudget,
  marked,
  OVERFLOW_ATTRIBUTE,
  OVERFLOW_VALUE,
} from "./cardinality.ts";
import { quickHash } from "./hash.ts";
import { canonical, canonicalKey, type Identity, identify, runtimeOf } from "./identity.ts";
import { classify, type Route } from "./routing.ts";
import type { IdOwner, SeriesIds } from "./series-ids.ts";

/** What a cumulative series had reached at its last point. */
export interface Reached {
  readonly beginLo: number;
  readonly beginHi: number;
  readonly atMs: number;
  readonly count: number;
  readonly sum: number;
  readonly buckets: ReadonlyMap<number, number> | undefined;
}

/** One series: a metric of one resource and scope with one set of attributes. */
export interface Series {
  readonly attributes: readonly Attribute[];
  /** Values for the columns of a subject table: those over a limit are marked. */
  get: ReadonlyMap<string, string>;
  readonly idLo: number;
  readonly idHi: number;
  /** The context that a marked series is written under; undefined for all others: the point's own. */
  readonly home: MetricContext | undefined;
  /** `Cardinality.generation` in which it was last admitted without a mark. */
  generation: number;
  /** Decimal digits its values had last: see `decimalExponent`. */
  digits: number;
  /** When its row was last written by this process, in milliseconds; 0 for never. */
  writtenAt: number;
  /** For cumulative series that are stored as differences. */
  reached: Reached | undefined;
}

interface Entry {
  readonly raw: DataView;
  readonly series: Series;
  /** The entry that followed last time: senders keep the order of their series. */
  next: Entry | undefined;
}

/** A metric of one resource and scope: what its series share. */
export interface MetricContext {
  /** Unique in this process. */
  readonly number: number;
  /** Text that is equal exactly when metric, scope and resource are. */
  readonly key: string;
  /** Whose rows these are: of a process over the limit, its instance is marked. */
  identity: Identity;
  /** The same, unmarked. */
  readonly ownIdentity: Identity;
  readonly scopeName: string;
  readonly scopeVersion: string;
  readonly header: MetricHeader;
  readonly runtime: string;
  readonly route: Route;
  /** How the kernel can take the metric's points; `undefined` when rows need more than the series' id. */
  readonly taken: PointKind | undefined;
  readonly budget: MetricBudget;
  readonly entries: Map<number, Entry>;
  /** A stand-in whose `next` is the entry of the metric's first point. */
  readonly before: Entry;
  readonly byKey: Map<string, Series>;
}

const TAKEN: Readonly<Record<MetricKind, PointKind | undefined>> = {
  gauge: "numbers",
  sum: "numbers",
  histogram: "histograms",
  exponential_histogram: "exponentials",
  summary: undefined,
};
const EMPTY = new DataView(new ArrayBuffer(0));
const NONE: Series = {
  attributes: [],
  get: new Map(),
  idLo: 0,
  idHi: 0,
  home: undefined,
  generation: 0,
  digits: 0,
  writtenAt: 0,
  reached: undefined,
};

/** More than names and attributes of ordinary series take together, in bytes. */
const BYTES_PER_SERIES = 2048;

/**
 * Every series this process has seen, found by the raw bytes of a point's attributes.
 *
 * The bytes are hashed and then compared, so two series never share an entry; attributes in another order are resolved
 * once to the same series through their canonical text. Beyond `limit` series, or what they hold on average in bytes,
 * everything is forgotten: rows of `series` are written again then, nothing else changes.
 */
export class SeriesBook {
  private readonly contexts = new Map<string, MetricContext>();
  /** The same by their headers' objects, which senders' repeated bytes become, for every resource and scope. */
  private readonly scopes = new Map<string, Map<MetricHeader, MetricContext>>();
  private metrics = new Map<MetricHeader, MetricContext>();
  private readonly limit: number;
  private readonly guard: Cardinality;
  private readonly scrubber: Scrubber;
  private readonly ids: SeriesIds;
  /** The entry of the point before this one, or a stand-in: `undefined` when that point had none. */
  private previous: Entry | undefined;
  /** Raw bytes remembered: many lead to one series where values were taken out of them. */
  private forms = 0;
  private nextContext = 1;
  /** About what names, attributes and raw bytes take: senders choose their lengths. */
  private bytes = 0;
  size = 0;

  constructor(limit: number, guard: Cardinality, scrubber: Scrubber, ids: SeriesIds) {
    this.ids = ids;
    this.limit = limit;
    this.guard = guard;
    this.scrubber = scrubber;
  }

  /** To be called before the metrics of a scope. */
  scope(identity: Identity, scopeName: string, scopeVersion: string): void {
    const key = `${identity.number}\0${scopeName.length}\0${scopeName}${scopeVersion}`;
    let metrics = this.scopes.get(key);
    if (metrics === undefined) {
      metrics = new Map();
      this.scopes.set(key, metrics);
      this.forms++;
    }
    this.metrics = metrics;
  }

  /** The metric of the scope named last, which these are. */
  context(identity: Identity, scopeName: string, scopeVersion: string, header: MetricHeader): MetricContext {
    let context = this.metrics.get(header);
    if (context === undefined) {
      context = this.contextOf(identity, scopeName, scopeVersion, header);
      this.metrics.set(header, context);
      this.forms++;
    }
    this.previous = context.before;
    return context;
  }

  private contextOf(identity: Identity, scopeName: string, scopeVersion: string, header: MetricHeader): MetricContext {
    const { name, unit, kind, temporality, monotonic } = header;
    const key = `${identity.number}\0${kind}\0${temporality}\0${monotonic}\0${scopeName}\0${scopeVersion}\0${unit}\0${name}`;
    let context = this.contexts.get(key);
    if (context === undefined) {
      const route = classify(header);
      context = {
        number: this.nextContext++,
        key: metricKey(identity, scopeName, scopeVersion, header),
        identity,
        ownIdentity: identity,
        scopeName,
        scopeVersion,
        header,
        runtime: runtimeOf(identity, scopeName),
        route,
        taken: route.to === "generic" && name !== "" ? TAKEN[kind] : undefined,
        budget: this.guard.budget(identity.service, name),
        entries: new Map(),
        before: { raw: EMPTY, series: NONE, next: undefined },
        byKey: new Map(),
      };
      this.contexts.set(key, context);
      this.size++;
      this.bytes += 2 * key.length;
    }
    return context;
  }

  /**
   * The series of a point of the context asked for last, or the marked one it is folded into; undefined when the point is
   * to be rejected. Moves the wire when it has to read the attributes.
   */
  find(context: MetricContext, point: Point): Series | undefined {
    if (!point.attributesContiguous) return this.resolve(context, point);
    const { bytes, view } = point.wire;
    const start = point.attributesStart;
    const end = point.attributesEnd;
    const { previous } = this;
    const expected = previous?.next;
    if (expected !== undefined && sameBytes(expected.raw, view, start, end)) {
      this.previous = expected;
      return this.admitted(context, expected.series);
    }
    const hash = quickHash(bytes, start, end);
    let entry = context.entries.get(hash);
    let series: Series | undefined;
    if (entry === undefined) {
      series = this.resolve(context, point);
      if (series === undefined || series.home !== undefined) {
        this.previous = undefined;
        return series;
      }
      const raw = new DataView(Uint8Array.from(bytes.subarray(start, end)).buffer);
      entry = { raw, series, next: undefined };
      context.entries.set(hash, entry);
      this.forms++;
      this.bytes += raw.byteLength;
    } else if (sameBytes(entry.raw, view, start, end)) series = this.admitted(context, entry.series);
    else {
      this.previous = undefined;
      return this.resolve(context, point);
    }
    if (previous !== undefined) previous.next = entry;
    this.previous = entry;
    return series;
  }

  /** Called between requests. Returns whether everything was forgotten. */
  trim(): boolean {
    const { size, forms, bytes, limit } = this;
    if (size <= limit && forms <= 2 * limit && bytes <= BYTES_PER_SERIES * limit) return false;
    this.contexts.clear();
    this.scopes.clear();
    this.ids.clear();
    this.guard.sweep();
    this.previous = undefined;
    this.forms = 0;
    this.size = 0;
    this.bytes = 0;
    return true;
  }

  /** Makes every series write its row again; what cumulative series have reached stays known. */
  rewrite(): void {
    for (const { byKey, budget } of this.contexts.values()) {
      for (const series of byKey.values()) series.writtenAt = 0;
      for (const series of budget.forms.values()) (series as Series).writtenAt = 0;
    }
  }

  private resolve(context: MetricContext, point: Point): Series | undefined {
    const read: Attribute[] = [];
    readAttributes(point.wire, point.start, point.end, point.attributeField, read, this.scrubber.entries);
    const attributes = canonical(this.scrubber.attributes(read));
    const key = canonicalKey(attributes);
    const known = context.byKey.get(key);
    if (known !== undefined) return this.admitted(context, known);
    const owner: IdOwner = { metric: context.key, attributes: key };
    const id = this.ids.idOf(owner);
    const series = newSeries(attributes, id);
    const admitted = this.claim(context, series);
    // What is not admitted is not remembered either, or memory would grow with it.
    if (admitted === series) {
      this.ids.take(id, owner);
      context.byKey.set(key, series);
      this.size++;
      this.bytes += 2 * key.length;
    }
    return admitted;
  }

  private admitted(context: MetricContext, series: Series): Series | undefined {
    return series.generation === this.guard.generation ? series : this.claim(context, series);
  }

  /** Asks for room in the budgets: with a series' first point in each generation, and with each point while refused. */
  private claim(context: MetricContext, series: Series): Series | undefined {
    const { guard } = this;
    const { budget, route } = context;
    if (route.to !== "generic") return this.claimValues(context, series, route.to);
    if (guard.admit(budget, series.idLo, series.idHi)) {
      series.generation = guard.generation;
      return series;
    }
    const form = formOf(budget, context.header);
    if (form === undefined) {
      guard.reject(budget);
      return undefined;
    }
    guard.fold(budget);
    let into = budget.forms.get(form) as Series | undefined;
    if (into === undefined) {
      into = markedSeries(context, this.ids);
      budget.forms.set(form, into);
    }
    return into;
  }

  private claimValues(
    context: MetricContext,
    series: Series,
    route: Exclude<MetricContext["route"]["to"], "generic">,
  ): Series | undefined {
    const { guard } = this;
    const { budget } = context;
    const get = new Map(series.attributes);
    const refused = guard.refused(budget, route, get);
    const known = guard.admitInstance(budget, context.ownIdentity);
    context.identity = known ? context.ownIdentity : { ...context.ownIdentity, instance: OVERFLOW_VALUE };
    if (refused.length === 0) {
      series.get = get;
      if (known) series.generation = guard.generation;
      else guard.fold(budget);
      return series;
    }
    // A row of these says what one resource is doing at one time: of two that share a name the numbers would mix.
    if (route === "resource" || route === "resource_wait" || route === "connections") {
      guard.reject(budget);
      return undefined;
    }
    guard.fold(budget);
    series.get = marked(get, refused);
    return series;
  }
}

/** Text that is equal exactly when metric, scope and resource are. */
function metricKey(identity: Identity, scopeName: string, scopeVersion: string, header: MetricHeader): string {
  const { name, unit, kind, temporality, monotonic } = header;
  const parts = [name, unit, kind, temporality, String(monotonic), scopeName, scopeVersion, identity.key];
  return parts.map((part) => `${part.length}:${part}`).join("");
}

function newSeries(attributes: readonly Attribute[], id: bigint): Series {
  return {
    attributes,
    get: new Map(attributes),
    idLo: Number(id & 0xffffffffn),
    idHi: Number(id >> 32n),
    home: undefined,
    generation: -1,
    digits: 0,
    writtenAt: 0,
    reached: undefined,
  };
}

/** The one series that all points of this metric and form over the budget are added to: of the service, of no process. */
function markedSeries(context: MetricContext, ids: SeriesIds): Series {
  const resource: readonly Attribute[] = [["service.name", context.identity.service]];
  const identity = identify(-1, canonicalKey(resource), resource);
  const attributes: readonly Attribute[] = [[OVERFLOW_ATTRIBUTE, "true"]];
  const key = metricKey(identity, "", "", context.header);
  const home: MetricContext = { ...context, key, identity, ownIdentity: identity, scopeName: "", scopeVersion: "" };
  const owner: IdOwner = { metric: key, attributes: canonicalKey(attributes) };
  const id = ids.idOf(owner);
  ids.take(id, owner);
  return { ...newSeries(attributes, id), home };
}

function sameBytes(raw: DataView, view: DataView, start: number, end: number): boolean {
  const length = raw.byteLength;
  if (length !== end - start) return false;
  let i = 0;
  for (; i + 4 <= length; i += 4) if (raw.getInt32(i, true) !== view.getInt32(start + i, true)) return false;
  for (; i < length; i++) if (raw.getUint8(i) !== view.getUint8(start + i)) return false;
  return true;
}
