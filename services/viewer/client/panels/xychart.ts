import uPlot from "uplot";
import { withAlpha } from "../colors.ts";
import { h } from "../dom.ts";
import { type DisplayField, show } from "../fields.ts";
import * as chart from "./chart.ts";
import { legend } from "./legend.ts";
import type { PanelData, PanelType } from "./panel-view.ts";
import { logRange } from "./timeseries.ts";

interface Matcher {
  matcher?: { id?: string; options?: unknown };
}

interface ManualSeries {
  name?: { fixed?: string };
  frame?: Matcher;
  x?: Matcher;
  y?: Matcher;
}

interface Points {
  name: string;
  x: DisplayField;
  y: DisplayField;
  color: string;
}

const HIT_PX = 14;

/** One quantity against another: points, or lines through them in the order of the rows. */
export const xychart: PanelType = (body) => {
  const plotArea = h("div", { class: "plot" });
  const legendArea = h("div", { class: "legend-area" });
  body.append(plotArea, legendArea);
  let data: PanelData;
  let series: Points[] = [];
  let plot: uPlot | undefined;
  const hidden = new Set<string>();

  const shownSeries = () => series.filter(({ name }) => !hidden.has(name));

  function draw(): void {
    plot?.destroy();
    plotArea.replaceChildren();
    const { width, height } = plotArea.getBoundingClientRect();
    const first = series[0];
    if (width < 10 || height < 10 || !first) return;
    const scale = (pick: (points: Points) => DisplayField) => {
      const { config, custom } = pick(first);
      const values = shownSeries().flatMap((points) =>
        pick(points).values.filter((value): value is number => typeof value === "number"),
      );
      const low = values.reduce((a, b) => Math.min(a, b), Infinity);
      const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
      if ((custom.scaleDistribution as { type?: string } | undefined)?.type === "log") {
        return {
          distr: 3 as const,
          time: false,
          range: () => logRange(low, high, config.min, config.max) as uPlot.Range.MinMax,
        };
      }
      const [bottom, top] = Number.isFinite(low) ? [low, high] : [0, 1];
      const [nice0, nice1] = uPlot.rangeNum(bottom, top === bottom ? bottom + 1 : top, {
        min: { pad: 0.08, soft: 0, mode: 3 },
        max: { pad: 0.08, soft: 0, mode: 3 },
      });
      return { time: false, range: () => [config.min ?? nice0, config.max ?? nice1] as uPlot.Range.MinMax };
    };
    const label = (field: DisplayField, fallback: string) => (field.custom.axisLabel as string | undefined) || fallback;
    const xAxis = chart.valueAxis(data.theme, {
      scale: "x",
      side: 2,
      unit: first.x.config.unit,
      decimals: first.x.config.decimals,
    });
    plot = new uPlot(
      {
        mode: 2,
        width,
        height,
        padding: [10, 16, 0, 4],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { show: false }, bind: { dblclick: () => null } },
        scales: { x: scale((points) => points.x), y: scale((points) => points.y) },
        axes: [
          {
            ...xAxis,
            size: 28,
            space: 64,
            label: label(first.x, seriesName(first.x, first.x.frame.name)),
            labelSize: 18,
            labelGap: 0,
            labelFont: xAxis.font!,
          },
          chart.valueAxis(data.theme, {
            unit: first.y.config.unit,
            decimals: first.y.config.decimals,
            label: label(first.y, "") || undefined,
          }),
        ],
        series: [
          {},
          ...series.map(
            (points): uPlot.Series => ({
              facets: [
                { scale: "x", auto: false },
                { scale: "y", auto: false },
              ],
              stroke: points.color,
              show: !hidden.has(points.name),
              paths: paint(points),
            }),
          ),
        ] as uPlot.Series[],
        hooks: { setCursor: [tooltip] },
      },
      [null, ...series.map(({ x, y }) => [x.values, y.values])] as unknown as uPlot.AlignedData,
      plotArea,
    );
    plot.over.addEventListener("mouseleave", chart.hideTooltip);
  }

  function paint({ x, y, color }: Points): uPlot.Series.PathBuilder {
    const {
      show: mode = "points",
      pointSize,
      fillOpacity = 50,
      lineWidth = 1.5,
    } = y.custom as { show?: string; pointSize?: { fixed?: number }; fillOpacity?: number; lineWidth?: number };
    return (u) => {
      const { ctx } = u;
      const radius = ((pointSize?.fixed ?? 5) / 2) * uPlot.pxRatio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      ctx.clip();
      ctx.fillStyle = withAlpha(color, Math.max(0.25, fillOpacity / 100));
      ctx.strokeStyle = color;
      ctx.lineWidth = uPlot.pxRatio;
      const line = new Path2D();
      let pen = false;
      for (let row = 0; row < x.values.length; row++) {
        const [vx, vy] = [x.values[row], y.values[row]];
        if (typeof vx !== "number" || typeof vy !== "number") {
          pen = false;
          continue;
        }
        const px = u.valToPos(vx, "x", true);
        const py = u.valToPos(vy, "y", true);
        if (pen) line.lineTo(px, py);
        else line.moveTo(px, py);
        pen = true;
        if (mode === "lines") continue;
        ctx.beginPath();
        ctx.arc(px, py, radius, 0, 2 * Math.PI);
        ctx.fill();
        ctx.stroke();
      }
      if (mode !== "points") {
        ctx.lineWidth = lineWidth * uPlot.pxRatio;
        ctx.stroke(line);
      }
      ctx.restore();
      return null;
    };
  }

  function tooltip(u: uPlot): void {
    if (!chart.isHovered(u)) return;
    let best: { points: Points; row: number; distance: number } | undefined;
    for (const points of shownSeries()) {
      for (let row = 0; row < points.x.values.length; row++) {
        const [vx, vy] = [points.x.values[row], points.y.values[row]];
        if (typeof vx !== "number" || typeof vy !== "number") continue;
        const distance = Math.hypot(u.valToPos(vx, "x") - u.cursor.left!, u.valToPos(vy, "y") - u.cursor.top!);
        if (distance <= HIT_PX && (!best || distance < best.distance)) best = { points, row, distance };
      }
    }
    if (!best) {
      chart.hideTooltip();
      return;
    }
    const { points, row } = best;
    const rest = data.fields.filter(
      (field) =>
        field.frame === points.x.frame &&
        field !== points.x &&
        field !== points.y &&
        (field.type === "time" || field.type === "string"),
    );
    const lines = [points.x, points.y, ...rest].map((field) => ({
      color: field === points.y ? points.color : "transparent",
      name: (field === points.y && (field.custom.axisLabel as string)) || field.name,
      text: show(field, field.values[row], data.theme).text,
    }));
    chart.showTooltip(u, points.name, lines);
  }

  return {
    update(next) {
      data = next;
      series = pointsOf(next);
      const items = series.map(({ name, y, color }) => ({ field: { ...y, name, color }, hidden: hidden.has(name) }));
      const placement = legend(legendArea, items, next, (name) => {
        if (!hidden.delete(name)) hidden.add(name);
        this.update(data);
      });
      body.classList.toggle("legend-right", placement === "right");
      if (series.length === 0) {
        plot?.destroy();
        plotArea.replaceChildren(
          h("div", { class: "message" }, "This result has no two number columns to draw against each other"),
        );
      } else draw();
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

/** Auto: in each frame the first number column is x, each further one a series. Manual: as the options say. */
function pointsOf(data: PanelData): Points[] {
  const options = (data.panel.options ?? {}) as { mapping?: string; series?: ManualSeries[] };
  const result: Points[] = [];
  const manual = options.mapping === "manual" ? (options.series ?? []) : [{}];
  for (const wanted of manual) {
    data.frames.forEach((frame, index) => {
      if (!takesFrame(wanted.frame, index, frame.refId)) return;
      const numbers = data.fields.filter(
        (field) => field.frame === frame && (field.type === "number" || field.type === "time"),
      );
      const x = pick(numbers, wanted.x) ?? numbers.find((field) => field.type === "number");
      const ys = wanted.y?.matcher
        ? [pick(numbers, wanted.y)]
        : numbers.filter((field) => field !== x && field.type === "number");
      for (const y of ys) {
        if (x && y) result.push({ name: wanted.name?.fixed || seriesName(y, frame.name), x, y, color: y.color });
      }
    });
  }
  return result;
}

/** Without a second frame the refId in front of a name says nothing; with one, the column's own name is what people chose. */
function seriesName(y: DisplayField, frameName: string): string {
  return y.name.startsWith(`${frameName} `) ? y.name.slice(frameName.length + 1) : y.name;
}

function takesFrame(wanted: Matcher | undefined, index: number, refId: string): boolean {
  const { id, options } = wanted?.matcher ?? {};
  if (id === "byIndex") return options === index;
  return id === "byRefId" || id === "byFrameRefID" ? options === refId : true;
}

function pick(fields: DisplayField[], wanted: Matcher | undefined): DisplayField | undefined {
  const { id, options } = wanted?.matcher ?? {};
  if (id === "byName") return fields.find((field) => field.name === options || field.rawName === options);
  if (id === "byIndex") return fields[Number(options)];
  return id === "byType" ? fields.find((field) => field.type === options) : undefined;
}
