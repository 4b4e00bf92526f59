import type { DashboardJson } from "./load.ts";

/** What the dashboards may use: the built-in viewer draws exactly this, and a test refuses anything else. */
export interface Subset {
  readonly panelTypes: readonly string[];
  readonly formats: readonly number[];
  readonly macros: readonly string[];
  readonly variableFormats: readonly string[];
  readonly variableTypes: readonly string[];
  readonly overrideMatchers: readonly string[];
  readonly overrideProperties: readonly string[];
  readonly units: readonly string[];
  readonly colourModes: readonly string[];
  readonly drawStyles: readonly string[];
  readonly mappingTypes: readonly string[];
}

const SUBSET: Subset = {
  panelTypes: ["row", "text", "stat", "timeseries", "bargauge", "heatmap", "xychart", "state-timeline", "table"],
  formats: [0, 1],
  macros: ["timeFilter", "timeInterval", "fromTime", "toTime", "interval_s", "conditionalAll"],
  variableFormats: ["singlequote"],
  variableTypes: ["query"],
  overrideMatchers: ["byName", "byRegexp"],
  overrideProperties: ["color", "unit", "custom.axisLabel", "custom.width", "custom.lineStyle", "mappings"],
  units: ["none", "s", "bytes", "percentunit", "reqps", "ops", "mps", "binBps", "short", "dateTimeAsLocal"],
  colourModes: ["fixed", "palette-classic", "thresholds"],
  drawStyles: ["line", "bars"],
  mappingTypes: ["value"],
};

/** The list of allowed features. */
export function verifySubset(): Subset {
  return SUBSET;
}

/** Sentences about everything in a dashboard that is outside the subset; empty when it is all inside. */
export function outsideSubset(dashboard: DashboardJson): readonly string[] {
  const faults: string[] = [];
  const check = (where: string, what: string, allowed: readonly unknown[], value: unknown): void => {
    if (value !== undefined && !allowed.includes(value))
      faults.push(`${dashboard.uid} ${where}: ${what} ${String(value)}`);
  };
  const checkSql = (where: string, sql: string): void => {
    for (const [, name] of sql.matchAll(/\$__(\w+)/g)) check(where, "macro", SUBSET.macros, name);
    for (const [, format] of sql.matchAll(/\$\{\w+:(\w+)\}/g))
      check(where, "variable format", SUBSET.variableFormats, format);
  };
  for (const panel of dashboard.panels) {
    const where = `panel ${panel.id}`;
    check(where, "panel type", SUBSET.panelTypes, panel.type);
    for (const target of panel.targets ?? []) {
      check(where, "format", SUBSET.formats, target.format);
      checkSql(where, target.rawSql);
    }
    const defaults = panel.fieldConfig?.defaults ?? {};
    check(where, "unit", SUBSET.units, defaults.unit);
    check(where, "colour mode", SUBSET.colourModes, (defaults.color as { mode?: string } | undefined)?.mode);
    check(where, "draw style", SUBSET.drawStyles, (defaults.custom as { drawStyle?: string } | undefined)?.drawStyle);
    for (const mapping of (defaults.mappings as { type: string }[] | undefined) ?? []) {
      check(where, "mapping", SUBSET.mappingTypes, mapping.type);
    }
    for (const override of panel.fieldConfig?.overrides ?? []) {
      check(where, "override matcher", SUBSET.overrideMatchers, override.matcher.id);
      for (const property of override.properties) {
        check(where, "override property", SUBSET.overrideProperties, property.id);
        if (property.id === "unit") check(where, "unit", SUBSET.units, property.value);
      }
    }
  }
  for (const variable of dashboard.templating.list) {
    check(`variable ${variable.name}`, "variable type", SUBSET.variableTypes, variable.type);
    checkSql(`variable ${variable.name}`, variable.query.rawSql);
  }
  for (const annotation of dashboard.annotations.list) {
    check(`annotation ${annotation.name}`, "format", SUBSET.formats, annotation.target.format);
    checkSql(`annotation ${annotation.name}`, annotation.target.rawSql);
  }
  return faults;
}
