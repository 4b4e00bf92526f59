import type { Control } from "../../shared/control.ts";
import type { Histogram } from "../../shared/histogram.ts";
import { routeOf } from "../http-route.ts";
import type { RequestContext, RequestContexts } from "../request-context.ts";
import type { SeriesTable } from "../series.ts";
import type { Statement } from "./statement.ts";

const MS_PER_S = 1000;

/** A kind of database. */
export interface System {
  /** OpenTelemetry's name of it. */
  readonly name: string;
  /** Whether its commands are a request's `cache` phase; else they are statements of its `db` phase. */
  readonly cache: boolean;
}
/** Where an operation ran: database and pool. */
export interface Target {
  readonly namespace: string | undefined;
  readonly pool: string | undefined;
}
/** Says that an operation has ended. Never throws; only its first call counts. */
export type OperationEnded = (error?: unknown) => void;

/** Durations of database operations, and their part in the requests that ran them. */
export class Operations {
  readonly #table: SeriesTable;
  readonly #control: Control;
  readonly #contexts: RequestContexts;
  readonly #durations = new Map<Statement, Map<string, Histogram>>();

  constructor(table: SeriesTable, control: Control, contexts: RequestContexts) {
    this.#table = table;
    this.#control = control;
    this.#contexts = contexts;
  }

  /** To be called where the application asks for a statement that runs later. Never throws. */
  asked(): void {
    try {
      this.#contexts.current?.asked();
    } catch {
      this.#control.countError();
    }
  }

  /** To be called when an operation starts; undefined when it cannot be timed. `target` is asked at its end. */
  started(system: System, describe: () => Statement, target: () => Target): OperationEnded | undefined {
    try {
      const statement = describe();
      const context = this.#contexts.current;
      const startMs = performance.now();
      if (system.cache) context?.cacheStarted(startMs);
      else context?.queryStarted(startMs, statement);
      let ended = false;
      return (error) => {
        if (ended) return;
        ended = true;
        try {
          const endMs = performance.now();
          if (system.cache) context?.cacheEnded(endMs);
          else context?.queryEnded(endMs, statement);
          this.#durationsOf(system, statement, target(), context, error).record(
            (endMs - startMs) / MS_PER_S,
            this.#control.epoch,
          );
        } catch {
          this.#control.countError();
        }
      };
    } catch {
      this.#control.countError();
      return undefined;
    }
  }

  #durationsOf(
    { name }: System,
    statement: Statement,
    { namespace, pool }: Target,
    context: RequestContext | undefined,
    error: unknown,
  ): Histogram {
    const route = context === undefined ? undefined : routeOf(context.request);
    const type = errorType(error);
    const key = `${pool}\n${route}\n${type}\n${namespace}`;
    let durations = this.#durations.get(statement);
    if (durations === undefined) {
      durations = new Map();
      this.#durations.set(statement, durations);
    }
    let histogram = durations.get(key);
    if (histogram === undefined) {
      histogram = this.#table.histogram("db.client.operation.duration", {
        "db.system.name": name,
        "db.operation.name": statement.operation,
        "db.query.summary": statement.summary,
        ...(statement.text === undefined ? {} : { "db.query.text": statement.text }),
        ...(namespace === undefined ? {} : { "db.namespace": namespace }),
        ...(pool === undefined ? {} : { "tidemark.db.alias": pool }),
        ...(route === undefined ? {} : { "http.route": route }),
        ...(type === undefined ? {} : { "error.type": type }),
      });
      durations.set(key, histogram);
    }
    return histogram;
  }
}

/** Runs the driver's own call, which may throw before it starts anything. */
export function call<T>(ended: OperationEnded, body: () => T): T {
  try {
    return body();
  } catch (error) {
    ended(error);
    throw error;
  }
}

/** The promise, with its end observed; what it gives and fails with stays as it is. */
export function observed<T>(ended: OperationEnded, promise: Promise<T>): Promise<T> {
  return promise.then(
    (value) => {
      ended();
      return value;
    },
    (error: unknown) => {
      ended(error);
      throw error;
    },
  );
}

/** The database's own code of an error (SQLSTATE, `ER_...`, MongoDB's number), else its class. */
function errorType(error: unknown): string | undefined {
  if (error === undefined || error === null) return undefined;
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === "string" || typeof code === "number") return String(code);
  return typeof name === "string" ? name : "_OTHER";
}
