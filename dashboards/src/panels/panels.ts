import * as bargauge from "@grafana/grafana-foundation-sdk/bargauge";
import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as heatmap from "@grafana/grafana-foundation-sdk/heatmap";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as statetimeline from "@grafana/grafana-foundation-sdk/statetimeline";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as text from "@grafana/grafana-foundation-sdk/text";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";
import * as xychart from "@grafana/grafana-foundation-sdk/xychart";
import { ClickHouseQuery, DATASOURCE } from "./query.ts";
import { DJANGO, NODE, OK, RUNTIME_COLOURS, type SeriesColours } from "./theme.ts";

/** Smallest bucket. Queries widen it to the export period they find in the data. */
const MIN_INTERVAL = "5s";
/** Bars: the plugin fills gaps of a panel's interval with nulls, and a bar is as wide as the smallest gap. */
const BAR_INTERVAL = "10s";
/** Lines bridge three exports of 10 s, in milliseconds. */
const SPAN_NULLS_MS = 30_000;
const SERIES_NAME = `\${__field.labels.series}`;

/** What every panel says about itself. */
export interface PanelSpec {
  readonly id: number;
  /** A question. */
  readonly title: string;
  /** How to read it and what to do. */
  readonly description: string;
  /** Grid units: 24 across. */
  readonly width: number;
  readonly height?: number;
}

export interface Threshold {
  readonly from: number;
  readonly colour: string;
}

export interface ChartSpec extends PanelSpec {
  /** Columns `time, series, value`, ordered by time. */
  readonly sql: string;
  readonly unit: string;
  readonly max?: number;
  readonly thresholds?: readonly Threshold[];
  /** Default: the runtime's hue. */
  readonly colours?: SeriesColours;
  /** Dashes of a series by regular expression on its name, in pixels: where shades alone do not tell lines apart. */
  readonly dashes?: Readonly<Record<string, readonly number[]>>;
  /** Said in place of the chart where the range has nothing of it. */
  readonly noValue?: string;
  /** `figures`: a table beside the chart with last and largest value, the largest first. */
  readonly legend?: "names" | "figures";
}

/** A panel and the space it wants; `dashboards/layout.ts` gives it a place. */
export interface Placed {
  readonly builder: Builder<dashboard.Panel>;
  readonly width: number;
  readonly height: number;
}

const DEFAULT_HEIGHT = 8;

export function lines(spec: ChartSpec): Placed {
  return place(spec, chart(spec).fillOpacity(6).lineWidth(2));
}

/** Stacked bars: parts of a whole. */
export function stackedBars(spec: ChartSpec): Placed {
  const builder = chart(spec)
    .drawStyle(common.GraphDrawStyle.Bars)
    .fillOpacity(80)
    .lineWidth(0)
    .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group("A"));
  const placed = place(spec, builder);
  builder.interval(BAR_INTERVAL);
  return placed;
}

function chart(spec: ChartSpec): timeseries.PanelBuilder {
  const builder = new timeseries.PanelBuilder()
    .unit(spec.unit)
    .min(0)
    .displayName(SERIES_NAME)
    .lineInterpolation(common.LineInterpolation.Linear)
    .showPoints(common.VisibilityMode.Never)
    .spanNulls(SPAN_NULLS_MS)
    .colorScheme(paletteColour())
    .legend(spec.legend === "figures" ? figures() : legend())
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    )
    .withTarget(new ClickHouseQuery(spec.sql, "timeseries"));
  if (spec.max !== undefined) builder.max(spec.max);
  if (spec.noValue !== undefined) builder.noValue(spec.noValue);
  if (spec.thresholds !== undefined) {
    builder
      .thresholds(steps(spec.thresholds))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  }
  for (const [regexp, colour] of Object.entries(spec.colours ?? RUNTIME_COLOURS)) {
    builder.overrideByRegexp(regexp, [{ id: "color", value: { mode: "fixed", fixedColor: colour } }]);
  }
  for (const [regexp, dash] of Object.entries(spec.dashes ?? {})) {
    builder.overrideByRegexp(regexp, [{ id: "custom.lineStyle", value: { fill: "dash", dash } }]);
  }
  return builder;
}

export interface TableSpec extends PanelSpec {
  readonly sql: string;
  /** Unit of a column by name. */
  readonly units: Readonly<Record<string, string>>;
  /** Width of a column by name, in pixels. */
  readonly widths?: Readonly<Record<string, number>>;
  readonly noValue?: string;
}

export function rows(spec: TableSpec): Placed {
  const builder = new table.PanelBuilder()
    .showHeader(true)
    .cellHeight(common.TableCellHeight.Sm)
    .noValue(spec.noValue ?? "-")
    .withTarget(new ClickHouseQuery(spec.sql, "table"));
  for (const [column, unit] of Object.entries(spec.units)) {
    builder.overrideByName(column, [{ id: "unit", value: unit }]);
  }
  for (const [column, width] of Object.entries(spec.widths ?? {})) {
    builder.overrideByName(column, [{ id: "custom.width", value: width }]);
  }
  return place(spec, builder);
}

export interface NumberSpec extends PanelSpec {
  /** One row per number: one text column (its name) and one numeric column. */
  readonly sql: string;
  readonly unit: string;
  readonly max?: number;
  readonly decimals?: number;
  readonly thresholds?: readonly Threshold[];
  readonly noValue?: string;
  /** Words in place of a number, by number. */
  readonly words?: Readonly<Record<string, string>>;
  /** One number below the other. */
  readonly stacked?: boolean;
}

export function numbers(spec: NumberSpec): Placed {
  const builder = new stat.PanelBuilder()
    .unit(spec.unit)
    .reduceOptions(everyRow())
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .textMode(common.BigValueTextMode.ValueAndName)
    .colorScheme(thresholdColour())
    .thresholds(steps(spec.thresholds ?? [{ from: 0, colour: "text" }]))
    .noValue(spec.noValue ?? "no data")
    .withTarget(new ClickHouseQuery(spec.sql, "table"));
  if (spec.decimals !== undefined) builder.decimals(spec.decimals);
  if (spec.stacked) builder.orientation(common.VizOrientation.Horizontal);
  if (spec.words !== undefined) {
    const options = Object.fromEntries(Object.entries(spec.words).map(([number, text]) => [number, { text }]));
    builder.mappings([{ type: dashboard.MappingType.ValueToText, options }]);
  }
  return place(spec, builder);
}

export function gauges(spec: NumberSpec): Placed {
  const builder = new bargauge.PanelBuilder()
    .unit(spec.unit)
    .min(0)
    .max(spec.max ?? 1)
    .orientation(common.VizOrientation.Horizontal)
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .valueMode(common.BarGaugeValueMode.Color)
    .showUnfilled(true)
    .reduceOptions(everyRow())
    .colorScheme(thresholdColour())
    .thresholds(steps(spec.thresholds ?? [{ from: 0, colour: OK }]))
    .noValue(spec.noValue ?? "no data")
    .withTarget(new ClickHouseQuery(spec.sql, "table"));
  return place(spec, builder);
}

export interface HeatmapSpec extends PanelSpec {
  /** Columns: `time`, then one count per bucket, named by its upper bound in seconds, ascending. */
  readonly sql: string;
  readonly scheme: "Greens" | "Blues";
}

export function heat(spec: HeatmapSpec): Placed {
  const builder = new heatmap.PanelBuilder()
    .calculate(false)
    .rowsFrame(new heatmap.RowsHeatmapOptionsBuilder().layout(common.HeatmapCellLayout.Le).value("waits"))
    .yAxis(new heatmap.YAxisConfigBuilder().unit("s").axisPlacement(common.AxisPlacement.Left))
    .color(
      new heatmap.HeatmapColorOptionsBuilder()
        .mode(heatmap.HeatmapColorMode.Scheme)
        .scheme(spec.scheme)
        .scale(heatmap.HeatmapColorScale.Exponential)
        .exponent(0.4)
        .steps(64)
        .reverse(false)
        .fill("dark-green"),
    )
    .cellGap(1)
    .showValue(common.VisibilityMode.Never)
    .filterValues(new heatmap.FilterValueRangeBuilder().le(1e-9))
    .showLegend()
    .withTarget(new ClickHouseQuery(spec.sql, "timeseries"));
  return place(spec, builder);
}

export interface ScatterSpec extends PanelSpec {
  /** First column x, then `node` and `django`: y where the row is of that runtime, NULL in the other column. */
  readonly sql: string;
  readonly xColumn: string;
  readonly xUnit: string;
  readonly xLabel: string;
  readonly unit: string;
  readonly yLabel: string;
}

export function scatter(spec: ScatterSpec): Placed {
  const builder = new xychart.PanelBuilder()
    .mapping(xychart.SeriesMapping.Auto)
    .series([new xychart.XYSeriesConfigBuilder()])
    .show(xychart.XYShowMode.Points)
    .pointSize({ fixed: 6 })
    .fillOpacity(60)
    .unit(spec.unit)
    .min(0)
    .axisLabel(spec.yLabel)
    .legend(legend())
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Single))
    .colorScheme(paletteColour())
    .overrideByName(spec.xColumn, [
      { id: "unit", value: spec.xUnit },
      { id: "custom.axisLabel", value: spec.xLabel },
    ])
    .overrideByName("node", [{ id: "color", value: { mode: "fixed", fixedColor: NODE.main } }])
    .overrideByName("django", [{ id: "color", value: { mode: "fixed", fixedColor: DJANGO.main } }])
    .withTarget(new ClickHouseQuery(spec.sql, "table"));
  return place(spec, builder);
}

export interface StateSpec extends PanelSpec {
  /** Columns `time, series, value` with a code as value. */
  readonly sql: string;
  /** Text and colour of each code. */
  readonly states: Readonly<Record<number, { readonly text: string; readonly color: string }>>;
}

export function states(spec: StateSpec): Placed {
  const builder = new statetimeline.PanelBuilder()
    .displayName(SERIES_NAME)
    .mappings([{ type: dashboard.MappingType.ValueToText, options: { ...spec.states } }])
    .colorScheme(thresholdColour())
    .mergeValues(true)
    .showValue(common.VisibilityMode.Auto)
    .rowHeight(0.85)
    .fillOpacity(85)
    .lineWidth(0)
    .spanNulls(SPAN_NULLS_MS)
    .legend(legend())
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Single))
    .withTarget(new ClickHouseQuery(spec.sql, "timeseries"));
  return place(spec, builder);
}

export interface NoteSpec extends PanelSpec {
  /** Markdown. */
  readonly content: string;
}

export function note(spec: NoteSpec): Placed {
  return place(spec, new text.PanelBuilder().mode(text.TextMode.Markdown).content(spec.content));
}

type AnyPanelBuilder = Builder<dashboard.Panel> & {
  id(id: number): AnyPanelBuilder;
  title(title: string): AnyPanelBuilder;
  description(text: string): AnyPanelBuilder;
  datasource(ref: common.DataSourceRef): AnyPanelBuilder;
  interval(text: string): AnyPanelBuilder;
};

function place(spec: PanelSpec, builder: AnyPanelBuilder): Placed {
  builder.id(spec.id).title(spec.title).description(spec.description).datasource(DATASOURCE).interval(MIN_INTERVAL);
  return { builder, width: spec.width, height: spec.height ?? DEFAULT_HEIGHT };
}

function legend(): common.VizLegendOptionsBuilder {
  return new common.VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(common.LegendDisplayMode.List)
    .placement(common.LegendPlacement.Bottom);
}

function figures(): common.VizLegendOptionsBuilder {
  return new common.VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(common.LegendDisplayMode.Table)
    .placement(common.LegendPlacement.Right)
    .calcs(["lastNotNull", "max"])
    .sortBy("Max")
    .sortDesc(true);
}

function everyRow(): common.ReduceDataOptionsBuilder {
  return new common.ReduceDataOptionsBuilder().values(true).calcs(["lastNotNull"]).limit(25);
}

function steps(thresholds: readonly Threshold[]): dashboard.ThresholdsConfigBuilder {
  const list: dashboard.Threshold[] = thresholds.map(({ from, colour }, index) => ({
    value: index === 0 ? null : from,
    color: colour,
  }));
  return new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(list);
}

function paletteColour(): dashboard.FieldColorBuilder {
  return new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.PaletteClassic);
}

function thresholdColour(): dashboard.FieldColorBuilder {
  return new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.Thresholds);
}
