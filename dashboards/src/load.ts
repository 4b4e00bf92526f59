import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The parts of Grafana's classic dashboard JSON that these files use; see `subset.ts`. */
export interface DashboardJson {
  readonly uid: string;
  readonly title: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly time: { readonly from: string; readonly to: string };
  readonly refresh: string;
  readonly panels: readonly PanelJson[];
  readonly templating: { readonly list: readonly VariableJson[] };
  readonly annotations: { readonly list: readonly AnnotationJson[] };
  readonly links: readonly unknown[];
}

export interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  /** Smallest bucket, for example `5s`. */
  readonly interval?: string;
  readonly targets?: readonly TargetJson[];
  readonly fieldConfig?: {
    readonly defaults: Readonly<Record<string, unknown>>;
    readonly overrides: readonly {
      readonly matcher: { readonly id: string; readonly options?: unknown };
      readonly properties: readonly { readonly id: string; readonly value?: unknown }[];
    }[];
  };
  readonly options?: Readonly<Record<string, unknown>>;
  readonly pluginVersion?: string;
}

export interface TargetJson {
  readonly refId: string;
  readonly rawSql: string;
  /** 0: time series (long rows become series by their text columns). 1: table. */
  readonly format: 0 | 1;
}

export interface VariableJson {
  readonly name: string;
  readonly label?: string;
  readonly type: "query";
  readonly query: { readonly rawSql: string };
  readonly multi: boolean;
  readonly includeAll: boolean;
  readonly current: { readonly text: string; readonly value: string };
}

export interface AnnotationJson {
  readonly name: string;
  readonly enable: boolean;
  readonly iconColor: string;
  readonly target: TargetJson;
}

/**
 * The committed dashboards, as Grafana gets them.
 *
 * @throws {Error} a file is missing or is not JSON.
 */
export function loadDashboards(): readonly DashboardJson[] {
  const folder = fileURLToPath(new URL("../grafana/", import.meta.url));
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(`${folder}${name}`, "utf8")) as DashboardJson);
}
