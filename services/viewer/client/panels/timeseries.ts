import uPlot from "uplot";
import { withAlpha } from "../colors.ts";
import { h } from "../dom.ts";
import { type DisplayField, show, thresholdSteps } from "../fields.ts";
import { type Aligned, align, type Column, stack } from "../series.ts";
import { formatDateTime } from "../units.ts";
import * as chart from "./chart.ts";
import { legend } from "./legend.ts";
import type { PanelData, PanelType } from "./panel-view.ts";

const BAR_MAX_PX = 100;
/** Faint fills below more lines than these mix to mud: the lines stand alone then. */
const MAX_FAINT_FILLS = 6;
const STRONG_FILL = 0.2;
/** In a narrower panel a legend at the right stands below. */
const LEGEND_RIGHT_MIN_PX = 520;

interface LineOptions {
  drawStyle?: string;
  lineWidth?: number;
  lineInterpolation?: string;
  showPoints?: string;
  pointSize?: number;
  lineStyle?: { fill?: string; dash?: number[] };
}

/** Lines, areas, points and bars over time, also stacked. */
export const timeseries: PanelType = (body) => {
  const plotArea = h("div", { class: "plot" });
  const legendArea = h("div", { class: "legend-area" });
  body.append(plotArea, legendArea);
  let data: PanelData;
  let plot: uPlot | undefined;
  let aligned: Aligned;
  let drawn = "";
  const hidden = new Set<string>();

  function draw(): void {
    const { width, height } = plotArea.getBoundingClientRect();
    if (width < 10 || height < 10) return;
    const visible: Aligned = {
      ...aligned,
      columns: aligned.columns.map((c, i) => (isHidden(i) ? c.map(() => undefined) : c)),
    };
    const stacked = stack(visible);
    const columns = [aligned.times, ...stacked.columns] as uPlot.AlignedData;
    const shape = aligned.fields.map(({ name, color, config }, i) => [name, color, config, isHidden(i)]);
    const now = chart.signature(data, plotArea, shape);
    // New numbers of the same series: keep the chart, and with it the crosshair and the tooltip.
    if (plot && now === drawn) {
      plot.setData(columns);
      return;
    }
    drawn = now;
    plot?.destroy();
    plotArea.replaceChildren();
    plot = new uPlot(options(width, height, stacked), columns, plotArea);
    plot.over.addEventListener("mouseleave", chart.hideTooltip);
  }

  const isHidden = (i: number) => hidden.has(aligned.fields[i]!.name);

  function options(width: number, height: number, stacked: ReturnType<typeof stack>): uPlot.Options {
    const { theme } = data;
    const scales: uPlot.Scales = { x: { time: true, range: () => [data.from / 1000, data.to / 1000] } };
    const axes: uPlot.Axis[] = [chart.timeAxis(theme)];
    const series: uPlot.Series[] = [{}];
    aligned.fields.forEach((field, i) => {
      const key = scaleKey(field);
      if (!scales[key]) {
        scales[key] = yScale(
          aligned.fields.filter((other) => scaleKey(other) === key),
          stacked.stacked,
        );
        const right =
          field.custom.axisPlacement === "right" || (axes.length > 1 && field.custom.axisPlacement !== "left");
        if (field.custom.axisPlacement !== "hidden") {
          const { unit, decimals } = field.config;
          const label = field.custom.axisLabel as string | undefined;
          axes.push(
            chart.valueAxis(theme, { scale: key, unit, decimals, label, side: right ? 1 : 3, grid: axes.length === 1 }),
          );
        }
      }
      series.push(seriesOptions(field, i, key, stacked));
    });
    const bands: uPlot.Band[] = [];
    aligned.fields.forEach((field, i) => {
      const below = stacked.below[i];
      const color = fill(field);
      if (below !== undefined && color) bands.push({ series: [i + 1, below + 1], fill: color });
      const lower = field.custom.fillBelowTo
        ? aligned.fields.findIndex((f) => f.name === field.custom.fillBelowTo)
        : -1;
      if (lower !== -1)
        bands.push({
          series: [i + 1, lower + 1],
          fill: withAlpha(field.color, Number(field.custom.fillOpacity ?? 20) / 100),
        });
    });
    const notes = chart.annotationHooks(() => data);
    return {
      width,
      height,
      padding: [chart.topPadding(() => data), 20, 0, 4],
      legend: { show: false },
      cursor: chart.timeCursor(() => data),
      scales,
      axes,
      series,
      bands,
      hooks: {
        drawClear: [notes.drawClear, drawThresholdAreas],
        draw: [notes.draw, drawThresholdLines],
        setSelect: [chart.zoomHook(() => data)],
        setCursor: [tooltip],
      },
    };
  }

  function seriesOptions(
    field: DisplayField,
    i: number,
    scale: string,
    stacked: ReturnType<typeof stack>,
  ): uPlot.Series {
    const {
      drawStyle = "line",
      lineWidth = 1,
      lineInterpolation = "linear",
      showPoints = "auto",
      pointSize = 5,
      lineStyle,
    } = field.custom as LineOptions;
    const bars = drawStyle === "bars";
    const dash = lineStyle?.fill === "dash";
    const below = stacked.below[i];
    const color = fill(field);
    return {
      scale,
      show: !isHidden(i),
      stroke: drawStyle === "points" ? undefined : field.color,
      width: drawStyle === "points" ? 0 : bars ? Math.min(1, Number(lineWidth)) : Math.max(1.25, Number(lineWidth)),
      ...(color && (below === undefined || bars) ? { fill: color } : {}),
      ...(dash ? { dash: lineStyle?.dash ?? [8, 6] } : {}),
      spanGaps: false,
      paths: pathsOf(drawStyle, lineInterpolation),
      points: {
        show:
          drawStyle === "points" || showPoints === "always"
            ? true
            : bars || showPoints === "never"
              ? false
              : lonely(aligned.columns[i]!),
        size: Number(pointSize),
        fill: field.color,
        stroke: field.color,
      },
    } as uPlot.Series;
  }

  function fill(field: DisplayField): string | undefined {
    const opacity = Number(field.custom.fillOpacity ?? 0) / 100;
    const muddy = opacity < STRONG_FILL && data.fields.length > MAX_FAINT_FILLS;
    if (opacity === 0 || muddy) return undefined;
    return withAlpha(field.color, opacity);
  }

  function yScale(fields: DisplayField[], stackedAny: boolean): uPlot.Scale {
    const config = fields[0]!.config;
    const distribution = fields[0]!.custom.scaleDistribution as { type?: string; log?: number } | undefined;
    if (distribution?.type === "log") {
      return {
        distr: 3,
        log: distribution.log === 2 ? 2 : 10,
        range: (_u, low, high) => logRange(low, high, config.min, config.max),
      };
    }
    const softMin = fields[0]!.custom.axisSoftMin as number | undefined;
    const softMax = fields[0]!.custom.axisSoftMax as number | undefined;
    return {
      range: (_u, low, high) => {
        let bottom = Math.min(low ?? 0, softMin ?? Infinity);
        let top = Math.max(high ?? 1, softMax ?? -Infinity);
        if (stackedAny || fields.some((field) => field.custom.drawStyle === "bars")) bottom = Math.min(0, bottom);
        if (bottom === top) top = bottom === 0 ? 1 : bottom + Math.abs(bottom) * 0.5;
        const span = top - bottom;
        if (bottom > 0 && bottom < span) bottom = 0;
        const [nice0, nice1] = uPlot.rangeNum(bottom, top, {
          min: { pad: 0.05, soft: 0, mode: 3 },
          max: { pad: 0.08, soft: 0, mode: 3 },
        });
        return [config.min ?? nice0, config.max ?? nice1];
      },
    };
  }

  function drawThresholdAreas(u: uPlot): void {
    eachThreshold(u, "area", (color, from, to) => {
      u.ctx.fillStyle = withAlpha(color, 0.08);
      u.ctx.fillRect(u.bbox.left, to, u.bbox.width, from - to);
    });
  }

  function drawThresholdLines(u: uPlot): void {
    eachThreshold(u, "line", (color, y, _to, dashed) => {
      const ratio = uPlot.pxRatio;
      u.ctx.save();
      u.ctx.strokeStyle = withAlpha(color, 0.8);
      u.ctx.lineWidth = ratio;
      if (dashed) u.ctx.setLineDash([6 * ratio, 5 * ratio]);
      u.ctx.beginPath();
      u.ctx.moveTo(u.bbox.left, y);
      u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
      u.ctx.stroke();
      u.ctx.restore();
    });
  }

  function eachThreshold(
    u: uPlot,
    kind: "area" | "line",
    draw: (color: string, y: number, next: number, dashed: boolean) => void,
  ): void {
    const done = new Set<string>();
    for (const field of aligned.fields) {
      const { mode = "off" } = (field.custom.thresholdsStyle ?? {}) as { mode?: string };
      const key = scaleKey(field);
      if (!mode.includes(kind === "line" && mode.includes("dashed") ? "dashed" : kind) || done.has(key)) continue;
      done.add(key);
      const { top, height } = u.bbox;
      const scale = u.scales[key]!;
      const steps = thresholdSteps(field.config, data.theme);
      steps.forEach(({ value, color }, i) => {
        if (kind === "line" && (value === -Infinity || value < scale.min! || value > scale.max!)) return;
        const y = (v: number) => Math.min(top + height, Math.max(top, u.valToPos(v, key, true)));
        const from = value === -Infinity ? top + height : y(value);
        const next = steps[i + 1] ? y(steps[i + 1]!.value) : top;
        draw(color, from, next, mode.includes("dashed"));
      });
    }
  }

  function tooltip(u: uPlot): void {
    const mode = (data.panel.options?.tooltip as { mode?: string; sort?: string } | undefined) ?? {};
    if (!chart.isHovered(u)) return;
    const idx = u.cursor.idx;
    if (idx === null || idx === undefined || mode.mode === "none") {
      chart.hideTooltip();
      return;
    }
    const rows = aligned.fields.flatMap((field, i) => {
      const value = aligned.columns[i]![idx];
      if (typeof value !== "number" || isHidden(i)) return [];
      const y = u.valToPos(u.data[i + 1]![idx] as number, scaleKey(field));
      return [
        {
          color: field.color,
          name: field.name,
          text: show(field, value, data.theme).text,
          value,
          distance: Math.abs(y - (u.cursor.top ?? 0)),
        },
      ];
    });
    if (mode.sort === "desc") rows.sort((a, b) => b.value - a.value);
    if (mode.sort === "asc") rows.sort((a, b) => a.value - b.value);
    const nearest = rows.reduce<(typeof rows)[number] | undefined>(
      (best, row) => (best && best.distance <= row.distance ? best : row),
      undefined,
    );
    const shown =
      mode.mode === "multi"
        ? rows.map((row) => ({ ...row, strong: row === nearest && rows.length > 1 }))
        : nearest
          ? [nearest]
          : [];
    const millis = (u.data[0]![idx] as number) * 1000;
    chart.showTooltip(u, formatDateTime(millis), shown, chart.annotationsAt(data, millis));
  }

  return {
    update(next) {
      data = next;
      aligned = align(next.fields);
      const items = aligned.fields.map((field) => ({ field, hidden: hidden.has(field.name) }));
      const placement = legend(legendArea, items, next, (name, many) => {
        toggle(
          hidden,
          aligned.fields.map((field) => field.name),
          name,
          many,
        );
        this.update(data);
      });
      body.classList.toggle("legend-right", placement === "right" && body.clientWidth >= LEGEND_RIGHT_MIN_PX);
      draw();
    },
    resize() {
      const { width, height } = plotArea.getBoundingClientRect();
      if (!plot && data) draw();
      else if (width > 10 && height > 10) plot?.setSize({ width, height });
    },
    destroy() {
      plot?.destroy();
      chart.hideTooltip();
    },
  };
};

/** A click shows one series alone, and all again when it is alone; with Ctrl it adds or removes one. */
function toggle(hidden: Set<string>, names: string[], name: string, many: boolean): void {
  if (many) {
    if (!hidden.delete(name)) hidden.add(name);
    return;
  }
  const alone = !hidden.has(name) && names.every((other) => other === name || hidden.has(other));
  hidden.clear();
  if (!alone) for (const other of names) if (other !== name) hidden.add(other);
}

function scaleKey(field: DisplayField): string {
  return `y:${field.config.unit ?? ""}:${field.custom.axisPlacement === "right" ? "right" : ""}`;
}

/** Lines break at gaps, so a point between two gaps would not show: draw points where that happens. */
function lonely(column: Column): boolean {
  const points = column.filter((value) => typeof value === "number").length;
  if (points <= 1) return true;
  let joined = 0;
  let last: number | null | undefined = null;
  for (const value of column) {
    if (value === undefined) continue;
    if (typeof value === "number" && typeof last === "number") joined++;
    last = value;
  }
  return joined < points / 3;
}

function pathsOf(style: string, interpolation: string): uPlot.Series.PathBuilder {
  if (style === "bars") return uPlot.paths.bars!({ size: [0.85, BAR_MAX_PX], gap: 1 });
  if (style === "points") return uPlot.paths.points!() as uPlot.Series.PathBuilder;
  if (interpolation === "smooth") return uPlot.paths.spline!();
  if (interpolation === "stepBefore") return uPlot.paths.stepped!({ align: -1 });
  if (interpolation === "stepAfter") return uPlot.paths.stepped!({ align: 1 });
  return uPlot.paths.linear!();
}

export function logRange(
  low: number | null,
  high: number | null,
  min?: number | null,
  max?: number | null,
): [number, number] {
  const bottom = min && min > 0 ? min : low && low > 0 ? 10 ** Math.floor(Math.log10(low)) : 0.001;
  const top = max && max > 0 ? max : high && high > 0 ? 10 ** Math.ceil(Math.log10(high)) : 1;
  return [bottom, Math.max(top, bottom * 10)];
}
