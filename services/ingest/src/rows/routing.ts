import type { MetricHeader } from "../otlp/point.ts";

/** Columns of `resource_samples` that hold one number. */
export type ResourceColumn =
  | "capacity"
  | "busy"
  | "busy_max"
  | "waiting"
  | "waiting_max"
  | "stall_age"
  | "rejected"
  | "saturated_time";

/** Columns of `connection_memory` that hold one number. */
export type ConnectionColumn =
  | "connections"
  | "opened"
  | "memory_bytes"
  | "bytes_per_connection"
  | "fit_r2"
  | "fit_span";

/** Where a metric's points go: one of the subjects of the product, or the generic tables. */
export type Route =
  | { readonly to: "generic" }
  | { readonly to: "resource"; readonly column: ResourceColumn }
  | { readonly to: "resource_wait" }
  | { readonly to: "connections"; readonly column: ConnectionColumn }
  | { readonly to: "http_requests" | "request_phases" | "query_timings" };

const GENERIC: Route = { to: "generic" };

const NUMBERS: Readonly<Record<string, Route>> = {
  "tidemark.resource.capacity": { to: "resource", column: "capacity" },
  "tidemark.resource.busy": { to: "resource", column: "busy" },
  "tidemark.resource.busy.max": { to: "resource", column: "busy_max" },
  "tidemark.resource.waiting": { to: "resource", column: "waiting" },
  "tidemark.resource.waiting.max": { to: "resource", column: "waiting_max" },
  "tidemark.resource.stall_age": { to: "resource", column: "stall_age" },
  "tidemark.resource.rejected": { to: "resource", column: "rejected" },
  "tidemark.resource.saturated_time": { to: "resource", column: "saturated_time" },
  "tidemark.connections": { to: "connections", column: "connections" },
  "tidemark.connections.opened": { to: "connections", column: "opened" },
  "tidemark.connections.memory": { to: "connections", column: "memory_bytes" },
  "tidemark.memory.per_connection": { to: "connections", column: "bytes_per_connection" },
  "tidemark.memory.per_connection.fit": { to: "connections", column: "fit_r2" },
  "tidemark.memory.per_connection.span": { to: "connections", column: "fit_span" },
};

const DURATIONS: Readonly<Record<string, Route>> = {
  "tidemark.resource.wait": { to: "resource_wait" },
  "http.server.request.duration": { to: "http_requests" },
  "tidemark.http.server.phase.duration": { to: "request_phases" },
  "db.client.operation.duration": { to: "query_timings" },
};

/** A subject table takes a metric only with the kind and unit it was made for; anything else stays generic. */
export function classify({ name, kind, unit }: MetricHeader): Route {
  if (kind === "gauge" || kind === "sum") return Object.hasOwn(NUMBERS, name) ? NUMBERS[name]! : GENERIC;
  if (kind === "summary" || (unit !== "s" && unit !== "")) return GENERIC;
  return Object.hasOwn(DURATIONS, name) ? DURATIONS[name]! : GENERIC;
}
