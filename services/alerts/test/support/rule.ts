import type { Rule } from "@tidemark/dashboards";

/** A rule whose query the stand-in for ClickHouse knows by `id`. */
export const rule = (id: string, change: Partial<Rule> = {}): Rule => ({
  id,
  title: `The rule ${id}`,
  sql: `SELECT service, value FROM ${id} WHERE $__timeFilter(ts)`,
  windowSeconds: 60,
  op: "gt",
  threshold: 10,
  recover: 5,
  unit: "s",
  forSeconds: 20,
  keepFiringSeconds: 0,
  severity: "warning",
  noData: "ok",
  labels: { kind: "event_loop" },
  annotations: {
    summary: "{{ $labels.service }} is at {{ $values.A.Value }}",
    cause: "Cause.",
    effect: "Effect.",
    action: "Action.",
  },
  runbook: "docs/runbook.md#rule",
  dashboard: "tidemark-node",
  panelId: 7,
  ...change,
});
