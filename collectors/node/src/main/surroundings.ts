import { performance } from "node:perf_hooks";
import { monotonicMs } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";
import type { Description } from "../shared/description.ts";
import type { Surroundings } from "./describe.ts";
import type { HttpRequests } from "./http-requests.ts";
import { routeOf } from "./http-route.ts";
import type { RequestContexts } from "./request-context.ts";

const { nodeTiming } = performance;

/** Tells what the running code belongs to; asked while it is blocked, so that it calls nothing of the application's. */
export function surroundingsOf(
  control: Control,
  requests: HttpRequests,
  contexts: RequestContexts,
  activeSpan: () => { readonly traceId: string; readonly spanId: string } | undefined,
): Surroundings {
  return () => {
    const request = contexts.enabled ? contexts.current?.request : requests.latest;
    const span = activeSpan();
    return {
      route: request === undefined ? undefined : routeOf(request, true),
      traceId: span?.traceId,
      spanId: span?.spanId,
      inFlight: requests.inFlight(request),
      sinceTick: sinceTick(control),
    };
  };
}

function sinceTick(control: Control): Description["sinceTick"] {
  const tick = control.lastTick();
  if (tick === undefined) return undefined;
  return { tickMs: tick.nowMs, activeMs: monotonicMs() - tick.nowMs - (nodeTiming.idleTime - tick.idleMs) };
}
