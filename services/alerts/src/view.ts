import type { Rule } from "@tidemark/dashboards";
import { alertOf } from "./alert.ts";
import type { AlertsView } from "./app.ts";
import type { Clock } from "./clock.ts";
import type { Evaluator } from "./evaluator.ts";
import type { RuleState } from "./state-machine.ts";

const MS_PER_S = 1000;
/** An evaluation ends within its query's time-out, at least 10 s: no end for this long means that the loop hangs. */
const HANG_INTERVALS = 5;
const HANG_MIN_MS = 60 * MS_PER_S;

export interface ViewOptions {
  rules: readonly Rule[];
  states: ReadonlyMap<string, RuleState>;
  clock: Clock;
  intervalS: number;
  evaluator: Evaluator;
}

/** What the HTTP side tells of the evaluator's state. */
export function viewOf({ rules, states, clock, intervalS, evaluator }: ViewOptions): AlertsView {
  const builtMs = clock.now();
  return {
    alerts: () =>
      rules.flatMap((rule) =>
        Object.values(states.get(rule.id)?.instances ?? {}).map((instance) => {
          const { labels, annotations } = alertOf(rule, instance, null, "");
          return {
            ruleId: rule.id,
            title: rule.title,
            severity: rule.severity,
            state: instance.phase === "recovering" ? "firing" : instance.phase,
            recovering: instance.phase === "recovering",
            fingerprint: instance.fingerprint,
            labels,
            value: instance.value,
            unit: rule.unit,
            threshold: rule.threshold,
            summary: annotations.summary ?? "",
            startedAt: new Date(instance.startedMs).toISOString(),
            dashboard: rule.dashboard,
            panelId: rule.panelId,
          };
        }),
      ),
    rules: () =>
      rules.map((rule) => {
        const state = states.get(rule.id);
        return {
          id: rule.id,
          title: rule.title,
          health: state?.health ?? "unknown",
          message: state?.message ?? "",
          evaluatedAt: state?.evaluatedMs ? new Date(state.evaluatedMs).toISOString() : null,
        };
      }),
    unhealthy() {
      const limitMs = Math.max(HANG_MIN_MS, HANG_INTERVALS * intervalS * MS_PER_S);
      const quietMs = clock.now() - (evaluator.lastFinishedMs ?? builtMs);
      return quietMs > limitMs ? `no evaluation has ended for ${Math.round(quietMs / MS_PER_S)} s` : undefined;
    },
    unready() {
      const failing = rules.flatMap((rule) => {
        const state = states.get(rule.id);
        return state?.health === "error" ? [state.message] : [];
      });
      if (evaluator.lastFinishedMs === null) return "no rule has been evaluated yet";
      return rules.length > 0 && failing.length === rules.length
        ? `no rule can be evaluated: ${failing[0]}`
        : undefined;
    },
  };
}
