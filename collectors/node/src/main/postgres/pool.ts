import { TICK_MS } from "../loop-ticker.ts";
import type { SeriesTable } from "../series.ts";

const MS_PER_S = 1000;
const SYSTEM = { "db.system.name": "postgresql" };

/** What pg-pool shows of itself. */
export interface PgPool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  readonly ended?: boolean;
  readonly options?: { readonly max?: number; readonly database?: string; readonly connectionString?: string };
}

/** One connection pool as a resource: who waits for a connection, and how long. */
export class PoolSeries {
  readonly name: string;
  readonly #pool: WeakRef<PgPool>;
  readonly #series: ReturnType<typeof poolSeries>;
  readonly #pendingMs = new Set<{ readonly sinceMs: number }>();

  constructor(pool: PgPool, name: string, table: SeriesTable) {
    this.#pool = new WeakRef(pool);
    this.name = name;
    this.#series = poolSeries(name, table);
  }

  /** A caller asks for a connection; the function returned says that it has one, or has given up. */
  waiting(nowMs: number, epoch: () => number): (endMs: number, error?: unknown) => void {
    const pending = { sinceMs: nowMs };
    this.#pendingMs.add(pending);
    return (endMs, error) => {
      this.#pendingMs.delete(pending);
      if (error === undefined || error === null) {
        const seconds = (endMs - nowMs) / MS_PER_S;
        this.#series.wait.record(seconds, epoch());
        this.#series.waitTime.record(seconds, epoch());
      } else if (error instanceof Error && /timeout/i.test(error.message)) {
        this.#series.timeouts.add(1);
        this.#series.rejected.add(1);
      }
    };
  }

  /** To be called every 250 ms; false when the pool is no more. */
  tick(nowMs: number, epoch: number): boolean {
    const pool = this.#pool.deref();
    const series = this.#series;
    if (pool === undefined || pool.ended === true) {
      for (const value of [series.used, series.idle, series.pending, series.stallAge]) value.current = 0;
      return false;
    }
    const capacity = pool.options?.max;
    const busy = Math.max(0, pool.totalCount - pool.idleCount);
    const waiting = pool.waitingCount;
    if (capacity !== undefined) {
      series.capacity.current = capacity;
      series.max.current = capacity;
      if (busy >= capacity && waiting > 0) series.saturatedTime.add(TICK_MS / MS_PER_S);
    }
    series.busy.sample(busy, epoch);
    series.waiting.sample(waiting, epoch);
    series.used.current = busy;
    series.idle.current = pool.idleCount;
    series.pending.current = waiting;
    const [oldest] = this.#pendingMs;
    series.stallAge.current = oldest === undefined ? 0 : (nowMs - oldest.sinceMs) / MS_PER_S;
    return true;
  }
}

/** The database's name is the pool's: it is what people call it by. */
export function poolName(pool: PgPool, taken: (name: string) => boolean): string {
  const { database, connectionString } = pool.options ?? {};
  const fromUrl =
    connectionString !== undefined && URL.canParse(connectionString)
      ? decodeURIComponent(new URL(connectionString).pathname.slice(1))
      : undefined;
  const name = database || fromUrl || process.env.PGDATABASE || "postgresql";
  if (!taken(name)) return name;
  for (let number = 2; ; number++) if (!taken(`${name}#${number}`)) return `${name}#${number}`;
}

function poolSeries(name: string, table: SeriesTable) {
  const resource = {
    "tidemark.resource.kind": "db_pool",
    "tidemark.resource.name": name,
    "tidemark.resource.scope": "process",
  };
  const pool = { ...SYSTEM, "db.client.connection.pool.name": name };
  const state = (of: string) => ({ ...pool, "db.client.connection.state": of });
  return {
    capacity: table.value("tidemark.resource.capacity", resource),
    busy: table.sampled("tidemark.resource.busy", resource),
    waiting: table.sampled("tidemark.resource.waiting", resource),
    wait: table.histogram("tidemark.resource.wait", resource),
    stallAge: table.value("tidemark.resource.stall_age", resource),
    rejected: table.value("tidemark.resource.rejected", { ...resource, "tidemark.rejected.reason": "timeout" }),
    saturatedTime: table.value("tidemark.resource.saturated_time", resource),
    used: table.value("db.client.connection.count", state("used")),
    idle: table.value("db.client.connection.count", state("idle")),
    max: table.value("db.client.connection.max", pool),
    pending: table.value("db.client.connection.pending_requests", pool),
    waitTime: table.histogram("db.client.connection.wait_time", pool),
    timeouts: table.value("db.client.connection.timeouts", pool),
  };
}
