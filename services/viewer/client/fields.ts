import type { FieldType, Frame } from "../src/frames/frame.ts";
import type { DataLink, FieldConfig, Panel, ValueMapping } from "../src/grafana/model.ts";
import { colorScale, paletteColor, resolveColor, type Theme } from "./colors.ts";
import { type Formatted, formatDateTime, formatUnit } from "./units.ts";

/** A column with everything the panel's field configuration says about it. */
export interface DisplayField {
  frame: Frame;
  refId: string;
  rawName: string;
  name: string;
  type: FieldType;
  labels: Record<string, string>;
  values: unknown[];
  config: FieldConfig;
  custom: Record<string, unknown>;
  /** Order among the panel's number columns; chooses the palette colour. */
  index: number;
  /** Colour of the whole series. */
  color: string;
}

export interface Shown {
  text: string;
  formatted: Formatted;
  /** Colour of a mapping or threshold, else of the series. */
  color: string;
  mapped: boolean;
}

/** Frames -> columns with display names, overrides and colours. Sources: Grafana, `fieldState.ts` and `fieldOverrides.ts`. */
export function displayFields(
  panel: Panel,
  frames: Frame[],
  theme: Theme,
  variable: (text: string) => string,
): DisplayField[] {
  const single = singleLabelName(frames);
  const severalNames = frames.some((frame) => frame.name !== frames[0]!.name);
  const fields: DisplayField[] = [];
  let index = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      const labels = field.labels ?? {};
      const auto = automaticName(field.name, field.type, labels, frame, single, severalNames);
      const config = structuredClone(panel.fieldConfig?.defaults ?? {});
      for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
        if (!matches(matcher, auto, field.name, field.type, frame.refId)) continue;
        for (const { id, value } of properties) setPath(config as Record<string, unknown>, id, value);
      }
      const templated = config.displayName
        ? variable(nameTemplate(config.displayName, auto, field.name, labels, frame.name))
        : "";
      // A template of labels says nothing about a column that has none, such as the time.
      const shown = templated.trim() || auto;
      const display: DisplayField = {
        frame,
        refId: frame.refId,
        rawName: field.name,
        name: shown,
        type: field.type,
        labels,
        values: field.values,
        config,
        custom: config.custom ?? {},
        index: field.type === "number" ? index++ : 0,
        color: "",
      };
      display.color = seriesColor(display, theme);
      fields.push(display);
    }
  }
  return applyLateOverrides(panel, fields, theme);
}

/** byName also matches the name that `displayName` gave. */
function applyLateOverrides(panel: Panel, fields: DisplayField[], theme: Theme): DisplayField[] {
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    if (!/^by(?:Name|Names|Regexp)$/.test(matcher.id)) continue;
    for (const field of fields) {
      if (field.name === field.rawName || !matches(matcher, field.name, field.name, field.type, field.refId)) continue;
      for (const { id, value } of properties) setPath(field.config as Record<string, unknown>, id, value);
      if (field.config.displayName && properties.some(({ id }) => id === "displayName"))
        field.name = field.config.displayName;
      field.custom = field.config.custom ?? {};
      field.color = seriesColor(field, theme);
    }
  }
  return fields;
}

function automaticName(
  name: string,
  type: FieldType,
  labels: Record<string, string>,
  frame: Frame,
  single: string | null,
  severalNames: boolean,
): string {
  const entries = Object.entries(labels);
  if (type === "time" && entries.length === 0) return name;
  const parts: string[] = [];
  const generic = name === "Value" || name === "value";
  if (severalNames && frame.name) parts.push(frame.name);
  const labelText = single ? (labels[single] ?? "") : entries.map(([key, value]) => `${key}="${value}"`).join(", ");
  if (name && !(generic && labelText)) parts.push(name);
  if (labelText) parts.push(single ? labelText : `{${labelText}}`);
  return parts.join(" ") || name || "Value";
}

function singleLabelName(frames: Frame[]): string | null {
  const names = new Set(frames.flatMap((frame) => frame.fields.flatMap((field) => Object.keys(field.labels ?? {}))));
  return names.size === 1 ? [...names][0]! : null;
}

function matches(
  matcher: { id: string; options?: unknown },
  name: string,
  rawName: string,
  type: FieldType,
  refId: string,
): boolean {
  const { id, options } = matcher;
  if (id === "byName") return options === name || options === rawName;
  if (id === "byRegexp") {
    const regex = toRegExp(String(options));
    return regex.test(name);
  }
  if (id === "byFrameRefID") return options === refId;
  if (id === "byType") return options === type;
  if (id === "byNames") {
    const { names = [], mode } = (options ?? {}) as { names?: string[]; mode?: string };
    return names.includes(name) !== (mode === "exclude");
  }
  return id === "numeric" ? type === "number" : id === "time" ? type === "time" : false;
}

/** `/expr/flags` or a bare expression. */
export function toRegExp(text: string): RegExp {
  const match = /^\/(.*)\/([a-z]*)$/s.exec(text);
  try {
    return match ? new RegExp(match[1]!, match[2]!.replace("g", "")) : new RegExp(`^${text}$`);
  } catch {
    return /(?!)/;
  }
}

function setPath(target: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.split(".");
  let at = target;
  for (const key of keys.slice(0, -1)) {
    if (typeof at[key] !== "object" || at[key] === null) at[key] = {};
    at = at[key] as Record<string, unknown>;
  }
  at[keys.at(-1)!] = value;
}

/** `${__field.labels.service}`, `${__field.name}`, `${__series.name}`, `$__field_name`. */
function nameTemplate(
  template: string,
  auto: string,
  raw: string,
  labels: Record<string, string>,
  frame: string,
): string {
  return template
    .replace(
      /\$\{__field\.labels(?:\.([\w.]+)|\["([^"]+)"\])\}/g,
      (_, dotted, quoted) => labels[dotted ?? quoted] ?? "",
    )
    .replace(/\$\{__field\.labels\}/g, () => Object.values(labels).join(", "))
    .replace(/\$\{__field\.(?:displayName|name)\}|\$__field_name/g, raw)
    .replace(/\$\{__(?:series|frame|data)\.name\}/g, frame || auto);
}

function seriesColor(field: DisplayField, theme: Theme): string {
  const { mode = "palette-classic", fixedColor } = field.config.color ?? {};
  if ((mode === "fixed" || mode === "shades") && fixedColor) return resolveColor(fixedColor, theme);
  if (mode === "thresholds") {
    const last = lastNumber(field.values);
    return thresholdColor(field.config, last ?? 0, theme);
  }
  if (mode === "palette-classic-by-name") return paletteColor(hash(field.name), theme);
  return paletteColor(field.index, theme);
}

function hash(text: string): number {
  let value = 0;
  for (const char of text) value = (value * 31 + char.codePointAt(0)!) >>> 0;
  return value;
}

export function lastNumber(values: unknown[]): number | null {
  for (let i = values.length - 1; i >= 0; i--) if (typeof values[i] === "number") return values[i] as number;
  return null;
}

/** Threshold steps as CSS colours; percentage steps are of min..max. */
export function thresholdSteps(config: FieldConfig, theme: Theme): { value: number; color: string }[] {
  const { steps = [{ value: null, color: "text" }], mode } = config.thresholds ?? {};
  const [low, high] = [config.min ?? 0, config.max ?? 100];
  return steps.map(({ value, color }) => ({
    value:
      value === null || value === undefined
        ? -Infinity
        : mode === "percentage"
          ? low + ((high - low) * value) / 100
          : value,
    color: resolveColor(color, theme),
  }));
}

export function thresholdColor(config: FieldConfig, value: number, theme: Theme): string {
  const steps = thresholdSteps(config, theme);
  return steps.findLast((step) => value >= step.value)?.color ?? steps[0]?.color ?? resolveColor("text", theme);
}

/** Text and colour of one value: mapping first, then unit and thresholds. */
export function show(field: DisplayField, value: unknown, theme: Theme): Shown {
  const mapping = findMapping(field.config.mappings ?? [], value);
  const scheme = field.config.color?.mode ?? "thresholds";
  const number = typeof value === "number" ? value : null;
  let color = field.color;
  if (scheme === "thresholds") color = thresholdColor(field.config, number ?? -Infinity, theme);
  else if (scheme.startsWith("continuous-") && number !== null) {
    const [low, high] = [field.config.min ?? 0, field.config.max ?? 1];
    color = colorScale(scheme, theme)((number - low) / (high - low || 1));
  }
  if (mapping?.color) color = resolveColor(mapping.color, theme);
  if (mapping?.text !== undefined) {
    const formatted = { prefix: "", text: mapping.text, suffix: "" };
    return { text: mapping.text, formatted, color, mapped: true };
  }
  const formatted = formatValue(field, value);
  return {
    text: formatted.prefix + formatted.text + formatted.suffix,
    formatted,
    color,
    mapped: mapping !== undefined,
  };
}

export function formatValue(field: DisplayField, value: unknown): Formatted {
  if (value === null || value === undefined) return { prefix: "", text: field.config.noValue ?? "-", suffix: "" };
  if (field.type === "time" && typeof value === "number")
    return { prefix: "", text: formatDateTime(value), suffix: "" };
  if (typeof value === "number") return formatUnit(value, field.config.unit, field.config.decimals);
  return { prefix: "", text: String(value), suffix: "" };
}

/** Result of Grafana's value, range, regex and special mappings. */
export function findMapping(mappings: ValueMapping[], value: unknown): { text?: string; color?: string } | undefined {
  for (const { type, options } of mappings) {
    const result = (options.result ?? {}) as { text?: string; color?: string };
    if (type === "value") {
      const hit = options[String(value)] as { text?: string; color?: string } | undefined;
      if (hit && value !== null) return hit;
    } else if (type === "range" && typeof value === "number") {
      const from = (options.from as number | null) ?? -Infinity;
      const to = (options.to as number | null) ?? Infinity;
      if (value >= from && value <= to) return result;
    } else if (type === "regex" && typeof value === "string") {
      const regex = toRegExp(String(options.pattern));
      if (regex.test(value))
        return result.text === undefined ? result : { ...result, text: value.replace(regex, result.text) };
    } else if (type === "special" && isSpecial(String(options.match), value)) return result;
  }
  return undefined;
}

function isSpecial(match: string, value: unknown): boolean {
  if (match === "null") return value === null || value === undefined;
  if (match === "null+nan") return value === null || value === undefined || Number.isNaN(value);
  if (match === "nan") return Number.isNaN(value);
  if (match === "empty") return value === "";
  return match === String(value);
}

/** Fills a data link's address: labels, value, time range and variables. */
export function fillLink(
  link: DataLink,
  field: DisplayField,
  row: number,
  timeRange: string,
  variable: (text: string) => string,
): string {
  const value = field.values[row];
  const time = field.frame.fields.find((candidate) => candidate.type === "time")?.values[row];
  const text = link.url
    .replace(/\$\{__field\.labels\.([\w.]+)(?::\w+)?\}/g, (_, name) => encodeURIComponent(field.labels[name] ?? ""))
    .replace(
      /\$\{__data\.fields(?:\.(\w+)|\["?([^"\]]+)"?\])(?:\.(?:text|numeric))?(?::\w+)?\}/g,
      (_, dotted, quoted) => {
        const name = dotted ?? quoted;
        const other = field.frame.fields.find((candidate, i) => candidate.name === name || String(i) === name);
        return encodeURIComponent(String(other?.values[row] ?? ""));
      },
    )
    .replace(/\$\{__value\.time\}/g, String(time ?? ""))
    .replace(/\$\{__value\.(?:raw|numeric)(?::\w+)?\}/g, encodeURIComponent(String(value ?? "")))
    .replace(/\$\{__value\.text(?::\w+)?\}/g, () => encodeURIComponent(formatValue(field, value).text))
    .replace(/\$\{__series\.name\}|\$\{__field\.name\}/g, encodeURIComponent(field.name))
    .replace(/\$\{__url_time_range\}|\$__url_time_range/g, timeRange);
  return variable(text);
}
