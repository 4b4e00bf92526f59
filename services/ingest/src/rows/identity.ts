import { type Attribute, readAttributes } from "../otlp/attributes.ts";
import type { Wire } from "../otlp/wire.ts";
import type { Scrubber } from "../privacy/scrubber.ts";
import { sameBytes } from "./columns.ts";
import { quickHash } from "./hash.ts";

/** Who sends: what the columns of every table say about the OTLP resource. */
export interface Identity {
  /** Unique in this process; equal attributes give the same number. */
  readonly number: number;
  /** Attributes in canonical order. */
  readonly attributes: readonly Attribute[];
  /** Canonical text: equal exactly when the attributes are. */
  readonly key: string;
  readonly service: string;
  readonly environment: string;
  readonly host: string;
  readonly instance: string;
  readonly worker: string;
  readonly server: string;
  readonly groupId: string;
  readonly pid: number;
  /** Points, spans and log records of this request so far, rejected ones too. */
  received: number;
}

const DJANGO_SCOPE = "opentelemetry.instrumentation.django";
const MAX_PID = 0xffffffff;

/** Sorted by key; of several values for one key the last counts, as in the Collector. */
export function canonical(attributes: readonly Attribute[]): readonly Attribute[] {
  const unique = new Map(attributes);
  return [...unique].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Text that is equal exactly when the canonical attributes are: lengths rule out ambiguity. */
export function canonicalKey(attributes: readonly Attribute[]): string {
  let key = "";
  for (const [name, value] of attributes) key += `${name.length}:${name}${value.length}:${value}`;
  return key;
}

/** More than the attributes of an ordinary resource take, in bytes. */
const BYTES_PER_RESOURCE = 2048;

/**
 * Interns the resources of this process, at most `limit` of them, or what so many hold on average in bytes; beyond that it
 * forgets all and starts again.
 */
export class Identities {
  private readonly known = new Map<string, Identity>();
  /** The same, found by the bytes of the Resource message: a hash leads there, the bytes decide. */
  private readonly byBytes = new Map<number, { readonly raw: Uint8Array; readonly identity: Identity }>();
  private next = 0;
  /** About what is held: senders choose the lengths. */
  private bytes = 0;
  /** Whose data this request holds. */
  readonly entered = new Set<Identity>();
  private readonly limit: number;
  private readonly scrubber: Scrubber;
  /** Asked for the service of every resource that is read. */
  check: ((service: string) => void) | undefined;

  constructor(limit: number, scrubber: Scrubber) {
    this.limit = limit;
    this.scrubber = scrubber;
  }

  /** What `check` throws comes through. */
  read(wire: Wire, ranges: readonly number[]): Identity {
    const identity = this.find(wire, ranges);
    this.entered.add(identity);
    this.check?.(identity.service);
    return identity;
  }

  private find(wire: Wire, ranges: readonly number[]): Identity {
    if (ranges.length !== 2) return this.resolve(wire, ranges);
    const start = ranges[0]!;
    const end = ranges[1]!;
    const hash = quickHash(wire.bytes, start, end);
    const found = this.byBytes.get(hash);
    if (found !== undefined && sameBytes(found.raw, wire.bytes, start, end)) return found.identity;
    const identity = this.resolve(wire, ranges);
    if (this.byBytes.size >= this.limit || this.tooLarge) this.forget();
    this.byBytes.set(hash, { raw: Uint8Array.from(wire.bytes.subarray(start, end)), identity });
    this.bytes += end - start;
    return identity;
  }

  private get tooLarge(): boolean {
    return this.bytes > BYTES_PER_RESOURCE * this.limit;
  }

  /** One set of attributes has one number: what is forgotten must not be found by its bytes. */
  private forget(): void {
    this.known.clear();
    this.byBytes.clear();
    this.bytes = 0;
  }

  private resolve(wire: Wire, ranges: readonly number[]): Identity {
    const raw: Attribute[] = [];
    for (let i = 0; i < ranges.length; i += 2) {
      readAttributes(wire, ranges[i]!, ranges[i + 1]!, 1, raw, this.scrubber.entries);
    }
    const attributes = canonical(this.scrubber.attributes(raw));
    const key = canonicalKey(attributes);
    let identity = this.known.get(key);
    if (identity === undefined) {
      if (this.known.size >= this.limit || this.tooLarge) this.forget();
      identity = identify(this.next++, key, attributes);
      this.known.set(key, identity);
      this.bytes += 2 * key.length;
    }
    return identity;
  }
}

/** The identity of canonical attributes; `key` is their canonical text. */
export function identify(number: number, key: string, attributes: readonly Attribute[]): Identity {
  const get = new Map(attributes);
  const host = get.get("host.name") ?? "";
  const pidText = get.get("process.pid") ?? "";
  const pid = Number(pidText);
  return {
    number,
    key,
    attributes,
    service: get.get("service.name") || "unknown_service",
    environment: get.get("deployment.environment.name") ?? get.get("deployment.environment") ?? "",
    host,
    // Without service.instance.id two processes of one service must still not share a series' rows.
    instance: get.get("service.instance.id") || [host, pidText].filter((part) => part !== "").join(":"),
    worker: get.get("tidemark.worker.index") ?? "",
    server: get.get("tidemark.server") ?? "",
    groupId: get.get("tidemark.group.id") ?? "",
    pid: Number.isInteger(pid) && pid >= 0 && pid <= MAX_PID ? pid : 0,
    received: 0,
  };
}

/** `node`, `django`, or what else the sender says it runs on. */
export function runtimeOf(identity: Identity, scopeName: string): string {
  const get = new Map(identity.attributes);
  const distro = get.get("telemetry.distro.name");
  const runtime = get.get("process.runtime.name");
  const language = get.get("telemetry.sdk.language");
  if (distro === "tidemark-django" || scopeName === DJANGO_SCOPE) return "django";
  if (distro === "tidemark-node" || runtime === "nodejs" || language === "nodejs") return "node";
  return runtime || language || "";
}
