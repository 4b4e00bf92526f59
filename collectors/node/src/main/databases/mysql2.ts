import { type AnyFunction, wrapMethod } from "../module-loads.ts";
import { type Callback, callbackWith, type DriverParts, tellAsked } from "./driver.ts";
import { call, type OperationEnded, type System } from "./operations.ts";
import type { PoolKind } from "./pool.ts";
import { Statements } from "./statement.ts";

const MYSQL: System = { name: "mysql", cache: false };
const kTimed = Symbol("tidemark.timed");

interface Sized {
  readonly length: number;
}
/** What mysql2's pool keeps of itself, in every version from 2 on. */
interface MysqlPool {
  readonly config: { readonly connectionLimit: number; readonly connectionConfig?: { readonly database?: string } };
  readonly _allConnections: Sized;
  readonly _freeConnections: Sized;
  readonly _connectionQueue: Sized;
  readonly _closed: boolean;
}
interface MysqlConnection {
  readonly config?: { readonly database?: string };
}
/** A statement as an object; without a callback it is an event emitter. */
interface Command {
  readonly onResult?: Callback;
  once(event: "end", listener: () => void): void;
}

const mysqlPool: PoolKind<MysqlPool> = {
  system: MYSQL.name,
  name: ({ config }) => config.connectionConfig?.database || MYSQL.name,
  state: ({ config, _allConnections, _freeConnections, _connectionQueue, _closed }) => ({
    capacity: config.connectionLimit === 0 ? undefined : config.connectionLimit,
    used: Math.max(0, _allConnections.length - _freeConnections.length),
    idle: _freeConnections.length,
    waiting: _connectionQueue.length,
    ended: _closed,
  }),
};

/**
 * Times every statement and every wait for a connection of `mysql2`: its promises are made of the callbacks that are
 * wrapped here. The driver's own tracing channels are not used: they cost a description of each statement.
 */
export function followMysql2(parts: DriverParts): void {
  const { loads, contexts } = parts;
  loads.awaitFile({
    within: "mysql2",
    file: "connection",
    loaded: (connection) => {
      // The wrapper with promises has methods of the same names, but sends nothing itself.
      if (!hasOwn(connection, "addCommand")) return;
      const statements = new Statements("mysql");
      for (const name of ["query", "execute"]) {
        if (wrapMethod(connection, name, (run) => timedRun(run, statements, parts))) contexts.enabled = true;
      }
    },
  });
  loads.awaitFile({
    within: "mysql2",
    file: "pool",
    loaded: (pool) => {
      if (!hasOwn(pool, "_removeConnection")) return;
      if (wrapMethod(pool, "getConnection", (get) => timedGet(get, parts))) contexts.enabled = true;
      tellAsked(pool, ["query", "execute"], parts);
    },
  });
}

function timedGet(get: AnyFunction, { contexts, pools }: DriverParts): AnyFunction {
  return function (this: MysqlPool, callback: Callback & { [kTimed]?: boolean }) {
    // A connection that broke while it was being handed over is asked for again, with the same callback.
    if (typeof callback !== "function" || callback[kTimed] === true) return get.call(this, callback);
    const ended = pools.waitStarted(this, mysqlPool);
    if (ended === undefined) return get.call(this, callback);
    const timed = callbackWith(contexts, callback, ended) as Callback & { [kTimed]?: boolean };
    timed[kTimed] = true;
    return get.call(this, timed);
  };
}

function timedRun(run: AnyFunction, statements: Statements, { contexts, operations, pools }: DriverParts): AnyFunction {
  return function (this: MysqlConnection, sql, values, callback) {
    const text = typeof sql === "string" ? sql : sql?.sql;
    const ended =
      typeof text !== "string"
        ? undefined
        : operations.started(
            MYSQL,
            () => statements.of(text),
            () => ({ namespace: this.config?.database || undefined, pool: pools.nameOf(this) }),
          );
    if (ended === undefined) return run.call(this, sql, values, callback);
    return call(ended, () => {
      if (typeof values === "function") return run.call(this, sql, callbackWith(contexts, values, ended));
      if (typeof callback === "function") return run.call(this, sql, values, callbackWith(contexts, callback, ended));
      if (typeof sql?.onResult === "function") sql.onResult = callbackWith(contexts, sql.onResult, ended);
      return endsWithEvent(run.call(this, sql, values, callback), ended);
    });
  };
}

/** A statement without a callback tells its end as an event; listening for its error would hide that. */
function endsWithEvent(command: Command, ended: OperationEnded): Command {
  if (typeof command?.onResult !== "function") command?.once("end", () => ended());
  return command;
}

function hasOwn(owner: unknown, name: string): boolean {
  const prototype = (owner as { prototype?: object } | undefined)?.prototype;
  return prototype !== undefined && Object.hasOwn(prototype, name);
}
