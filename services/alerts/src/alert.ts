import { type Rule, renderTemplate } from "@tidemark/dashboards";
import { type AlertEvent, clickhouseTime } from "./events.ts";
import { fingerprint, type Labels } from "./labels.ts";
import type { Alert } from "./notify/payload.ts";
import type { Instance, Policy, Transition } from "./state-machine.ts";

/** A rule's part that decides when it fires. */
export const policyOf = (rule: Rule): Policy => ({
  op: rule.op === "gt" ? ">" : "<",
  value: rule.threshold,
  recover: rule.recover,
  forS: rule.forSeconds,
  keepS: rule.keepFiringSeconds,
  noData: rule.noData === "ok" ? "OK" : "Alerting",
});

/**
 * One label set of a rule as receivers see it. The failure of the rule's own query is an alert named `DatasourceError`,
 * as Grafana names it, so that routes for one evaluator work for the other.
 */
export function alertOf(rule: Rule, instance: Instance, endedMs: number | null, linkBase: string): Alert {
  const failed = instance.phase === "error";
  const labels: Labels = failed
    ? { alertname: "DatasourceError", rule_id: rule.id, rulename: rule.title, severity: "warning" }
    : { ...rule.labels, ...instance.labels, alertname: rule.title, rule_id: rule.id, severity: rule.severity };
  return {
    fingerprint: fingerprint(labels),
    ruleId: rule.id,
    labels,
    annotations: failed ? failureAnnotations(rule, instance) : annotationsOf(rule, instance),
    startedMs: instance.startedMs,
    endedMs,
    value: instance.value,
    link: linkBase === "" ? "" : `${linkBase}/d/${rule.dashboard}?viewPanel=${rule.panelId}`,
  };
}

/** The row of `alert_events` for a change of state. */
export function eventOf(rule: Rule, transition: Transition): AlertEvent {
  const { instance, state, atMs } = transition;
  const labels = { ...rule.labels, ...instance.labels };
  return {
    ts: clickhouseTime(atMs),
    rule_id: rule.id,
    title: rule.title,
    severity: rule.severity,
    state,
    fingerprint: instance.fingerprint,
    service: labels.service ?? "",
    runtime: labels.runtime ?? "",
    instance: labels.instance ?? "",
    labels,
    value: instance.value,
    summary: instance.phase === "error" ? instance.message : summaryOf(rule, instance),
    started_at: clickhouseTime(instance.startedMs),
  };
}

const annotationsOf = (rule: Rule, instance: Instance): Labels => ({
  summary: summaryOf(rule, instance),
  description: [rule.annotations.cause, rule.annotations.effect, rule.annotations.action]
    .map((text) => renderTemplate(text, instance.labels, instance.value))
    .join(" "),
  runbook_url: rule.runbook,
});

const failureAnnotations = (rule: Rule, instance: Instance): Labels => ({
  summary: `The rule "${rule.title}" cannot be evaluated: ${instance.message}`,
  description: "Alerts of this rule keep their last state until its query answers again; new ones are not seen.",
  runbook_url: rule.runbook,
});

/** A template needs a row's labels; without any row there is only the rule to speak of. */
function summaryOf(rule: Rule, instance: Instance): string {
  if (instance.value === null && Object.keys(instance.labels).length === 0)
    return `${rule.title}: there are no data at all`;
  return renderTemplate(rule.annotations.summary, instance.labels, instance.value);
}
