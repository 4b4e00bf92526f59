import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import type { Placed } from "../panels/panels.ts";
import { ClickHouseQuery, DATASOURCE } from "../panels/query.ts";
import { CRITICAL, NEUTRAL } from "../panels/theme.ts";
import { ALERT_ANNOTATIONS, PHASE_ANNOTATIONS } from "../sql/annotations.ts";

/** Grafana version whose panel models these are; without it xychart migrates its series away. */
const PANEL_MODEL_VERSION = "12.4.0";
const GRID_WIDTH = 24;
const TAG = "tidemark";

export interface RowSpec {
  readonly id: number;
  readonly title: string;
  readonly panels: readonly Placed[];
}

export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly RowSpec[];
}

/** The dashboard as Grafana stores it (classic JSON). */
export function buildDashboard(spec: DashboardSpec): Dashboard {
  const builder = new DashboardBuilder(spec.title)
    .uid(spec.uid)
    .description(spec.description)
    .tags([TAG])
    .timezone("browser")
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: "now-15m", to: "now" })
    .refresh("5s")
    .readonly()
    .variables(variables())
    .annotations(annotations())
    .link(
      new DashboardLinkBuilder("Tidemark")
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(false)
        .keepTime(true)
        .includeVars(true),
    );
  const dashboard = builder.build();
  dashboard.panels = spec.rows.flatMap(withPlaces());
  // The SDK's default would hide links and annotation switches in a menu.
  for (const control of [...(dashboard.links ?? []), ...(dashboard.annotations?.list ?? [])]) delete control.placement;
  return dashboard;
}

/** Places rows one below the other and panels from left to right, in lines of 24 units. */
function withPlaces(): (row: RowSpec) => NonNullable<Dashboard["panels"]> {
  let y = 0;
  return (row) => {
    const header = new RowBuilder(row.title).id(row.id).gridPos({ x: 0, y, w: GRID_WIDTH, h: 1 }).build();
    y += 1;
    const panels: Panel[] = [];
    let x = 0;
    let lineHeight = 0;
    for (const { builder, width, height } of row.panels) {
      if (x + width > GRID_WIDTH) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      panels.push({ ...builder.build(), gridPos: { x, y, w: width, h: height }, pluginVersion: PANEL_MODEL_VERSION });
      x += width;
      lineHeight = Math.max(lineHeight, height);
    }
    y += lineHeight;
    return [header, ...panels];
  };
}

/** Windows of 5 minutes that reach into the range; a new process is in its window as soon as its first export is stored. */
const RANGE = "ts > $__fromTime - 300 AND ts <= $__toTime";
const OF_RUNTIME = `$__conditionalAll(runtime IN (\${runtime:singlequote}), $runtime)`;
const OF_SERVICE = `$__conditionalAll(service IN (\${service:singlequote}), $service)`;

function variables(): QueryVariableBuilder[] {
  return [
    variable("runtime", "Runtime", RANGE),
    variable("service", "Service", `${RANGE} AND ${OF_RUNTIME}`),
    variable("instance", "Process", `${RANGE} AND ${OF_RUNTIME} AND ${OF_SERVICE}`),
  ];
}

/** Without a `current` value the first load would run with empty variables. */
function variable(name: string, label: string, where: string): QueryVariableBuilder {
  const rawSql = `SELECT DISTINCT ${name} FROM tidemark.resource_samples_5m WHERE ${where} ORDER BY ${name}`;
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(DATASOURCE)
    .query({ refId: `variable-${name}`, editorType: "sql", queryType: "table", format: 1, rawSql })
    .definition(rawSql)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .current({ selected: true, text: "All", value: "$__all" });
}

function annotations(): AnnotationQueryBuilder[] {
  return [
    annotation("Phases and deployments", NEUTRAL, PHASE_ANNOTATIONS),
    annotation("Firing alerts", CRITICAL, ALERT_ANNOTATIONS),
  ];
}

function annotation(name: string, colour: string, sql: string): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor(colour)
    .target(new ClickHouseQuery(sql, "table", "Anno"));
}
