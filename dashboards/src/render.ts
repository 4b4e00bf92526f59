import { stringify } from "yaml";
import { compare } from "./dashboards/compare.ts";
import { django } from "./dashboards/django.ts";
import { ingest } from "./dashboards/ingest.ts";
import { buildDashboard } from "./dashboards/layout.ts";
import { node } from "./dashboards/node.ts";
import { overview } from "./dashboards/overview.ts";
import { alertRulesFile } from "./provisioning/alert-rules.ts";
import { dashboardProviderFile } from "./provisioning/dashboard-provider.ts";
import { dataSourceFile } from "./provisioning/data-source.ts";
import { RULES } from "./rules/rules.ts";

const HEADER =
  "# Generated from dashboards/src by `npm run generate -w @tidemark/dashboards`; a test compares the two.\n";
const PROVISIONING = "infra/grafana/provisioning";

/** Every generated file: path from the repository's root -> content. Needs the foundation SDK; the package's entry does not. */
export function renderFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const spec of [overview, compare, node, django, ingest]) {
    files.set(`dashboards/grafana/${spec.uid}.json`, `${JSON.stringify(buildDashboard(spec), null, 2)}\n`);
  }
  files.set(`${PROVISIONING}/alerting/tidemark.yaml`, yaml(alertRulesFile(RULES)));
  files.set(`${PROVISIONING}/dashboards/tidemark.yaml`, yaml(dashboardProviderFile()));
  files.set(`${PROVISIONING}/datasources/tidemark.yaml`, yaml(dataSourceFile()));
  return files;
}

/** No anchors: not every reader of these files knows them. */
function yaml(content: object): string {
  return HEADER + stringify(content, { lineWidth: 0, aliasDuplicateObjects: false });
}
