/**
 * The part of Grafana's classic dashboard JSON (schemaVersion 42) that the viewer reads. Everything is optional that
 * Grafana leaves out when it is the default. Shared by the server and the browser; types only.
 */
export interface Dashboard {
  uid: string;
  title: string;
  description?: string;
  tags?: string[];
  timezone?: string;
  refresh?: string;
  time?: { from: string; to: string };
  /** 0: no shared cursor, 1: shared crosshair, 2: shared crosshair and tooltip. */
  graphTooltip?: number;
  templating?: { list?: Variable[] };
  annotations?: { list?: AnnotationQuery[] };
  links?: DashboardLink[];
  panels?: Panel[];
}

export interface Target {
  refId: string;
  rawSql?: string;
  /** 0: time series (long to wide), 1: table. */
  format?: number;
  queryType?: string;
  hide?: boolean;
}

export interface Variable {
  name: string;
  label?: string;
  description?: string;
  /** query, custom, constant, textbox, interval, datasource, adhoc. */
  type: string;
  /** 0: shown, 1: without label, 2: hidden. */
  hide?: number;
  query?: string | { rawSql?: string; refId?: string };
  definition?: string;
  regex?: string;
  sort?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  current?: { text?: string | string[]; value?: string | string[] };
  options?: VariableOption[];
}

export interface VariableOption {
  text: string;
  value: string;
}

export interface AnnotationQuery {
  name: string;
  enable?: boolean;
  hide?: boolean;
  iconColor?: string;
  builtIn?: number;
  /** The plugin's own query (rawSql) lives in `target` or, as the plugin's older versions write it, on the entry itself. */
  target?: { rawSql?: string; format?: number };
  rawSql?: string;
  mappings?: Record<string, { source?: string; value?: string }>;
}

export interface DashboardLink {
  title: string;
  type?: string;
  url?: string;
  tags?: string[];
  tooltip?: string;
  icon?: string;
  asDropdown?: boolean;
  includeVars?: boolean;
  keepTime?: boolean;
  targetBlank?: boolean;
}

export interface DataLink {
  title: string;
  url: string;
  targetBlank?: boolean;
}

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Panel {
  id: number;
  type: string;
  title?: string;
  description?: string;
  gridPos?: GridPos;
  transparent?: boolean;
  targets?: Target[];
  fieldConfig?: { defaults?: FieldConfig; overrides?: FieldOverride[] };
  options?: Record<string, unknown>;
  interval?: string | null;
  maxDataPoints?: number | null;
  links?: DashboardLink[];
  repeat?: string;
  repeatDirection?: string;
  maxPerRow?: number;
  collapsed?: boolean;
  panels?: Panel[];
  transformations?: unknown[];
}

export interface FieldConfig {
  displayName?: string;
  unit?: string;
  decimals?: number | null;
  min?: number | null;
  max?: number | null;
  noValue?: string;
  color?: { mode?: string; fixedColor?: string; seriesBy?: string };
  thresholds?: { mode?: string; steps?: { value: number | null; color: string }[] };
  mappings?: ValueMapping[];
  links?: DataLink[];
  custom?: Record<string, unknown>;
}

export interface ValueMapping {
  /** value, range, regex, special. */
  type: string;
  options: Record<string, unknown>;
}

export interface FieldOverride {
  matcher: { id: string; options?: unknown };
  properties: { id: string; value?: unknown }[];
}
