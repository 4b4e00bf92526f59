import Module from "node:module";
import { sep } from "node:path";
import type { Control } from "../../shared/control.ts";
import type { Histogram } from "../../shared/histogram.ts";
import { routeOf } from "../http-route.ts";
import type { RequestContext, RequestContexts } from "../request-context.ts";
import type { SeriesTable } from "../series.ts";
import { type PgPool, PoolSeries, poolName } from "./pool.ts";
import { type Statement, Statements } from "./statement.ts";

const MS_PER_S = 1000;
const kWrapped = Symbol.for("tidemark.wrapped");

type Callback = (error: unknown, ...results: unknown[]) => void;
// biome-ignore lint/suspicious/noExplicitAny: the driver's functions are wrapped as they are
type AnyFunction = (this: any, ...parameters: any[]) => any;
interface PgClient {
  readonly database?: string;
}

/**
 * Times every statement and every wait for a connection of `pg`, by wrapping `Client.query` and `Pool.connect`: also
 * with the trace tier off, and for all statements, not a sample. Statements that bring their own object (cursors,
 * streams) pass through untimed. What the driver does and returns stays as it is.
 */
export class Postgres {
  readonly #table: SeriesTable;
  readonly #control: Control;
  readonly #contexts: RequestContexts;
  readonly #statements = new Statements();
  readonly #durations = new Map<Statement, Map<string, Histogram>>();
  readonly #pools = new Set<PoolSeries>();
  readonly #seriesOfPool = new WeakMap<PgPool, PoolSeries>();
  readonly #poolOfClient = new WeakMap<PgClient, PoolSeries>();

  constructor(table: SeriesTable, control: Control, contexts: RequestContexts) {
    this.#table = table;
    this.#control = control;
    this.#contexts = contexts;
  }

  /** Waits for the driver to be loaded, by `require` or `import`; returns a function that stops that. */
  start(): () => void {
    const loader = Module as unknown as { _load: AnyFunction };
    const load = loader._load;
    const postgres = this;
    const patched: AnyFunction = function (request: string, parent, ...rest) {
      const exports = load.call(this, request, parent, ...rest);
      try {
        postgres.#loaded(request, parent?.filename, exports);
      } catch {
        postgres.#control.countError();
      }
      return exports;
    };
    loader._load = patched;
    return () => {
      if (loader._load === patched) loader._load = load;
    };
  }

  /** To be called every 250 ms. */
  tick(): void {
    const nowMs = performance.now();
    for (const pool of this.#pools) if (!pool.tick(nowMs, this.#control.epoch)) this.#pools.delete(pool);
  }

  // Both CommonJS files are reached by require(), from an application of either kind.
  #loaded(request: string, from: string | undefined, exports: unknown): void {
    if (request === "./client" && from?.endsWith(`${sep}pg${sep}lib${sep}index.js`)) {
      this.#wrap(exports, "query", (query) => this.#query(query));
    } else if (request === "pg-pool") this.#wrap(exports, "connect", (connect) => this.#connect(connect));
  }

  #wrap(driver: unknown, name: string, wrapper: (original: AnyFunction) => AnyFunction): void {
    const { prototype } = driver as { prototype: Record<string, AnyFunction & { [kWrapped]?: boolean }> };
    const original = prototype[name];
    if (typeof original !== "function" || original[kWrapped] === true) return;
    const wrapped = wrapper(original) as AnyFunction & { [kWrapped]?: boolean };
    wrapped[kWrapped] = true;
    prototype[name] = wrapped;
    this.#contexts.enabled = true;
  }

  #connect(connect: AnyFunction): AnyFunction {
    const postgres = this;
    return function (this: PgPool, callback?: Callback) {
      const ended = postgres.#waitStarted(this);
      if (ended === undefined) return connect.call(this, callback);
      if (typeof callback === "function") {
        // The pool calls back from where another request gave its connection back.
        const bound = postgres.#contexts.bind(callback);
        return connect.call(this, (error: unknown, client: PgClient, ...rest: unknown[]) => {
          ended(error, client);
          return bound(error, client, ...rest);
        });
      }
      return connect.call(this).then(
        (client: PgClient) => {
          ended(undefined, client);
          return client;
        },
        (error: unknown) => {
          ended(error);
          throw error;
        },
      );
    };
  }

  #waitStarted(pool: PgPool): ((error: unknown, client?: PgClient) => void) | undefined {
    try {
      const series = this.#seriesOf(pool);
      const context = this.#contexts.current;
      const startMs = performance.now();
      const ended = series.waiting(startMs, () => this.#control.epoch);
      context?.waitStarted(startMs);
      return (error, client) => {
        try {
          const endMs = performance.now();
          context?.waitEnded(endMs);
          ended(endMs, error);
          if (client !== undefined && client !== null) this.#poolOfClient.set(client, series);
        } catch {
          this.#control.countError();
        }
      };
    } catch {
      this.#control.countError();
      return undefined;
    }
  }

  #seriesOf(pool: PgPool): PoolSeries {
    let series = this.#seriesOfPool.get(pool);
    if (series === undefined) {
      const names = new Set([...this.#pools].map(({ name }) => name));
      series = new PoolSeries(
        pool,
        poolName(pool, (name) => names.has(name)),
        this.#table,
      );
      this.#seriesOfPool.set(pool, series);
      this.#pools.add(series);
    }
    return series;
  }

  #query(query: AnyFunction): AnyFunction {
    const postgres = this;
    return function (this: PgClient, config, values, callback) {
      const sql = typeof config === "string" ? config : config?.text;
      if (typeof sql !== "string" || typeof config?.submit === "function") {
        return query.call(this, config, values, callback);
      }
      const ended = postgres.#queryStarted(this, sql);
      if (ended === undefined) return query.call(this, config, values, callback);
      const observed = (original: Callback): Callback =>
        function (this: unknown, error, ...results) {
          ended(error);
          return original.call(this, error, ...results);
        };
      if (typeof values === "function") return query.call(this, config, observed(values));
      if (typeof callback === "function") return query.call(this, config, values, observed(callback));
      if (typeof config?.callback === "function") {
        const copy = Object.assign(Object.create(Object.getPrototypeOf(config)), config);
        copy.callback = observed(config.callback);
        return query.call(this, copy, values);
      }
      const result = query.call(this, config, values, callback);
      if (typeof result?.then !== "function") return result;
      return result.then(
        (value: unknown) => {
          ended(undefined);
          return value;
        },
        (error: unknown) => {
          ended(error);
          throw error;
        },
      );
    };
  }

  #queryStarted(client: PgClient, sql: string): ((error: unknown) => void) | undefined {
    try {
      const statement = this.#statements.of(sql);
      const context = this.#contexts.current;
      const startMs = performance.now();
      context?.queryStarted(startMs, statement);
      return (error) => {
        try {
          const endMs = performance.now();
          context?.queryEnded(endMs, statement);
          this.#record(client, statement, context, error, (endMs - startMs) / MS_PER_S);
        } catch {
          this.#control.countError();
        }
      };
    } catch {
      this.#control.countError();
      return undefined;
    }
  }

  #record(
    client: PgClient,
    statement: Statement,
    context: RequestContext | undefined,
    error: unknown,
    seconds: number,
  ): void {
    const route = context === undefined ? undefined : routeOf(context.request);
    const type = errorType(error);
    const alias = this.#poolOfClient.get(client)?.name;
    const key = `${alias}\n${route}\n${type}\n${client.database}`;
    let durations = this.#durations.get(statement);
    if (durations === undefined) {
      durations = new Map();
      this.#durations.set(statement, durations);
    }
    let histogram = durations.get(key);
    if (histogram === undefined) {
      histogram = this.#table.histogram("db.client.operation.duration", {
        "db.system.name": "postgresql",
        "db.operation.name": statement.operation,
        "db.query.summary": statement.summary,
        ...(statement.text === undefined ? {} : { "db.query.text": statement.text }),
        ...(client.database === undefined ? {} : { "db.namespace": client.database }),
        ...(alias === undefined ? {} : { "tidemark.db.alias": alias }),
        ...(route === undefined ? {} : { "http.route": route }),
        ...(type === undefined ? {} : { "error.type": type }),
      });
      durations.set(key, histogram);
    }
    histogram.record(seconds, this.#control.epoch);
  }
}

/** SQLSTATE or the error's class. */
function errorType(error: unknown): string | undefined {
  if (error === undefined || error === null) return undefined;
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === "string" ? code : typeof name === "string" ? name : "_OTHER";
}
