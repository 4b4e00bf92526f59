import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage } from "node:http";
import type { CallSite } from "../shared/call-site.ts";
import type { Statement } from "./databases/statement.ts";
import { routeOf } from "./http-route.ts";
import { callSite, freshSite, rememberSite, siteOf } from "./statement-site.ts";

/** Statements of one request that are told apart. */
const MAX_STATEMENTS = 200;
/** Stacks one request may cost. */
const MAX_ENTRIES = 8;
/** Runs of one statement, one after the other in one request, from which they count as N+1. */
export const REPEATED_RUNS = 5;

/** How a request ended. */
export interface RequestEnd {
  readonly request: IncomingMessage;
  /** On `performance.now()`'s clock. */
  readonly endMs: number;
  /** Of the response; undefined when its connection closed before it was handed over. */
  readonly status: number | undefined;
  readonly route: string | undefined;
  /** Whether it ran one statement many times. */
  readonly repeated: boolean;
  /** How long the event loop was busy while it was in flight, in milliseconds. */
  readonly loopActiveMs: number;
  /** Statements it ran. */
  readonly queries: number;
  readonly phases: Phases;
}
/** The trace's part in a request. */
export interface RequestTrace {
  readonly traceId: string;
  finish(end: RequestEnd): void;
}
/** How the trace tier takes part in requests. What it gives for a request is stored as its context. */
export interface RequestTracing {
  begin(context: RequestContext): object;
  /** The request that such a context, or one made from it, belongs to. */
  requestOf(stored: object): RequestContext | undefined;
}

export interface Phases {
  readonly db: number;
  readonly cache: number;
  readonly pool: number;
  readonly view: number;
}

/** How often one request ran a statement. */
export interface Runs {
  inFlight: number;
  sequential: number;
  /** Start of the last run. */
  startedMs: number;
  /** Of all runs; of runs side by side, from the last one's start. */
  totalMs: number;
  site: CallSite | undefined;
}
const NONE: ReadonlyMap<Statement, Runs> = new Map();

/** What one request did besides running: kept while a database driver is instrumented, and with the trace tier on. */
export class RequestContext {
  readonly request: IncomingMessage;
  readonly startMs: number;
  trace: RequestTrace | undefined = undefined;
  queries = 0;
  /** Whether it asked a cache. */
  cached = false;
  #statements: Map<Statement, Runs> | undefined = undefined;
  /** Places to look at that ask for a statement, and the last one seen. */
  #entriesToSee = 0;
  #entry: CallSite | undefined = undefined;
  /** A statement that has been repeated from a place that is not on the stack. */
  #unplaced: { readonly statement: Statement; readonly runs: Runs } | undefined = undefined;
  #changedMs: number;
  #queriesInFlight = 0;
  #cachesInFlight = 0;
  #waitsInFlight = 0;
  #dbMs = 0;
  #cacheMs = 0;
  #poolMs = 0;

  constructor(request: IncomingMessage, nowMs: number) {
    this.request = request;
    this.startMs = nowMs;
    this.#changedMs = nowMs;
  }

  /** How often each statement ran; `sequential` while no other run of it was in flight. */
  get statements(): ReadonlyMap<Statement, Runs> {
    return this.#statements ?? NONE;
  }

  /**
   * To be called where the application asks for a statement that a driver runs later, off its stack: through a pool,
   * by a query builder. Looks at that place only when a statement is about to count as repeated.
   */
  asked(): void {
    if (this.#entriesToSee === 0) return;
    this.#entriesToSee -= 1;
    this.#entry = callSite();
  }
  /** Whether a statement is about to count as repeated, from a place that is not known yet. */
  get looksForEntry(): boolean {
    return this.#entriesToSee > 0;
  }
  /** To be called where an answer arrives that the application awaits, for clients that run what is asked for later. */
  answered(): void {
    if (this.#unplaced === undefined) return;
    const { statement, runs } = this.#unplaced;
    this.#unplaced = undefined;
    runs.site = callSite();
    if (runs.site !== undefined) rememberSite(statement, routeOf(this.request), runs.site);
  }
  queryStarted(nowMs: number, statement: Statement): void {
    this.#advance(nowMs);
    this.#queriesInFlight += 1;
    this.queries += 1;
    this.#statements ??= new Map();
    let runs = this.#statements.get(statement);
    if (runs === undefined) {
      if (this.#statements.size >= MAX_STATEMENTS) return;
      runs = { inFlight: 0, sequential: 0, startedMs: 0, totalMs: 0, site: undefined };
      this.#statements.set(statement, runs);
    }
    // A request that also waits for further connections has asked for several runs at once: a pool hands them out.
    if (runs.inFlight === 0 && this.#waitsInFlight === 0) this.#runAlone(statement, runs);
    runs.inFlight += 1;
    runs.startedMs = nowMs;
  }
  #runAlone(statement: Statement, runs: Runs): void {
    runs.sequential += 1;
    if (runs.sequential === REPEATED_RUNS - 1) {
      this.#entriesToSee = freshSite(statement, routeOf(this.request)) === undefined ? MAX_ENTRIES : 0;
    } else if (runs.sequential === REPEATED_RUNS) {
      runs.site = siteOf(statement, routeOf(this.request), this.#entry);
      if (runs.site === undefined) this.#unplaced = { statement, runs };
    }
  }
  queryEnded(nowMs: number, statement: Statement): void {
    this.#advance(nowMs);
    this.#queriesInFlight -= 1;
    const runs = this.statements.get(statement);
    if (runs === undefined) return;
    runs.inFlight -= 1;
    runs.totalMs += nowMs - runs.startedMs;
  }
  cacheStarted(nowMs: number): void {
    this.#advance(nowMs);
    this.#cachesInFlight += 1;
    this.cached = true;
  }
  cacheEnded(nowMs: number): void {
    this.#advance(nowMs);
    this.#cachesInFlight -= 1;
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
   * Where the time went, in milliseconds: `db` while at least one statement ran, else `cache` while a cache was asked,
   * else `pool` while it waited for a connection, else `view`. The four sum to the request's duration also when it
   * does several at once.
   */
  phases(nowMs: number): Phases {
    this.#advance(nowMs);
    const view = Math.max(0, nowMs - this.startMs - this.#dbMs - this.#cacheMs - this.#poolMs);
    return { db: this.#dbMs, cache: this.#cacheMs, pool: this.#poolMs, view };
  }

  #advance(nowMs: number): void {
    const passed = nowMs - this.#changedMs;
    if (this.#queriesInFlight > 0) this.#dbMs += passed;
    else if (this.#cachesInFlight > 0) this.#cacheMs += passed;
    else if (this.#waitsInFlight > 0) this.#poolMs += passed;
    this.#changedMs = nowMs;
  }
}

/**
 * The request that the running code belongs to. Off until a database driver is loaded or the trace tier starts: on
 * Node 20 and 22 an AsyncLocalStorage taxes every promise, so that the two share one.
 */
export class RequestContexts {
  /** A {@link RequestContext}, or what the trace tier stores for one. */
  readonly storage = new AsyncLocalStorage<object>();
  tracing: RequestTracing | undefined;
  enabled = false;

  enter(context: RequestContext): void {
    this.storage.enterWith(this.tracing === undefined ? context : this.tracing.begin(context));
  }

  /** The function, to be run in the present request whoever calls it. */
  // biome-ignore lint/suspicious/noExplicitAny: any function may be bound
  bind<F extends (...parameters: any[]) => unknown>(body: F): F {
    const { storage } = this;
    const stored = this.enabled ? storage.getStore() : undefined;
    if (stored === undefined) return body;
    return function (this: unknown, ...parameters: Parameters<F>) {
      return storage.run(stored, () => body.apply(this, parameters));
    } as F;
  }

  get current(): RequestContext | undefined {
    const stored = this.enabled ? this.storage.getStore() : undefined;
    if (stored === undefined || stored instanceof RequestContext) return stored;
    return this.tracing?.requestOf(stored);
  }
}
