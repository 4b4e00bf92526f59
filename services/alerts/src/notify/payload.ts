import type { Labels } from "../labels.ts";

/** What Go's zero time looks like; Alertmanager writes it for an alert that has not ended. */
const NOT_ENDED = "0001-01-01T00:00:00Z";

/** One alert as receivers see it, whatever the transport. Times in milliseconds since the epoch. */
export interface Alert {
  fingerprint: string;
  ruleId: string;
  labels: Labels;
  annotations: Labels;
  startedMs: number;
  /** Null while it fires. */
  endedMs: number | null;
  value: number | null;
  /** Where to look: the dashboard, or the panel that shows the rule's number. */
  link: string;
}

export interface WebhookAlert {
  status: "firing" | "resolved";
  labels: Labels;
  annotations: Labels;
  startsAt: string;
  endsAt: string;
  generatorURL: string;
  fingerprint: string;
  values: Record<string, number>;
  dashboardURL: string;
  panelURL: string;
}

/** Body of a webhook. Source: Alertmanager documentation, `webhook_config` version 4; the last fields of an alert are Grafana's. */
export interface WebhookBody {
  version: "4";
  groupKey: string;
  truncatedAlerts: number;
  status: "firing" | "resolved";
  receiver: string;
  groupLabels: Labels;
  commonLabels: Labels;
  commonAnnotations: Labels;
  externalURL: string;
  alerts: WebhookAlert[];
}

/** The alerts of one rule as one webhook body: `firing` as long as one of them fires. `alerts` is not empty. */
export function webhookBody(alerts: readonly Alert[], externalUrl: string): WebhookBody {
  const { ruleId, labels } = alerts[0]!;
  const groupLabels = { alertname: labels.alertname ?? "", rule_id: ruleId };
  return {
    version: "4",
    groupKey: `{}:{alertname="${groupLabels.alertname}", rule_id="${ruleId}"}`,
    truncatedAlerts: 0,
    status: alerts.some((alert) => alert.endedMs === null) ? "firing" : "resolved",
    receiver: "tidemark",
    groupLabels,
    commonLabels: common(alerts.map((alert) => alert.labels)),
    commonAnnotations: common(alerts.map((alert) => alert.annotations)),
    externalURL: externalUrl,
    alerts: alerts.map((alert) => ({
      status: alert.endedMs === null ? "firing" : "resolved",
      labels: alert.labels,
      annotations: alert.annotations,
      startsAt: new Date(alert.startedMs).toISOString(),
      endsAt: alert.endedMs === null ? NOT_ENDED : new Date(alert.endedMs).toISOString(),
      generatorURL: alert.link,
      fingerprint: alert.fingerprint,
      values: alert.value === null ? {} : { A: alert.value },
      dashboardURL: alert.link.replace(/\?.*$/, ""),
      panelURL: alert.link,
    })),
  };
}

/** Body of `POST /api/v2/alerts`. A firing alert expires at `expiresMs` unless it is sent again. Source: Alertmanager OpenAPI v2. */
export function alertmanagerBody(alerts: readonly Alert[], expiresMs: number): unknown[] {
  return alerts.map((alert) => ({
    labels: alert.labels,
    annotations: alert.annotations,
    startsAt: new Date(alert.startedMs).toISOString(),
    endsAt: new Date(alert.endedMs ?? expiresMs).toISOString(),
    ...(alert.link ? { generatorURL: alert.link } : {}),
  }));
}

function common(sets: readonly Labels[]): Labels {
  const [first = {}, ...rest] = sets;
  return Object.fromEntries(Object.entries(first).filter(([key, value]) => rest.every((set) => set[key] === value)));
}
