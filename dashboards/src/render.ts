import { compare } from "./dashboards/compare.ts";
import { django } from "./dashboards/django.ts";
import { buildDashboard } from "./dashboards/layout.ts";
import { node } from "./dashboards/node.ts";
import { overview } from "./dashboards/overview.ts";

/** Every generated file: path from the repository's root -> content. Needs the foundation SDK; the package's entry does not. */
export function renderFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const spec of [overview, compare, node, django]) {
    files.set(`dashboards/grafana/${spec.uid}.json`, `${JSON.stringify(buildDashboard(spec), null, 2)}\n`);
  }
  return files;
}
