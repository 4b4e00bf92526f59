import type { FastifyInstance } from "fastify";
import type { Database } from "../database.ts";

export interface AlertView {
  title: string;
  severity: string;
  /** pending or firing; others are not listed. */
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
const SHOWN = new Set(["firing", "pending", "error"]);

/** Alerts that pend, fire or cannot be evaluated: from the evaluator, else from the table it writes. */
export function alertRoutes(app: FastifyInstance, alertsUrl: string, database: Database): void {
  app.get("/api/alerts", async (request): Promise<AlertsReply> => {
    try {
      const response = await fetch(new URL("/api/alerts", alertsUrl), {
        signal: AbortSignal.timeout(EVALUATOR_TIMEOUT_MS),
        headers: { accept: "application/json" },
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
  return list.filter(isRecord).map(toAlert).filter((alert) => SHOWN.has(alert.state));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function toAlert(record: Record<string, unknown>): AlertView {
  const labels = isRecord(record.labels) ? record.labels : {};
  const annotations = isRecord(record.annotations) ? record.annotations : {};
  const text = (...values: unknown[]) => String(values.find((value) => typeof value === "string" && value !== "") ?? "");
  const panel = Number(record.panelId ?? record.panel_id ?? annotations.__panelId__);
  const started = text(record.startsAt, record.startedAt, record.started_at, record.since, record.ts);
  const since = Date.parse(/Z|[+-]\d\d:?\d\d$/.test(started) ? started : `${started.replace(" ", "T")}Z`);
  const value = Number(record.value);
  return {
    title: text(record.title, annotations.title, labels.alertname, record.rule_id, record.ruleId),
    severity: text(record.severity, labels.severity, "warning"),
    state: text(record.state, record.status).toLowerCase(),
    service: text(record.service, labels.service),
    runtime: text(record.runtime, labels.runtime),
    summary: text(record.summary, annotations.summary, annotations.description),
    value: record.value === null || record.value === undefined || !Number.isFinite(value) ? null : value,
    since: Number.isNaN(since) ? null : since,
    dashboardUid: text(record.dashboardUid, record.dashboard, annotations.__dashboardUid__),
    panelId: Number.isInteger(panel) && panel > 0 ? panel : null,
  };
}
