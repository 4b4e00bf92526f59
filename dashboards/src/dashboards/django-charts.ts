import { lines, type PanelSpec, type Placed, rows } from "../panels/panels.ts";
import { DJANGO as DJANGO_HUE, shades } from "../panels/theme.ts";
import { VARIABLE_FILTER, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, gaugeSeries, histogramSource, metricSource, type Subquery } from "../sql/series.ts";

export const DJANGO = "runtime = 'django'";
const COLOURS = shades(DJANGO_HUE);
const DASH = [6, 3];

/** SQL of an attribute's value. */
export const attribute = (name: string): string => `attributes['${name}']`;
/** SQL that names a series by its service and more. */
export const ofService = (...parts: readonly string[]): string =>
  `concat(service${parts.map((part) => `, ' ', ${part}`).join("")})`;

interface Chart extends PanelSpec {
  readonly unit: string;
  readonly noValue: string;
  /** Series to draw dashed, a regular expression. */
  readonly dashed?: string;
}

function chart({ dashed, ...spec }: Chart & { readonly sql: string; readonly max?: number }): Placed {
  if (dashed === undefined) return lines({ ...spec, colours: COLOURS });
  return lines({ ...spec, colours: { ...COLOURS, [dashed]: DJANGO_HUE.light }, dashes: { [dashed]: DASH } });
}

/** Mean of what a histogram measured. */
export function means(spec: Chart & { readonly metric: string; readonly name: string }): Placed {
  const { metric, name, ...rest } = spec;
  return chart({ ...rest, sql: meanSeries(histogramSource(metric), name) });
}

/** Means of several histograms, each under its word. */
export function meansOf(spec: Chart & { readonly metrics: Readonly<Record<string, string>> }): Placed {
  const { metrics, ...rest } = spec;
  return chart({ ...rest, sql: meanSeries(labelled(metrics, histogramSource, "count, sum"), "label") });
}

function meanSeries(from: Subquery, name: string): string {
  return aggregateSeries({ from, name, where: DJANGO, value: "sum(sum) / nullIf(sum(count), 0)" });
}

/** A gauge, added up over the processes. */
export function gauges(spec: Chart & { readonly metric: string; readonly name: string }): Placed {
  const { metric, name, ...rest } = spec;
  return chart({ ...rest, sql: gaugeOf(metricSource(metric), name) });
}

/** Gauges of each process, each under its word. */
export function gaugesOf(
  spec: Chart & { readonly metrics: Readonly<Record<string, string>>; readonly by: string },
): Placed {
  const { metrics, by, ...rest } = spec;
  return chart({ ...rest, sql: gaugeOf(labelled(metrics, metricSource, "series_id, total, n", by), "label") });
}

function gaugeOf(from: Subquery, name: string): string {
  return gaugeSeries({ from, name, where: DJANGO, key: "series_id", value: "sum(total) / sum(n)", combine: "sum" });
}

/** What was counted, for each second or each *interval* of the chart. */
export function counts(
  spec: Chart & { readonly metric: string; readonly name: string; readonly per?: "second" | "bucket" },
): Placed {
  const { metric, name, per, ...rest } = spec;
  const value = per === "bucket" ? "sum(total)" : "sum(total) / step";
  return chart({ ...rest, sql: aggregateSeries({ from: metricSource(metric), name, where: DJANGO, value }) });
}

/** Share of the first of two counters in their sum. */
export function shares(spec: Chart & { readonly part: string; readonly rest: string; readonly name: string }): Placed {
  const { part, rest, name, ...others } = spec;
  const from = labelled({ part, rest }, metricSource, "attributes, total", "''");
  const value = "sumIf(total, label = ' part') / nullIf(sum(total), 0)";
  return chart({ ...others, max: 1, sql: aggregateSeries({ from, name, where: DJANGO, value }) });
}

/** Rows of several metrics with a column `label`: what `by` names, and the word of the metric. */
function labelled(
  metrics: Readonly<Record<string, string>>,
  source: (metric: string) => Subquery,
  columns: string,
  by = "service",
): Subquery {
  const parts = Object.entries(metrics).map(
    ([word, metric]) =>
      `SELECT ts, service, runtime, instance, concat(${by}, ' ${word}') AS label, ${columns} FROM ${source(metric)}`,
  );
  return `(\n  ${parts.join("\n  UNION ALL\n  ")}\n)`;
}

/** One row for each value of an attribute: how often, mean, longest and all of a duration. */
export function durationTable(
  spec: PanelSpec & { readonly metric: string; readonly by: string; readonly noValue: string },
): Placed {
  const { metric, by, ...rest } = spec;
  return rows({
    ...rest,
    height: 9,
    units: { times: "short", mean: "s", longest: "s", together: "s" },
    widths: { service: 90, times: 55, mean: 70, longest: 70, together: 75 },
    sql: `${WITH_STEP}
SELECT toString(service) AS service, ${attribute(by)} AS name, toFloat64(sum(count)) AS times,
  toFloat64(sum(sum) / sum(count)) AS mean, toFloat64(max(max)) AS longest, toFloat64(sum(sum)) AS together
FROM ${histogramSource(metric)}
WHERE ${DJANGO} AND ${VARIABLE_FILTER}
GROUP BY service, name
HAVING sum(count) > 0
ORDER BY together DESC
LIMIT 30`,
  });
}
