import type { ErrorBody } from "../src/errors.ts";
import type { Dashboard } from "../src/grafana/model.ts";
import type { AlertsReply } from "../src/routes/alerts.ts";
import type { AnnotationsReply, QueryReply } from "../src/routes/view.ts";
import type { ResolvedVariable, Selection } from "../src/variables.ts";

/** An answer with an error, or none at all (`VIEWER_AWAY`). */
export class ApiError extends Error {
  readonly body: ErrorBody;
  constructor(body: ErrorBody) {
    super(body.message);
    this.body = body;
  }
}

export interface DashboardSummary {
  uid: string;
  title: string;
  description: string;
  tags: string[];
}

export interface RangeRequest {
  dashboardUid: string;
  from: number;
  to: number;
  intervalMs: number;
  vars: Selection;
}

export interface StatusReply {
  database: "ok" | "error" | "unreachable";
  message?: string;
  hint?: string;
}

export const api = {
  dashboards: () => call<DashboardSummary[]>("GET", "/api/dashboards"),
  dashboard: (uid: string) => call<Dashboard>("GET", `/api/dashboards/${encodeURIComponent(uid)}`),
  variables: (body: RangeRequest, signal: AbortSignal) =>
    call<ResolvedVariable[]>("POST", "/api/view/variables", body, signal),
  annotations: (body: RangeRequest, signal: AbortSignal) =>
    call<AnnotationsReply>("POST", "/api/view/annotations", body, signal),
  query: (body: RangeRequest & { panelId: number; refId: string; maxDataPoints: number }, signal: AbortSignal) =>
    call<QueryReply>("POST", "/api/view/query", body, signal),
  alerts: () => call<AlertsReply>("GET", "/api/alerts"),
  status: () => call<StatusReply>("GET", "/api/status"),
};

async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const hint = "Is the viewer still running? This page tries again by itself.";
    throw new ApiError({ code: "VIEWER_AWAY", message: "The viewer does not answer", hint });
  }
  const reply: unknown = await response.json().catch(() => undefined);
  if (response.ok && reply !== undefined) return reply as T;
  const fallback = {
    code: `HTTP_${response.status}`,
    message: `The viewer answered ${response.status}`,
    hint: "Reload the page.",
  };
  throw new ApiError({ ...fallback, ...(reply as Partial<ErrorBody> | undefined) });
}
