import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { Control } from "../shared/control.ts";
import type { Histogram } from "../shared/histogram.ts";
import type { Value } from "../shared/value.ts";
import type { Guard } from "./guard.ts";
import { routeOf } from "./http-route.ts";
import { RequestContext, type RequestContexts } from "./request-context.ts";
import type { SeriesTable } from "./series.ts";

const MS_PER_S = 1000;
const { nodeTiming } = performance;
/** Routes kept apart; further ones count as `_other`. */
const MAX_ROUTES = 500;
const OTHER_ROUTE = "_other";
const ABORTED_STATUS = 0;
const SERVER_ERROR_STATUS = 500;

// Source: OpenTelemetry HTTP conventions; other methods count as `_OTHER`.
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
const methodNumbers = new Map(METHODS.map((method, index) => [method, index]));
const MAX_STATUS = 1000;

const kWatched = Symbol("tidemark.watched");
const kState = Symbol("tidemark.request");

interface RequestState {
  readonly startMs: number;
  readonly idleMs: number;
  readonly method: number;
  readonly secure: number;
  readonly context: RequestContext | undefined;
  readonly request: IncomingMessage;
  done: boolean;
}
interface MeasuredSocket extends Socket {
  encrypted?: boolean;
  /** Node's own: the response that is being written, which knows its request. */
  readonly _httpMessage?: { readonly req?: MeasuredRequest } | null;
  [kWatched]?: boolean;
}
interface MeasuredRequest extends IncomingMessage {
  [kState]?: RequestState;
}
interface RouteSeries {
  readonly attributes: { readonly "http.route"?: string };
  readonly durations: Map<number, Histogram>;
  readonly loopActive: Histogram;
  phases?: { readonly db: Histogram; readonly pool: Histogram; readonly view: Histogram };
  queries?: Histogram;
}

/** What follows a request when it ends: repeated statements and so on. */
export type RequestEnd = (context: RequestContext, route: string | undefined) => void;

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
  readonly #onEnd: RequestEnd;
  #latest: RequestState | undefined;
  #onSecureClose: (this: Socket) => void = () => {};

  constructor(series: SeriesTable, control: Control, contexts: RequestContexts, onEnd: RequestEnd) {
    this.#series = series;
    this.#control = control;
    this.#contexts = contexts;
    this.#onEnd = onEnd;
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

  /** To be called when a connection closes: a request still in flight on it was aborted. */
  connectionClosed(socket: Socket): void {
    const state = (socket as MeasuredSocket)._httpMessage?.req?.[kState];
    if (state !== undefined && !state.done) this.#end(state, ABORTED_STATUS);
  }

  /** The route of the request that started last, if it is still in flight: a hint to what blocks the loop. */
  get latestRoute(): string | undefined {
    return this.#latest === undefined || this.#latest.done ? undefined : routeOf(this.#latest.request);
  }

  #started({ request, socket }: Message): void {
    const measured = socket as MeasuredSocket;
    const method = methodNumbers.get(request.method ?? "") ?? METHODS.length;
    const secure = measured.encrypted === true ? 1 : 0;
    const startMs = performance.now();
    const context = this.#contexts.enabled ? new RequestContext(request, startMs) : undefined;
    // TLS wraps the counted connection in a socket of its own.
    if (secure === 1 && measured[kWatched] !== true) {
      measured[kWatched] = true;
      measured.on("close", this.#onSecureClose);
    }
    const state: RequestState = {
      startMs,
      idleMs: nodeTiming.idleTime,
      method,
      secure,
      context,
      request,
      done: false,
    };
    (request as MeasuredRequest)[kState] = state;
    this.#latest = state;
    this.#activeRequests(method, secure).add(1);
    if (context !== undefined) this.#contexts.enter(context);
  }

  #finished({ request, response }: Message): void {
    const state = (request as MeasuredRequest)[kState];
    if (state !== undefined && !state.done) this.#end(state, response.statusCode);
  }

  #end(state: RequestState, status: number): void {
    state.done = true;
    if (this.#latest === state) this.#latest = undefined;
    this.#activeRequests(state.method, state.secure).add(-1);
    const epoch = this.#control.epoch;
    const nowMs = performance.now();
    const durationMs = nowMs - state.startMs;
    const route = this.#route(routeOf(state.request));
    const key = (state.method * 2 + state.secure) * MAX_STATUS + status;
    let durations = route.durations.get(key);
    if (durations === undefined) {
      durations = this.#series.histogram("http.server.request.duration", {
        "http.request.method": METHODS[state.method] ?? "_OTHER",
        "url.scheme": state.secure === 1 ? "https" : "http",
        ...(status === ABORTED_STATUS ? { "error.type": "aborted" } : { "http.response.status_code": status }),
        ...(status >= SERVER_ERROR_STATUS ? { "error.type": String(status) } : {}),
        ...route.attributes,
      });
      route.durations.set(key, durations);
    }
    durations.record(durationMs / MS_PER_S, epoch);
    const idleMs = nodeTiming.idleTime - state.idleMs;
    route.loopActive.record(Math.max(0, durationMs - idleMs) / MS_PER_S, epoch);
    if (state.context !== undefined) this.#endContext(state.context, route, nowMs, epoch);
  }

  #endContext(context: RequestContext, route: RouteSeries, nowMs: number, epoch: number): void {
    const name = "tidemark.http.server.phase.duration";
    route.phases ??= {
      db: this.#series.histogram(name, { ...route.attributes, "tidemark.phase": "db" }),
      pool: this.#series.histogram(name, { ...route.attributes, "tidemark.phase": "db_pool" }),
      view: this.#series.histogram(name, { ...route.attributes, "tidemark.phase": "view" }),
    };
    route.queries ??= this.#series.histogram("tidemark.db.queries_per_request", route.attributes);
    const { db, pool, view } = context.phases(nowMs);
    if (context.queries > 0) {
      route.phases.db.record(db / MS_PER_S, epoch);
      route.phases.pool.record(pool / MS_PER_S, epoch);
    }
    route.phases.view.record(view / MS_PER_S, epoch);
    route.queries.record(context.queries, epoch);
    this.#onEnd(context, route.attributes["http.route"]);
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

interface Message {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
}
