export { DATASOURCE_TYPE, DATASOURCE_UID } from "./datasource.ts";
export { grafanaInterval, parseInterval } from "./interval.ts";
export {
  type AnnotationJson,
  type DashboardJson,
  loadDashboards,
  type PanelJson,
  type TargetJson,
  type VariableJson,
} from "./load.ts";
export {
  ALL,
  expand,
  expandConditionalAll,
  expandTimeMacros,
  expandVariables,
  type MacroContext,
  MacroError,
  type VariableValue,
} from "./macros.ts";
export { DASHBOARDS, PANELS } from "./panel-ids.ts";
export { type Labels, type NoDataPolicy, type Profile, type Rule, renderTemplate } from "./rules/rule.ts";
export { RULES, rulesFor } from "./rules/rules.ts";
export { BOTTLENECK_CODES, bottleneckByWindow, bottleneckSql } from "./sql/bottleneck.ts";
export { outsideSubset, type Subset, verifySubset } from "./subset.ts";
