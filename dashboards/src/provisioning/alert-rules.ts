import { DATASOURCE_TYPE, DATASOURCE_UID } from "../datasource.ts";
import type { Rule } from "../rules/rule.ts";

/** Not the dashboards' folder title: Grafana makes a second folder of the same title otherwise. */
const FOLDER = "Tidemark alerts";
/** Smallest interval a Grafana server allows unless configured. */
const EVALUATE_EVERY = "10s";
const EXPRESSION = "__expr__";

/**
 * The rules as a Grafana alerting provisioning file: query A answers one number per label set, threshold C judges it. No reduce step, so
 * neither the alert query's own interval nor a gap in the data can turn a healthy series into "no data".
 *
 * `execErrState` and `keepFiringFor` are the names the file parser reads (the HTTP API's differ). Macros stay unescaped: the parser
 * takes query models and annotations literally. Source: grafana `pkg/services/provisioning/alerting/rules_types.go`.
 */
export function alertRulesFile(rules: readonly Rule[]): object {
  return {
    apiVersion: 1,
    groups: [{ orgId: 1, name: "tidemark", folder: FOLDER, interval: EVALUATE_EVERY, rules: rules.map(grafanaRule) }],
  };
}

function grafanaRule(rule: Rule): object {
  const { summary, cause, effect, action } = rule.annotations;
  return {
    uid: rule.id,
    title: rule.title,
    condition: "C",
    data: [
      {
        refId: "A",
        queryType: "table",
        relativeTimeRange: { from: rule.windowSeconds, to: 0 },
        datasourceUid: DATASOURCE_UID,
        model: {
          refId: "A",
          datasource: { type: DATASOURCE_TYPE, uid: DATASOURCE_UID },
          editorType: "sql",
          queryType: "table",
          format: 1,
          rawSql: rule.sql,
        },
      },
      {
        refId: "C",
        relativeTimeRange: { from: 0, to: 0 },
        datasourceUid: EXPRESSION,
        model: {
          refId: "C",
          type: "threshold",
          datasource: { type: EXPRESSION, uid: EXPRESSION },
          expression: "A",
          conditions: [
            {
              evaluator: { type: rule.op, params: [rule.threshold] },
              unloadEvaluator: { type: rule.op === "gt" ? "lt" : "gt", params: [rule.recover] },
            },
          ],
        },
      },
    ],
    for: `${rule.forSeconds}s`,
    keepFiringFor: `${rule.keepFiringSeconds}s`,
    noDataState: rule.noData === "ok" ? "OK" : "Alerting",
    execErrState: "Error",
    dashboardUid: rule.dashboard,
    panelId: rule.panelId,
    annotations: {
      summary,
      description: `${cause} ${effect} ${action}`,
      cause,
      effect,
      action,
      runbook: rule.runbook,
      __dashboardUid__: rule.dashboard,
      __panelId__: String(rule.panelId),
    },
    labels: { severity: rule.severity, team: "tidemark", ...rule.labels },
    isPaused: false,
  };
}
