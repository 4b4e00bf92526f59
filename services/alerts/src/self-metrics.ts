import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What the evaluator says about itself on `/metrics`. */
export interface SelfMetrics {
  registry: Registry;
  evaluations: Counter<"rule" | "result">;
  evaluationSeconds: Histogram<"rule">;
  instances: Gauge<"rule" | "phase">;
  notifications: Counter<"target" | "outcome">;
  queued: Gauge<"target">;
  eventsStored: Counter;
  eventsDropped: Counter;
  eventsQueued: Gauge;
}

const EVALUATION_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function buildSelfMetrics(): SelfMetrics {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    evaluations: new Counter({
      name: "tidemark_alerts_evaluations_total",
      help: "Evaluations of a rule, by result: ok, no_data, error.",
      labelNames: ["rule", "result"],
      registers,
    }),
    evaluationSeconds: new Histogram({
      name: "tidemark_alerts_evaluation_duration_seconds",
      help: "Time from the start of a rule's query to its new state.",
      labelNames: ["rule"],
      buckets: EVALUATION_BUCKETS_S,
      registers,
    }),
    instances: new Gauge({
      name: "tidemark_alerts_instances",
      help: "Label sets that are not calm, by rule and phase.",
      labelNames: ["rule", "phase"],
      registers,
    }),
    notifications: new Counter({
      name: "tidemark_alerts_notifications_total",
      help: "Messages by outcome: delivered, retried, refused (the target says no for good), dropped (queue full).",
      labelNames: ["target", "outcome"],
      registers,
    }),
    queued: new Gauge({
      name: "tidemark_alerts_notifications_queued",
      help: "Messages waiting for a target.",
      labelNames: ["target"],
      registers,
    }),
    eventsStored: new Counter({
      name: "tidemark_alerts_events_stored_total",
      help: "Rows of alert_events that ClickHouse has taken.",
      registers,
    }),
    eventsDropped: new Counter({
      name: "tidemark_alerts_events_dropped_total",
      help: "Rows of alert_events given up because ClickHouse was away for too long.",
      registers,
    }),
    eventsQueued: new Gauge({
      name: "tidemark_alerts_events_queued",
      help: "Rows of alert_events waiting for ClickHouse.",
      registers,
    }),
  };
}
