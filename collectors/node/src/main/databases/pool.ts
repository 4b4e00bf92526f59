import type { Control } from "../../shared/control.ts";
import type { Value } from "../../shared/value.ts";
import { TICK_MS } from "../loop-ticker.ts";
import { type AnyFunction, wrapMethod } from "../module-loads.ts";
import type { RequestContexts } from "../request-context.ts";
import type { SeriesTable } from "../series.ts";

const MS_PER_S = 1000;

/** What a pool says of itself. */
export interface PoolState {
  /** Connections it may open; undefined without a limit. */
  readonly capacity: number | undefined;
  readonly used: number;
  readonly idle: number;
  readonly waiting: number;
  readonly ended: boolean;
}
/** How the pools of one library are read. */
export interface PoolKind<Pool> {
  /** OpenTelemetry's name of the database system. */
  readonly system: string;
  /** What people call the pool by: mostly its database. */
  name(pool: Pool): string;
  state(pool: Pool): PoolState;
}
/** Says that a caller has its connection, or has given up. Never throws. */
export type WaitEnded = (error: unknown, connection?: unknown) => void;

/** The connection pools of this process, and which connection belongs to which. */
export class Pools {
  readonly #table: SeriesTable;
  readonly #control: Control;
  readonly #contexts: RequestContexts;
  readonly #pools = new Set<PoolSeries>();
  readonly #seriesOfPool = new WeakMap<object, PoolSeries>();
  readonly #poolOfConnection = new WeakMap<object, PoolSeries>();

  constructor(table: SeriesTable, control: Control, contexts: RequestContexts) {
    this.#table = table;
    this.#control = control;
    this.#contexts = contexts;
  }

  /** To be called when the running code asks a pool for a connection. Undefined when that cannot be timed; never throws. */
  waitStarted<Pool extends object>(pool: Pool, kind: PoolKind<Pool>): WaitEnded | undefined {
    try {
      const series = this.#seriesOf(pool, kind);
      const context = this.#contexts.current;
      const startMs = performance.now();
      const pending = series.waitStarted(startMs);
      context?.waitStarted(startMs);
      return (error, connection) => {
        try {
          const endMs = performance.now();
          if (!series.waitEnded(pending, endMs, error, this.#control.epoch)) return;
          context?.waitEnded(endMs);
          if (typeof connection === "object" && connection !== null) this.#poolOfConnection.set(connection, series);
        } catch {
          this.#control.countError();
        }
      };
    } catch {
      this.#control.countError();
      return undefined;
    }
  }

  /** Name of the pool that a connection came from. */
  nameOf(connection: object): string | undefined {
    return this.#poolOfConnection.get(connection)?.name;
  }

  /** To be called every 250 ms. */
  tick(): void {
    const nowMs = performance.now();
    for (const pool of this.#pools) if (!pool.tick(nowMs, this.#control.epoch)) this.#pools.delete(pool);
  }

  #seriesOf<Pool extends object>(pool: Pool, kind: PoolKind<Pool>): PoolSeries {
    let series = this.#seriesOfPool.get(pool);
    if (series === undefined) {
      const reference = new WeakRef(pool);
      const read = () => {
        const alive = reference.deref();
        return alive === undefined ? undefined : kind.state(alive);
      };
      series = new PoolSeries(this.#freeName(kind.name(pool)), kind.system, read, this.#table);
      this.#seriesOfPool.set(pool, series);
      this.#pools.add(series);
    }
    return series;
  }

  #freeName(wanted: string): string {
    const taken = new Set([...this.#pools].map(({ name }) => name));
    for (let number = 1; ; number++) {
      const name = number === 1 ? wanted : `${wanted}#${number}`;
      if (!taken.has(name)) return name;
    }
  }
}

/**
 * Times every call of `acquire` of the pools of a class; `promiseOf` finds the promise of the connection in what it returns.
 * The library awaits the same promise, so that a failure observed here is handled there. False when there is no such class.
 */
export function timeAcquire<Pool extends object, Pending>(
  exports: unknown,
  pools: Pools,
  kind: PoolKind<Pool>,
  promiseOf: (pending: Pending) => Promise<unknown>,
): boolean {
  const timed = (acquire: AnyFunction): AnyFunction =>
    function (this: Pool, ...parameters) {
      const ended = pools.waitStarted(this, kind);
      const pending = acquire.apply(this, parameters) as Pending;
      if (ended !== undefined) promiseOf(pending).then((connection) => ended(undefined, connection), ended);
      return pending;
    };
  return wrapMethod((exports as { Pool?: unknown }).Pool, "acquire", timed);
}

interface Pending {
  readonly sinceMs: number;
}

/** One connection pool as a resource: who waits for a connection, and how long. */
class PoolSeries {
  readonly name: string;
  readonly #read: () => PoolState | undefined;
  readonly #series: ReturnType<typeof poolSeries>;
  readonly #pending = new Set<Pending>();

  constructor(name: string, system: string, read: () => PoolState | undefined, table: SeriesTable) {
    this.name = name;
    this.#read = read;
    this.#series = poolSeries(name, system, table);
  }

  waitStarted(nowMs: number): Pending {
    const pending = { sinceMs: nowMs };
    this.#pending.add(pending);
    return pending;
  }

  /** False when that wait has ended before. */
  waitEnded(pending: Pending, endMs: number, error: unknown, epoch: number): boolean {
    if (!this.#pending.delete(pending)) return false;
    if (error === undefined || error === null) {
      const seconds = (endMs - pending.sinceMs) / MS_PER_S;
      this.#series.wait.record(seconds, epoch);
      this.#series.waitTime.record(seconds, epoch);
      return true;
    }
    const reason = rejection(error);
    if (reason !== undefined) this.#series.rejected[reason].add(1);
    if (reason === "timeout") this.#series.timeouts.add(1);
    return true;
  }

  /** False when the pool is no more. */
  tick(nowMs: number, epoch: number): boolean {
    const state = this.#read();
    const series = this.#series;
    if (state === undefined || state.ended) {
      for (const value of [series.used, series.idle, series.pending, series.stallAge]) value.current = 0;
      return false;
    }
    const { capacity, used, idle, waiting } = state;
    if (capacity !== undefined) {
      series.capacity().current = capacity;
      series.max().current = capacity;
      if (used >= capacity && waiting > 0) series.saturatedTime.add(TICK_MS / MS_PER_S);
    }
    series.busy.sample(used, epoch);
    series.waiting.sample(waiting, epoch);
    series.used.current = used;
    series.idle.current = idle;
    series.pending.current = waiting;
    const [oldest] = this.#pending;
    series.stallAge.current = oldest === undefined ? 0 : (nowMs - oldest.sinceMs) / MS_PER_S;
    return true;
  }
}

/** Whether the pool turned a caller away, told by the libraries in words only: it had no connection, or none in time. */
function rejection(error: unknown): "timeout" | "full" | undefined {
  if (!(error instanceof Error)) return undefined;
  if (/time(?:d ?)?out/i.test(`${error.name} ${error.message}`)) return "timeout";
  return /queue limit|no connections available/i.test(error.message) ? "full" : undefined;
}

function poolSeries(name: string, system: string, table: SeriesTable) {
  const resource = {
    "tidemark.resource.kind": "db_pool",
    "tidemark.resource.name": name,
    "tidemark.resource.scope": "process",
  };
  const pool = { "db.system.name": system, "db.client.connection.pool.name": name };
  const state = (of: string) => ({ ...pool, "db.client.connection.state": of });
  const rejected = (reason: string) =>
    table.value("tidemark.resource.rejected", { ...resource, "tidemark.rejected.reason": reason });
  return {
    capacity: once(() => table.value("tidemark.resource.capacity", resource)),
    busy: table.sampled("tidemark.resource.busy", resource),
    waiting: table.sampled("tidemark.resource.waiting", resource),
    wait: table.histogram("tidemark.resource.wait", resource),
    stallAge: table.value("tidemark.resource.stall_age", resource),
    rejected: { timeout: rejected("timeout"), full: rejected("full") },
    saturatedTime: table.value("tidemark.resource.saturated_time", resource),
    used: table.value("db.client.connection.count", state("used")),
    idle: table.value("db.client.connection.count", state("idle")),
    max: once(() => table.value("db.client.connection.max", pool)),
    pending: table.value("db.client.connection.pending_requests", pool),
    waitTime: table.histogram("db.client.connection.wait_time", pool),
    timeouts: table.value("db.client.connection.timeouts", pool),
  };
}

/** A pool without a limit has no such series: absent, not zero. */
function once(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
