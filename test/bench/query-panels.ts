import {
  expand,
  grafanaInterval,
  loadDashboards,
  type MacroContext,
  parseInterval,
  type VariableValue,
} from "@tidemark/dashboards";

/** Width of the screen that decides how many points Grafana asks for: a panel of 24 grid units fills it, in pixels. */
const SCREEN_PX = 1880;
const GRID_WIDTH = 24;

/** What the variables are set to. */
export const VARIANTS = ["all services", "one service"] as const;

/** One panel, variable or annotation with its variables chosen: the queries a browser sends for it. */
export interface Asked {
  readonly panel: string;
  readonly name: string;
  readonly sql: readonly string[];
}

/** Every query of the bundled dashboards over one range, for each of {@link VARIANTS}; equal variables and annotations once. */
export function panelQueries(range: { readonly from: Date; readonly to: Date }, service: string): Asked[] {
  const asked = new Map<string, Asked>();
  const add = (panel: string, variant: string, sql: readonly string[]): void => {
    const key = sql.join("\n");
    if (!asked.has(key)) asked.set(key, { panel, name: `${panel} (${variant})`, sql });
  };
  for (const variant of VARIANTS) {
    const variables: Record<string, VariableValue> = variant === "one service" ? { service: [service] } : {};
    for (const dashboard of loadDashboards()) {
      const context = (width: number, interval = "1s"): MacroContext => {
        const points = Math.round((width / GRID_WIDTH) * SCREEN_PX);
        const intervalMs = grafanaInterval(range.to.getTime() - range.from.getTime(), points, parseInterval(interval));
        return { ...range, intervalMs, variables };
      };
      for (const panel of dashboard.panels) {
        const sql = (panel.targets ?? []).map((target) =>
          expand(target.rawSql, context(panel.gridPos.w, panel.interval)),
        );
        if (sql.length > 0) add(`${dashboard.uid} ${panel.id} ${panel.title}`, variant, sql);
      }
      for (const variable of dashboard.templating.list)
        add(`variable ${variable.name}`, variant, [expand(variable.query.rawSql, context(GRID_WIDTH))]);
      for (const annotation of dashboard.annotations.list)
        add(`annotation ${annotation.name}`, variant, [expand(annotation.target.rawSql, context(GRID_WIDTH))]);
    }
  }
  return [...asked.values()];
}
