export { DASHBOARDS, PANELS } from "./panel-ids.ts";
export { type Labels, type NoDataPolicy, type Profile, type Rule, renderTemplate } from "./rules/rule.ts";
export { RULES, rulesFor } from "./rules/rules.ts";
