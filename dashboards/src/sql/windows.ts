import { TIER, TIER_WITHOUT_5M } from "./fragments.ts";

/** The subjects that panels are made of, by the name of their table. */
export type Subject = "resource_samples" | "http_requests" | "request_phases" | "query_timings" | "connection_memory";

/** View over a subject's rows and rollups, and the condition that picks one of them; the condition needs `WITH_STEP`. */
export interface Windows {
  readonly view: string;
  readonly tier: string;
}

const WINDOWS: Record<Subject, Windows> = {
  resource_samples: { view: "resource_windows", tier: TIER },
  http_requests: { view: "request_windows", tier: TIER },
  request_phases: { view: "phase_windows", tier: TIER },
  query_timings: { view: "query_windows", tier: TIER },
  connection_memory: { view: "connection_windows", tier: TIER_WITHOUT_5M },
};

export function windowsOf(subject: Subject): Windows {
  return WINDOWS[subject];
}

/** `FROM` and the beginning of `WHERE` over a subject in the range; needs `WITH_STEP`. */
export function fromWindows(subject: Subject): string {
  const { view, tier } = WINDOWS[subject];
  return `FROM tidemark.${view}
  WHERE $__timeFilter(ts) AND ${tier}`;
}
