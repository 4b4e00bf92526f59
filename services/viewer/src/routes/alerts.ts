import { RULES } from "@tidemark/dashboards";
import type { FastifyInstance } from "fastify";
import type { Database } from "../database.ts";

export interface AlertView {
  title: string;
  severity: string;
  /** pending, firing, no_data or error; the others are not listed. */
  state: string;
  service: string;
  runtime: string;
  summary: string;
  value: number | null;
  /** Milliseconds since 1970. */
  since: number | null;
  dashboardUid: string;
  panelId: number | null;
}

export interface AlertsReply {
  alerts: AlertView[];
  /** `evaluator`: asked directly; `table`: read from what it last wrote; `none`: neither answered. */
  source: "evaluator" | "table" | "none";
  /** Why there is no answer. */
  error?: string;
}

const EVALUATOR_TIMEOUT_MS = 2000;
const SHOWN = new Set(["firing", "pending", "no_data", "error"]);

/** Alerts that pend, fire or cannot be evaluated: from the evaluator, else from the table it writes. */
export function alertRoutes(
  app: FastifyInstance,
  alertsUrl: string,
  token: string | undefined,
  database: Database,
): void {
  app.get("/api/alerts", async (request): Promise<AlertsReply> => {
    try {
      const response = await fetch(new URL("/api/alerts", alertsUrl), {
        signal: AbortSignal.timeout(EVALUATOR_TIMEOUT_MS),
        headers: { accept: "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
      });
      if (!response.ok) throw new Error(`the evaluator answered ${response.status}`);
      return { alerts: fromEvaluator(await response.json()), source: "evaluator" };
    } catch (error) {
      request.log.debug({ err: error }, "the alert evaluator does not answer; reading alerts_current");
    }
    try {
      const { columns, rows } = await database.query("SELECT * FROM alerts_current LIMIT 1000");
      const records = rows.map((row) => Object.fromEntries(columns.map(({ name }, i) => [name, row[i]])));
      return { alerts: fromEvaluator(records), source: "table" };
    } catch (error) {
      return { alerts: [], source: "none", error: (error as Error).message };
    }
  });
}

/** Reads the evaluator's list, or rows of `alerts_current`, whose names differ in style only. */
function fromEvaluator(body: unknown): AlertView[] {
  const list = Array.isArray(body) ? body : ((body as { alerts?: unknown } | null)?.alerts ?? []);
  if (!Array.isArray(list)) return [];
  return list
    .filter(isRecord)
    .map(toAlert)
    .filter((alert) => SHOWN.has(alert.state));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function toAlert(record: Record<string, unknown>): AlertView {
  const labels = isRecord(record.labels) ? record.labels : {};
  const text = (...values: unknown[]) =>
    String(values.find((value) => typeof value === "string" && value !== "") ?? "");
  const ruleId = text(record.ruleId, record.rule_id);
  const rule = RULES.find((candidate) => candidate.id === ruleId);
  const started = text(record.startedAt, record.started_at);
  const since = Date.parse(started.endsWith("Z") ? started : `${started.replace(" ", "T")}Z`);
  return {
    title: text(record.title, ruleId),
    severity: text(record.severity, "warning"),
    state: text(record.state),
    service: text(record.service, labels.service),
    runtime: text(record.runtime, labels.runtime),
    summary: text(record.summary),
    value: typeof record.value === "number" ? record.value : null,
    since: Number.isNaN(since) ? null : since,
    dashboardUid: text(record.dashboard, rule?.dashboard),
    panelId: typeof record.panelId === "number" ? record.panelId : (rule?.panelId ?? null),
  };
}
