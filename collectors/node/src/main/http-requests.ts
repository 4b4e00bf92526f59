import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { MONOTONIC_ORIGIN_MS } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";
import type { RequestsInFlight } from "../shared/description.ts";
import type { Histogram } from "../shared/histogram.ts";
import type { Value } from "../shared/value.ts";
import type { Guard } from "./guard.ts";
import { routeOf } from "./http-route.ts";
import { InFlight, type Placed } from "./in-flight.ts";
import { type Phases, RequestContext, type RequestContexts } from "./request-context.ts";
import type { SeriesTable } from "./series.ts";

const MS_PER_S = 1000;
const { nodeTiming } = performance;
/** The loop's idle time is read again after this long: what it can be wrong by. On a busy server it spares a call. */
const IDLE_FRESH_MS = 0.05;
/** A loop that idled for less than this since a request's start has not waited for events since then. */
const SAME_TURN_IDLE_MS = 1;
/** Routes kept apart; further ones count as `_other`. */
const MAX_ROUTES = 500;
const OTHER_ROUTE = "_other";
const ABORTED_STATUS = 0;
const SERVER_ERROR_STATUS = 500;

// Source: OpenTelemetry HTTP conventions; other methods count as `_OTHER`.
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
const methodNumbers = new Map(METHODS.map((method, index) => [method, index]));
const MAX_STATUS = 1000;

const kState = Symbol("tidemark.request");

/** One request in flight. A connection's is used again for its next request, so that a request allocates nothing. */
interface RequestState extends Placed {
  /** Undefined when no request is in flight. */
  request: IncomingMessage | undefined;
  idleMs: number;
  method: number;
  readonly secure: number;
  context: RequestContext | undefined;
}
interface MeasuredSocket extends Socket {
  encrypted?: boolean;
  /** Node's own: the response that is being written, which knows its request. */
  readonly _httpMessage?: { readonly req?: MeasuredRequest } | null;
  [kState]?: RequestState;
}
/** A request that was pipelined behind another keeps its state itself. */
interface MeasuredRequest extends IncomingMessage {
  [kState]?: RequestState;
}
interface RouteSeries {
  readonly attributes: { readonly "http.route"?: string };
  readonly durations: Map<number, Histogram>;
  readonly loopActive: Histogram;
  phases?: { readonly db: Histogram; readonly pool: Histogram; readonly view: Histogram };
  cachePhase?: Histogram;
  queries?: Histogram;
}

/** Called for each request that ends; answers whether it repeated a statement. */
export type RepeatedCheck = (context: RequestContext, route: string | undefined) => boolean;

/**
 * Durations and number of HTTP requests, from Node's own diagnostics channels: no patched function, no span.
 * A request ends when its response has been handed over, or when its connection closes before that.
 */
export class HttpRequests {
  readonly #series: SeriesTable;
  readonly #control: Control;
  readonly #contexts: RequestContexts;
  readonly #routes = new Map<string | undefined, RouteSeries>();
  readonly #active: (Value | undefined)[] = [];
  readonly #repeated: RepeatedCheck;
  readonly #inFlight = new InFlight<RequestState>();
  #latest: RequestState | undefined;
  #idleMs = 0;
  #idleReadMs = Number.NEGATIVE_INFINITY;
  // What the last request was counted in, which is mostly where the next one goes.
  #lastRoute: RouteSeries | undefined;
  #lastName: string | undefined;
  #lastKey = -1;
  #lastDurations: Histogram | undefined;
  #onSecureClose: (this: Socket) => void = () => {};

  constructor(series: SeriesTable, control: Control, contexts: RequestContexts, repeated: RepeatedCheck) {
    this.#series = series;
    this.#control = control;
    this.#contexts = contexts;
    this.#repeated = repeated;
  }

  /** Starts listening; returns a function that stops it. */
  start(guard: Guard): () => void {
    const started = guard((message: unknown) => this.#started(message as Message));
    const finished = guard((message: unknown) => this.#finished(message as Message));
    const closed = guard((socket: Socket) => this.connectionClosed(socket));
    this.#onSecureClose = function (this: Socket) {
      closed(this);
    };
    subscribe("http.server.request.start", started);
    subscribe("http.server.response.finish", finished);
    return () => {
      unsubscribe("http.server.request.start", started);
      unsubscribe("http.server.response.finish", finished);
    };
  }

  /** To be called when a connection closes: requests still in flight on it were aborted. */
  connectionClosed(socket: Socket): void {
    const measured = socket as MeasuredSocket;
    const state = measured[kState];
    if (state?.request !== undefined) this.#end(state, ABORTED_STATUS);
    const pipelined = measured._httpMessage?.req?.[kState];
    if (pipelined?.request !== undefined) this.#end(pipelined, ABORTED_STATUS);
  }

  /**
   * The request that started last, if the loop has not waited for events since then: where no context is followed, a
   * hint to what blocks the loop.
   */
  get latest(): IncomingMessage | undefined {
    const state = this.#latest;
    if (state?.request === undefined || nodeTiming.idleTime - state.idleMs > SAME_TURN_IDLE_MS) return undefined;
    return state.request;
  }

  /** What is being served, less one request. Calls nothing of the application's: to be asked while it is blocked. */
  inFlight(except: IncomingMessage | undefined): RequestsInFlight {
    return this.#inFlight.describe(MONOTONIC_ORIGIN_MS, {
      isExcepted: ({ request }) => request === except,
      route: ({ request }) => routeOf(request!, true),
      rest: ({ method, context }) => ({ method: METHODS[method] ?? "_OTHER", traceId: context?.trace?.traceId }),
    });
  }

  #started({ request, socket }: Message): void {
    let state = (socket as MeasuredSocket)[kState];
    if (state === undefined) state = this.#watch(socket);
    else if (state.request !== undefined) {
      state = newState(state.secure);
      (request as MeasuredRequest)[kState] = state;
    }
    const startMs = performance.now();
    state.request = request;
    state.startMs = startMs;
    state.idleMs = this.#idleAt(startMs);
    state.method = request.method === "GET" ? 0 : (methodNumbers.get(request.method ?? "") ?? METHODS.length);
    this.#latest = state;
    this.#inFlight.add(state);
    this.#activeRequests(state.method, state.secure).add(1);
    if (!this.#contexts.enabled) return;
    state.context = new RequestContext(request, startMs);
    this.#contexts.enter(state.context);
  }

  /** The first request of a connection. */
  #watch(socket: MeasuredSocket): RequestState {
    const state = newState(socket.encrypted === true ? 1 : 0);
    socket[kState] = state;
    // TLS wraps the counted connection in a socket of its own.
    if (state.secure === 1) socket.on("close", this.#onSecureClose);
    return state;
  }

  /** Milliseconds the loop has waited for events since its start. */
  #idleAt(nowMs: number): number {
    if (nowMs - this.#idleReadMs > IDLE_FRESH_MS) {
      this.#idleMs = nodeTiming.idleTime;
      this.#idleReadMs = nowMs;
    }
    return this.#idleMs;
  }

  #finished({ request, response, socket }: Message): void {
    let state = (socket as MeasuredSocket)[kState];
    if (state?.request !== request) state = (request as MeasuredRequest)[kState];
    if (state?.request === request) this.#end(state, response.statusCode);
  }

  #end(state: RequestState, status: number): void {
    const { method, secure, context } = state;
    const name = routeOf(state.request!);
    this.#inFlight.remove(state);
    state.request = undefined;
    state.context = undefined;
    this.#activeRequests(method, secure).add(-1);
    const epoch = this.#control.epoch;
    const nowMs = performance.now();
    const durationMs = nowMs - state.startMs;
    const key = (method * 2 + secure) * MAX_STATUS + status;
    let route = this.#lastRoute;
    let durations = this.#lastDurations;
    if (route === undefined || durations === undefined || key !== this.#lastKey || name !== this.#lastName) {
      route = this.#route(name);
      durations = this.#durations(route, key, state, status);
      this.#lastRoute = route;
      this.#lastDurations = durations;
      this.#lastName = name;
      this.#lastKey = key;
    }
    durations.record(durationMs / MS_PER_S, epoch);
    const idleMs = this.#idleAt(nowMs) - state.idleMs;
    const loopActiveMs = Math.max(0, durationMs - idleMs);
    route.loopActive.record(loopActiveMs / MS_PER_S, epoch);
    if (context === undefined) return;
    const phases = context.phases(nowMs);
    const repeated = this.#endContext(context, route, phases, epoch);
    context.trace?.finish({
      request: context.request,
      endMs: nowMs,
      status: status === ABORTED_STATUS ? undefined : status,
      route: name,
      repeated,
      loopActiveMs,
      queries: context.queries,
      phases,
    });
  }

  #durations(route: RouteSeries, key: number, { method, secure }: RequestState, status: number): Histogram {
    let durations = route.durations.get(key);
    if (durations === undefined) {
      durations = this.#series.histogram("http.server.request.duration", {
        "http.request.method": METHODS[method] ?? "_OTHER",
        "url.scheme": secure === 1 ? "https" : "http",
        ...(status === ABORTED_STATUS ? { "error.type": "aborted" } : { "http.response.status_code": status }),
        ...(status >= SERVER_ERROR_STATUS ? { "error.type": String(status) } : {}),
        ...route.attributes,
      });
      route.durations.set(key, durations);
    }
    return durations;
  }

  /** Answers whether the request repeated a statement. */
  #endContext(context: RequestContext, route: RouteSeries, phases: Phases, epoch: number): boolean {
    const of = (phase: string) =>
      this.#series.histogram("tidemark.http.server.phase.duration", { ...route.attributes, "tidemark.phase": phase });
    route.phases ??= { db: of("db"), pool: of("db_pool"), view: of("view") };
    route.queries ??= this.#series.histogram("tidemark.db.queries_per_request", route.attributes);
    if (context.queries > 0) {
      route.phases.db.record(phases.db / MS_PER_S, epoch);
      route.phases.pool.record(phases.pool / MS_PER_S, epoch);
    }
    if (context.cached) {
      route.cachePhase ??= of("cache");
      route.cachePhase.record(phases.cache / MS_PER_S, epoch);
    }
    route.phases.view.record(phases.view / MS_PER_S, epoch);
    route.queries.record(context.queries, epoch);
    return context.queries > 0 && this.#repeated(context, route.attributes["http.route"]);
  }

  #route(name: string | undefined): RouteSeries {
    let route = this.#routes.get(name);
    if (route !== undefined) return route;
    if (this.#routes.size >= MAX_ROUTES && name !== OTHER_ROUTE) return this.#route(OTHER_ROUTE);
    const attributes = name === undefined ? {} : { "http.route": name };
    route = {
      attributes,
      durations: new Map(),
      loopActive: this.#series.histogram("tidemark.http.server.loop_active", attributes),
    };
    this.#routes.set(name, route);
    return route;
  }

  #activeRequests(method: number, secure: number): Value {
    const index = method * 2 + secure;
    let value = this.#active[index];
    if (value === undefined) {
      value = this.#series.value("http.server.active_requests", {
        "http.request.method": METHODS[method] ?? "_OTHER",
        "url.scheme": secure === 1 ? "https" : "http",
      });
      this.#active[index] = value;
    }
    return value;
  }
}

function newState(secure: number): RequestState {
  // The numbers are fractions from the start, so that they are stored in place.
  return { request: undefined, startMs: 0.5, idleMs: 0.5, method: 0, secure, context: undefined, place: 0 };
}

interface Message {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
}
