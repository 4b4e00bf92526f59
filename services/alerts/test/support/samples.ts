import { clickhouseTime } from "../../src/events.ts";

const SCALE = 16;

/** A row of `resource_samples`; what is not given is unknown. */
export interface Sample {
  service: string;
  kind: string;
  name: string;
  instance?: string;
  capacity?: number;
  busy?: number;
  waiting_max?: number;
  stall_age?: number;
  wait_max?: number;
  /** How many waits of how many seconds. */
  waits?: readonly (readonly [count: number, seconds: number])[];
}

/** As the ingest would have stored it at `atMs`. */
export function row({ service, kind, name, instance = `${service}-1`, waits = [], ...numbers }: Sample, atMs: number) {
  const buckets: Record<string, number> = {};
  for (const [count, seconds] of waits) {
    const key = String(Math.ceil(Math.log2(seconds) * SCALE) - 1);
    buckets[key] = (buckets[key] ?? 0) + count;
  }
  const has = waits.length > 0;
  return {
    ts: clickhouseTime(atMs),
    service,
    runtime: kind === "event_loop" || name === "fast" ? "node" : "django",
    instance,
    kind,
    name,
    scope: "process",
    listener_id: kind === "listen_queue" ? "tcp:8000" : "",
    ...numbers,
    wait_count: has ? waits.reduce((sum, [count]) => sum + count, 0) : null,
    wait_sum: has ? waits.reduce((sum, [count, seconds]) => sum + count * seconds, 0) : null,
    wait_buckets: buckets,
  };
}

const OWN_ATTRIBUTES: Readonly<Record<string, (source: string) => Record<string, string>>> = {
  points: (source) => ({ "tidemark.signal": "metrics", "tidemark.source": source }),
  rejected: () => ({ "tidemark.signal": "metrics", "tidemark.rejected.reason": "too_old" }),
  overflow: (source) => ({
    "tidemark.source": source,
    "tidemark.overflow.metric": "carts",
    "tidemark.overflow.outcome": "folded",
  }),
};

/** Metrics of the ingest `service` about itself, as it would have stored them at `atMs`; their sender has the same name. */
export function ownRows(service: string, numbers: Readonly<Record<string, number>>, atMs: number) {
  return Object.entries(numbers).map(([name, value]) => {
    const key = { metric: `tidemark.ingest.${name}`, service, series_id: idOf(`${service} ${name}`) };
    const attributes = OWN_ATTRIBUTES[name]?.(service) ?? {};
    return {
      sample: { ...key, ts: clickhouseTime(atMs), m: value, e: 0 },
      series: { ...key, instance: `${service}-1`, attributes, last_seen: Math.floor(atMs / 1000) },
    };
  });
}

function idOf(text: string): number {
  let id = 0;
  for (const char of text) id = (Math.imul(id, 31) + char.charCodeAt(0)) >>> 0;
  return id;
}
