import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage } from "node:http";
import type { Statement } from "./postgres/statement.ts";
import { siteOf } from "./statement-site.ts";

/** Statements of one request that are told apart. */
const MAX_STATEMENTS = 200;
/** Runs of one statement, one after the other in one request, from which they count as N+1. */
export const REPEATED_RUNS = 5;

/** What one request did besides running: kept while a database driver is instrumented. */
export class RequestContext {
  readonly request: IncomingMessage;
  queries = 0;
  /** How often each statement ran; `sequential` while no other run of it was in flight. */
  readonly statements = new Map<Statement, { inFlight: number; sequential: number; site: string | undefined }>();
  readonly #startMs: number;
  #changedMs: number;
  #queriesInFlight = 0;
  #waitsInFlight = 0;
  #dbMs = 0;
  #poolMs = 0;

  constructor(request: IncomingMessage, nowMs: number) {
    this.request = request;
    this.#startMs = nowMs;
    this.#changedMs = nowMs;
  }

  queryStarted(nowMs: number, statement: Statement): void {
    this.#advance(nowMs);
    this.#queriesInFlight += 1;
    this.queries += 1;
    let runs = this.statements.get(statement);
    if (runs === undefined) {
      if (this.statements.size >= MAX_STATEMENTS) return;
      runs = { inFlight: 0, sequential: 0, site: undefined };
      this.statements.set(statement, runs);
    }
    if (runs.inFlight === 0) {
      runs.sequential += 1;
      if (runs.sequential === REPEATED_RUNS) runs.site = siteOf(statement);
    }
    runs.inFlight += 1;
  }
  queryEnded(nowMs: number, statement: Statement): void {
    this.#advance(nowMs);
    this.#queriesInFlight -= 1;
    const runs = this.statements.get(statement);
    if (runs !== undefined) runs.inFlight -= 1;
  }
  waitStarted(nowMs: number): void {
    this.#advance(nowMs);
    this.#waitsInFlight += 1;
  }
  waitEnded(nowMs: number): void {
    this.#advance(nowMs);
    this.#waitsInFlight -= 1;
  }

  /**
   * Where the time went, in milliseconds: `db` while at least one statement ran, else `db_pool` while it waited for
   * a connection, else `view`. The three sum to the request's duration also when statements run side by side.
   */
  phases(nowMs: number): { db: number; pool: number; view: number } {
    this.#advance(nowMs);
    const view = Math.max(0, nowMs - this.#startMs - this.#dbMs - this.#poolMs);
    return { db: this.#dbMs, pool: this.#poolMs, view };
  }

  #advance(nowMs: number): void {
    const passed = nowMs - this.#changedMs;
    if (this.#queriesInFlight > 0) this.#dbMs += passed;
    else if (this.#waitsInFlight > 0) this.#poolMs += passed;
    this.#changedMs = nowMs;
  }
}

/**
 * The request that the running code belongs to. Off until a database driver is loaded: on Node 20 and 22 an
 * AsyncLocalStorage taxes every promise.
 */
export class RequestContexts {
  readonly #storage = new AsyncLocalStorage<RequestContext>();
  enabled = false;

  enter(context: RequestContext): void {
    this.#storage.enterWith(context);
  }

  /** The function, to be run in the present request whoever calls it. */
  // biome-ignore lint/suspicious/noExplicitAny: any function may be bound
  bind<F extends (...parameters: any[]) => unknown>(body: F): F {
    const context = this.current;
    if (context === undefined) return body;
    const storage = this.#storage;
    return function (this: unknown, ...parameters: Parameters<F>) {
      return storage.run(context, () => body.apply(this, parameters));
    } as F;
  }

  get current(): RequestContext | undefined {
    return this.enabled ? this.#storage.getStore() : undefined;
  }
}
