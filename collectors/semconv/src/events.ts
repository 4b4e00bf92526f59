import type { Event } from "./metric.ts";

/** Every event (OTLP log record with an event name) that our agents and the lab send. */
export const EVENTS: readonly Event[] = [
  {
    name: "tidemark.stall",
    attributes: [
      "tidemark.resource.kind",
      "tidemark.resource.name",
      "tidemark.stall.reason",
      "tidemark.stall.late",
      "tidemark.stall.duration",
      "tidemark.stall.ended",
      "tidemark.stall.victims",
      "tidemark.stall.victims.lost_time",
      "tidemark.stall.victims.routes",
      "tidemark.stall.victims.requests",
      "http.route",
      "code.function.name",
      "code.file.path",
      "code.line.number",
      "code.stacktrace",
    ],
    runtimes: ["node", "django"],
    brief:
      "Something stood still: route, first application frame, folded stack, reason, trace id, duration, and what it took from other requests.",
  },
  {
    name: "tidemark.db.n_plus_one",
    attributes: [
      "http.route",
      "db.query.summary",
      "tidemark.db.site",
      "tidemark.db.relation",
      "tidemark.db.repeats",
      "tidemark.db.repeats.time",
      "tidemark.db.fix",
    ],
    runtimes: ["node", "django"],
    brief: "One request ran one statement many times from one place.",
  },
  {
    name: "tidemark.finding",
    attributes: ["tidemark.finding.id", "tidemark.finding.fix"],
    runtimes: ["django"],
    brief: "A setting that is known to hurt, with its reason as body: when a process begins to serve, then each hour.",
  },
  {
    name: "tidemark.annotation",
    attributes: ["tidemark.annotation.title", "tidemark.annotation.duration"],
    runtimes: [],
    brief: "Something to mark on every chart: a load phase, a deployment. Anyone may send it.",
  },
];
