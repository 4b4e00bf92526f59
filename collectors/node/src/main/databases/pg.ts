import { type AnyFunction, wrapMethod } from "../module-loads.ts";
import { type Callback, callbackWith, type DriverParts, tellAsked } from "./driver.ts";
import { call, observed, type System } from "./operations.ts";
import type { PoolKind } from "./pool.ts";
import { Statements } from "./statement.ts";

const POSTGRESQL: System = { name: "postgresql", cache: false };

interface PgClient {
  readonly database?: string;
}
/** What pg-pool shows of itself. */
interface PgPool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  readonly ended?: boolean;
  readonly options?: { readonly max?: number; readonly database?: string; readonly connectionString?: string };
}

const pgPool: PoolKind<PgPool> = {
  system: POSTGRESQL.name,
  name({ options = {} }) {
    const { database, connectionString } = options;
    const fromUrl =
      connectionString !== undefined && URL.canParse(connectionString)
        ? decodeURIComponent(new URL(connectionString).pathname.slice(1))
        : undefined;
    return database || fromUrl || process.env.PGDATABASE || POSTGRESQL.name;
  },
  state: ({ options, totalCount, idleCount, waitingCount, ended }) => ({
    capacity: options?.max,
    used: Math.max(0, totalCount - idleCount),
    idle: idleCount,
    waiting: waitingCount,
    ended: ended === true,
  }),
};

/**
 * Times every statement and every wait for a connection of `pg`, by wrapping `Client.query` and `Pool.connect`: also
 * with the trace tier off, and for all statements, not a sample. Statements that bring their own object (cursors,
 * streams) pass through untimed. What the driver does and returns stays as it is.
 */
export function followPg(parts: DriverParts): void {
  const { loads, contexts } = parts;
  loads.awaitFile({
    within: "pg",
    file: "client",
    loaded: (client) => {
      if (wrapMethod(client, "query", (query) => timedQuery(query, parts))) contexts.enabled = true;
    },
  });
  loads.awaitFile({
    within: "pg-pool",
    file: "pg-pool",
    loaded: (pool) => {
      if (wrapMethod(pool, "connect", (connect) => timedConnect(connect, parts))) contexts.enabled = true;
      tellAsked(pool, ["query"], parts);
    },
  });
}

function timedConnect(connect: AnyFunction, { contexts, pools }: DriverParts): AnyFunction {
  return function (this: PgPool, callback?: Callback) {
    const ended = pools.waitStarted(this, pgPool);
    if (ended === undefined) return connect.call(this, callback);
    if (typeof callback === "function") return connect.call(this, callbackWith(contexts, callback, ended));
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

function timedQuery(query: AnyFunction, { contexts, operations, pools }: DriverParts): AnyFunction {
  const statements = new Statements("standard");
  return function (this: PgClient, config, values, callback) {
    const sql = typeof config === "string" ? config : config?.text;
    const ended =
      typeof sql !== "string" || typeof config?.submit === "function"
        ? undefined
        : operations.started(
            POSTGRESQL,
            () => statements.of(sql),
            () => ({ namespace: this.database, pool: pools.nameOf(this) }),
          );
    if (ended === undefined) return query.call(this, config, values, callback);
    const called = withCallback(config, values, callback, (original) => callbackWith(contexts, original, ended));
    return call(ended, () => {
      const result = query.apply(this, called ?? [config, values, callback]);
      return called === undefined && typeof result?.then === "function" ? observed(ended, result) : result;
    });
  };
}

/** The call's parameters with its callback replaced, wherever it stands; undefined when it has none. */
function withCallback(
  // biome-ignore lint/suspicious/noExplicitAny: as the driver takes it
  config: any,
  values: unknown,
  callback: unknown,
  replace: (original: Callback) => Callback,
): unknown[] | undefined {
  if (typeof values === "function") return [config, replace(values as Callback)];
  if (typeof callback === "function") return [config, values, replace(callback as Callback)];
  if (typeof config?.callback !== "function") return undefined;
  const copy = Object.assign(Object.create(Object.getPrototypeOf(config)), config);
  copy.callback = replace(config.callback);
  return [copy, values];
}
