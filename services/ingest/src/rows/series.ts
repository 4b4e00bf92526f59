import { type Attribute, readAttributes } from "../otlp/attributes.ts";
import type { MetricHeader, Point } from "../otlp/point.ts";
import { quickHash, xxHash64 } from "./hash.ts";
import { canonical, canonicalKey, type Identity, runtimeOf } from "./identity.ts";
import { classify, type Route } from "./routing.ts";

/** What a cumulative series had reached at its last point. */
export interface Reached {
  readonly beginLo: number;
  readonly beginHi: number;
  readonly count: number;
  readonly sum: number;
  readonly buckets: ReadonlyMap<number, number> | undefined;
}

/** One series: a metric of one resource and scope with one set of attributes. */
export interface Series {
  readonly attributes: readonly Attribute[];
  readonly get: ReadonlyMap<string, string>;
  readonly idLo: number;
  readonly idHi: number;
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
  readonly identity: Identity;
  readonly scopeName: string;
  readonly scopeVersion: string;
  readonly header: MetricHeader;
  readonly runtime: string;
  readonly route: Route;
  readonly entries: Map<number, Entry>;
  /** A stand-in whose `next` is the entry of the metric's first point. */
  readonly before: Entry;
  readonly byKey: Map<string, Series>;
}

const EMPTY = new DataView(new ArrayBuffer(0));
const NONE: Series = {
  attributes: [],
  get: new Map(),
  idLo: 0,
  idHi: 0,
  digits: 0,
  writtenAt: 0,
  reached: undefined,
};

/**
 * Every series this process has seen, found by the raw bytes of a point's attributes.
 *
 * The bytes are hashed and then compared, so two series never share an entry; attributes in another order are resolved
 * once to the same series through their canonical text. Beyond `limit` series everything is forgotten: rows of
 * `series` are written again then, nothing else changes.
 */
export class SeriesBook {
  private readonly contexts = new Map<string, MetricContext>();
  private readonly limit: number;
  /** The entry of the point before this one, or a stand-in: `undefined` when that point had none. */
  private previous: Entry | undefined;
  size = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  context(identity: Identity, scopeName: string, scopeVersion: string, header: MetricHeader): MetricContext {
    const { name, unit, kind, temporality, monotonic } = header;
    const key = `${identity.number}\0${kind}\0${temporality}\0${monotonic}\0${scopeName}\0${scopeVersion}\0${unit}\0${name}`;
    let context = this.contexts.get(key);
    if (context === undefined) {
      context = {
        identity,
        scopeName,
        scopeVersion,
        header,
        runtime: runtimeOf(identity, scopeName),
        route: classify(header),
        entries: new Map(),
        before: { raw: EMPTY, series: NONE, next: undefined },
        byKey: new Map(),
      };
      this.contexts.set(key, context);
      this.size++;
    }
    this.previous = context.before;
    return context;
  }

  /** The series of a point of the context asked for last. Moves the wire when it has to read the attributes. */
  find(context: MetricContext, point: Point): Series {
    if (!point.attributesContiguous) return this.resolve(context, point);
    const { bytes, view } = point.wire;
    const start = point.attributesStart;
    const end = point.attributesEnd;
    const { previous } = this;
    const expected = previous?.next;
    if (expected !== undefined && sameBytes(expected.raw, view, start, end)) {
      this.previous = expected;
      return expected.series;
    }
    const hash = quickHash(bytes, start, end);
    let entry = context.entries.get(hash);
    if (entry === undefined) {
      const series = this.resolve(context, point);
      const raw = new DataView(Uint8Array.from(bytes.subarray(start, end)).buffer);
      entry = { raw, series, next: undefined };
      context.entries.set(hash, entry);
    } else if (!sameBytes(entry.raw, view, start, end)) {
      this.previous = undefined;
      return this.resolve(context, point);
    }
    if (previous !== undefined) previous.next = entry;
    this.previous = entry;
    return entry.series;
  }

  /** Called between requests. Returns whether everything was forgotten. */
  trim(): boolean {
    if (this.size <= this.limit) return false;
    this.contexts.clear();
    this.previous = undefined;
    this.size = 0;
    return true;
  }

  /** Makes every series write its row again; what cumulative series have reached stays known. */
  rewrite(): void {
    for (const context of this.contexts.values()) for (const series of context.byKey.values()) series.writtenAt = 0;
  }

  private resolve(context: MetricContext, point: Point): Series {
    const read: Attribute[] = [];
    readAttributes(point.wire, point.start, point.end, point.attributeField, read);
    const attributes = canonical(read);
    const key = canonicalKey(attributes);
    let series = context.byKey.get(key);
    if (series === undefined) {
      const { name, unit, kind, temporality, monotonic } = context.header;
      const parts = [name, unit, kind, temporality, monotonic, context.scopeName, context.scopeVersion];
      const id = xxHash64(`${parts.join("\0")}\0${context.identity.key}\0${key}`);
      series = {
        attributes,
        get: new Map(attributes),
        idLo: Number(id & 0xffffffffn),
        idHi: Number(id >> 32n),
        digits: 0,
        writtenAt: 0,
        reached: undefined,
      };
      context.byKey.set(key, series);
      this.size++;
    }
    return series;
  }
}

function sameBytes(raw: DataView, view: DataView, start: number, end: number): boolean {
  const length = raw.byteLength;
  if (length !== end - start) return false;
  let i = 0;
  for (; i + 4 <= length; i += 4) if (raw.getInt32(i, true) !== view.getInt32(start + i, true)) return false;
  for (; i < length; i++) if (raw.getUint8(i) !== view.getUint8(start + i)) return false;
  return true;
}
