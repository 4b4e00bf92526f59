import uPlot from "uplot";
import { colorScale, resolveColor, withAlpha } from "../colors.ts";
import { h } from "../dom.ts";
import type { DisplayField } from "../fields.ts";
import { timeOf } from "../series.ts";
import { formatDateTime, formatText } from "../units.ts";
import * as chart from "./chart.ts";
import type { PanelData, PanelType } from "./panel-view.ts";

interface HeatmapOptions {
  color?: {
    mode?: string;
    scheme?: string;
    fill?: string;
    exponent?: number;
    reverse?: boolean;
    min?: number | null;
    max?: number | null;
    scale?: string;
  };
  yAxis?: { unit?: string; decimals?: number | null; reverse?: boolean; axisLabel?: string };
  rowsFrame?: { layout?: string; value?: string };
  filterValues?: { le?: number | null; ge?: number | null };
  cellGap?: number;
  legend?: { show?: boolean };
  cellValues?: { unit?: string; decimals?: number | null };
}

interface Row {
  name: string;
  /** Bound of the bucket, or its place in the list when the name is no number. */
  bound: number;
  numeric: boolean;
  values: unknown[];
}

interface Cells {
  times: number[];
  rows: Row[];
  /** Typical distance of two columns, seconds. */
  step: number;
  min: number;
  max: number;
}

const LEGEND_STEPS = 24;

/** Rows of buckets over time, one cell per bucket and moment, coloured by its count. */
export const heatmap: PanelType = (body) => {
  const plotArea = h("div", { class: "plot" });
  const legendArea = h("div", { class: "heat-legend" });
  body.append(plotArea, legendArea);
  let data: PanelData;
  let cells: Cells;
  let options: HeatmapOptions;
  let plot: uPlot | undefined;

  function color(value: number): string {
    const {
      mode = "scheme",
      scheme = "Turbo",
      fill = "dark-orange",
      exponent = 0.5,
      reverse = false,
    } = options.color ?? {};
    const share = (value - cells.min) / (cells.max - cells.min || 1);
    const position = options.color?.scale === "linear" ? share : Math.max(0, share) ** exponent;
    if (mode === "opacity") return withAlpha(resolveColor(fill, data.theme), 0.08 + 0.92 * position);
    return colorScale(scheme, data.theme, reverse)(0.12 + 0.88 * position);
  }

  function isShown(value: unknown): value is number {
    const { le, ge } = options.filterValues ?? { le: 1e-9 };
    return (
      typeof value === "number" && !(typeof le === "number" && value <= le) && !(typeof ge === "number" && value >= ge)
    );
  }

  function drawCells(u: uPlot): void {
    const { ctx } = u;
    const gap = Math.max(0, (options.cellGap ?? 1) * uPlot.pxRatio);
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    cells.rows.forEach((row, r) => {
      const bottom = u.valToPos(r, "y", true);
      const top = u.valToPos(r + 1, "y", true);
      cells.times.forEach((time, i) => {
        const value = row.values[i];
        if (!isShown(value)) return;
        const left = u.valToPos(time, "x", true);
        const right = u.valToPos(time + cells.step, "x", true);
        ctx.fillStyle = color(value);
        ctx.fillRect(
          Math.round(left),
          Math.round(top),
          Math.max(1, Math.round(right) - Math.round(left) - gap),
          Math.max(1, Math.round(bottom) - Math.round(top) - gap),
        );
      });
    });
    ctx.restore();
  }

  function draw(): void {
    const { width, height } = plotArea.getBoundingClientRect();
    if (width < 10 || height < 10) return;
    plot?.destroy();
    plotArea.replaceChildren();
    const count = cells.rows.length;
    const { unit, decimals, reverse, axisLabel } = options.yAxis ?? {};
    const layout = options.rowsFrame?.layout ?? "auto";
    const edges = cells.rows[0]?.numeric && (layout === "le" || layout === "ge" || layout === "auto");
    const notes = chart.annotationHooks(() => data);
    const name = (index: number): string => {
      const row = cells.rows[edges && layout !== "ge" ? index - 1 : index];
      if (!row) return "";
      return row.numeric ? (Number.isFinite(row.bound) ? formatText(row.bound, unit, decimals) : "∞") : row.name;
    };
    const every = Math.max(1, Math.ceil((count * 15) / Math.max(40, height - 40)));
    const texts = cells.rows.map((_, i) => name(i + 1));
    const axis = chart.valueAxis(data.theme, { label: axisLabel });
    plot = new uPlot(
      {
        width,
        height,
        padding: [chart.topPadding(() => data), 20, 0, 4],
        legend: { show: false },
        cursor: { ...chart.timeCursor(() => data), points: { show: false } },
        scales: {
          x: { time: true, range: () => [data.from / 1000, data.to / 1000] },
          y: { range: () => [0, Math.max(1, count)], dir: reverse ? -1 : 1 },
        },
        axes: [
          { ...chart.timeAxis(data.theme), grid: { show: false } },
          {
            ...axis,
            grid: { show: false },
            splits: () =>
              cells.rows
                .map((_, i) => (edges ? i + (layout === "ge" ? 0 : 1) : i + 0.5))
                .filter((_, i) => i % every === 0),
            values: (_u, splits) => splits.map((split) => name(Math.floor(split))),
            size: Math.max(...texts.map((text) => text.length), 3) * 6.4 + 16 + (axisLabel ? 18 : 0),
          },
        ],
        series: [{}, { show: true, paths: () => null, points: { show: false } }],
        hooks: {
          drawClear: [notes.drawClear],
          draw: [drawCells, notes.draw],
          setSelect: [chart.zoomHook(() => data)],
          setCursor: [tooltip],
        },
      },
      [cells.times, cells.times.map(() => null)],
      plotArea,
    );
    plot.over.addEventListener("mouseleave", chart.hideTooltip);
  }

  function tooltip(u: uPlot): void {
    if (!chart.isHovered(u)) return;
    const time = u.posToVal(u.cursor.left!, "x");
    const r = Math.floor(u.posToVal(u.cursor.top!, "y"));
    const i = cells.times.findLastIndex((at) => at <= time);
    const row = cells.rows[r];
    if (!row || i === -1 || time > cells.times[i]! + cells.step) {
      chart.hideTooltip();
      return;
    }
    const value = row.values[i];
    const { unit, decimals } = options.yAxis ?? {};
    const text = (bound: number | undefined) => (bound === undefined ? "" : formatText(bound, unit, decimals));
    const below = cells.rows[r - 1]?.bound;
    const range = !row.numeric
      ? row.name
      : below === undefined
        ? `up to ${text(row.bound)}`
        : `${text(below)} to ${Number.isFinite(row.bound) ? text(row.bound) : "∞"}`;
    const what = options.rowsFrame?.value || "count";
    const shown =
      typeof value === "number"
        ? formatText(value, options.cellValues?.unit ?? "short", options.cellValues?.decimals)
        : "none";
    const rows = [
      { color: isShown(value) ? color(value) : "transparent", name: range, text: `${shown} ${what}`, strong: true },
    ];
    const millis = cells.times[i]! * 1000;
    chart.showTooltip(u, formatDateTime(millis), rows, chart.annotationsAt(data, millis));
  }

  function drawLegend(): void {
    legendArea.hidden = options.legend?.show === false || cells.max === cells.min;
    const ramp = h("div", { class: "heat-ramp", "aria-hidden": "true" });
    const stops = Array.from({ length: LEGEND_STEPS }, (_, i) =>
      color(cells.min + ((cells.max - cells.min) * i) / (LEGEND_STEPS - 1)),
    );
    ramp.style.background = `linear-gradient(90deg, ${stops.join(",")})`;
    const what = options.rowsFrame?.value ?? "";
    legendArea.replaceChildren(
      h("span", {}, formatText(cells.min, "short")),
      ramp,
      h("span", {}, `${formatText(cells.max, "short")} ${what}`),
    );
  }

  return {
    update(next) {
      data = next;
      options = (next.panel.options ?? {}) as HeatmapOptions;
      cells = toCells(next.fields, options);
      drawLegend();
      draw();
    },
    resize() {
      if (data) draw();
    },
    destroy() {
      plot?.destroy();
      chart.hideTooltip();
    },
  };
};

/** Every number column is a row; names that are numbers are sorted as bounds. Source: Grafana, `rowsToCellsHeatmap`. */
function toCells(fields: DisplayField[], options: HeatmapOptions): Cells {
  const numbers = fields.filter((field) => field.type === "number");
  const times = (numbers[0] ? (timeOf(numbers[0]) ?? []) : []).map((time) => Number(time) / 1000);
  const rows = numbers.map((field, i): Row => {
    const name = field.labels.le ?? field.name;
    const text = /^\+?inf/i.test(name) ? Infinity : Number(name);
    const numeric = name.trim() !== "" && !Number.isNaN(text);
    return { name, bound: numeric ? text : i, numeric, values: field.values };
  });
  if (rows.every((row) => row.numeric)) rows.sort((a, b) => a.bound - b.bound);
  const gaps = times
    .slice(1)
    .map((time, i) => time - times[i]!)
    .sort((a, b) => a - b);
  const shown = rows.flatMap((row) => row.values.filter((value): value is number => typeof value === "number"));
  return {
    times,
    rows,
    step: gaps[Math.floor(gaps.length / 4)] ?? 60,
    min: options.color?.min ?? Math.min(0, ...shown),
    max: options.color?.max ?? shown.reduce((a, b) => Math.max(a, b), 0),
  };
}
