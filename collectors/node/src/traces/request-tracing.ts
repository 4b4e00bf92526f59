import type { AsyncLocalStorage } from "node:async_hooks";
import type { Context, ContextManager } from "@opentelemetry/api";
import type { RequestContext, RequestContexts, RequestTracing } from "../main/request-context.ts";
import { RequestSpan, type SpanHome } from "./request-span.ts";

type Api = typeof import("@opentelemetry/api");
type AsyncHooks = typeof import("@opentelemetry/context-async-hooks");

/**
 * Gives each request a {@link RequestSpan}, and makes it the parent of whatever the request's code does: the agent's
 * own hooks see the request start before the application does, so nothing of `node:http`'s server is patched.
 */
export class RequestSpans implements RequestTracing {
  readonly #api: Api;
  readonly #home: SpanHome;
  readonly #key: symbol;
  readonly #fields: readonly string[];

  /** After the SDK's start, which sets the propagators. */
  constructor(api: Api, home: SpanHome) {
    this.#api = api;
    this.#home = home;
    this.#key = api.createContextKey("tidemark request");
    this.#fields = api.propagation.fields();
  }

  begin(context: RequestContext): Context {
    const { ROOT_CONTEXT, context: contexts, propagation, trace } = this.#api;
    const { headers } = context.request;
    let caller = ROOT_CONTEXT;
    for (const field of this.#fields) {
      if (headers[field] === undefined) continue;
      caller = propagation.extract(ROOT_CONTEXT, headers);
      break;
    }
    const parent = caller === ROOT_CONTEXT ? undefined : trace.getSpanContext(caller);
    const span = new RequestSpan(this.#home, context.startMs, parent);
    context.trace = span;
    const entered = trace.setSpan(caller.setValue(this.#key, context), span);
    // A body's events come from the connection, where on Node 24 no request is known.
    const length = headers["content-length"];
    if ((length !== undefined && length !== "0") || headers["transfer-encoding"] !== undefined) {
      contexts.bind(entered, context.request);
    }
    return entered;
  }

  requestOf(stored: object): RequestContext | undefined {
    return (stored as Context).getValue(this.#key) as RequestContext | undefined;
  }
}

/** OpenTelemetry's context, kept where the agent keeps the request: one AsyncLocalStorage serves both. */
export function sharedContextManager(
  { ROOT_CONTEXT }: Api,
  { AsyncLocalStorageContextManager }: AsyncHooks,
  contexts: RequestContexts,
): ContextManager {
  const storage = contexts.storage as unknown as AsyncLocalStorage<Context>;
  return new (class SharedContextManager extends AsyncLocalStorageContextManager {
    override active(): Context {
      return storage.getStore() ?? ROOT_CONTEXT;
    }
    override with<A extends unknown[], F extends (...parameters: A) => ReturnType<F>>(
      entered: Context,
      body: F,
      self?: ThisParameterType<F>,
      ...parameters: A
    ): ReturnType<F> {
      return storage.run(entered, () => body.apply(self as ThisParameterType<F>, parameters));
    }
    override attach(entered: Context) {
      const before = this.active();
      storage.enterWith(entered);
      return { dispose: () => storage.enterWith(before) };
    }
    override disable(): this {
      return this; // the agent's own hooks go on using it
    }
  })();
}
