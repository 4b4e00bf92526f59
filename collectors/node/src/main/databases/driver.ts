import { type AnyFunction, type ModuleLoads, wrapMethod } from "../module-loads.ts";
import type { RequestContexts } from "../request-context.ts";
import type { Operations } from "./operations.ts";
import type { Pools } from "./pool.ts";

/** A callback whose first parameter is the error, if any. */
export type Callback = (error: unknown, ...results: unknown[]) => void;

/** What the hooks of every driver use. */
export interface DriverParts {
  readonly loads: ModuleLoads;
  readonly contexts: RequestContexts;
  readonly operations: Operations;
  readonly pools: Pools;
}

/** The callback, run in the request that gave it: drivers call from where another one's answer arrived. */
export function callbackWith(contexts: RequestContexts, callback: Callback, ended: Callback): Callback {
  const bound = contexts.bind(callback);
  return function (this: unknown, error, ...results) {
    ended(error, ...results);
    return bound.call(this, error, ...results);
  };
}

/** Tells the request each time the application calls one of these methods, which run a statement only later. */
export function tellAsked(owner: unknown, names: readonly string[], { operations }: DriverParts): void {
  for (const name of names) {
    wrapMethod(
      owner,
      name,
      (ask: AnyFunction): AnyFunction =>
        function (this: unknown, ...parameters) {
          operations.asked();
          return ask.apply(this, parameters);
        },
    );
  }
}
