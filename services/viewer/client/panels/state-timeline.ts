import uPlot from "uplot";
import { alphaOf, textOn, withAlpha } from "../colors.ts";
import { h } from "../dom.ts";
import { type DisplayField, show } from "../fields.ts";
import { timeOf } from "../series.ts";
import { formatDateTime, formatText, formatTime } from "../units.ts";
import * as chart from "./chart.ts";
import type { PanelData, PanelType } from "./panel-view.ts";

interface Span {
  from: number;
  to: number;
  value: unknown;
  text: string;
  color: string;
}

interface Lane {
  name: string;
  field: DisplayField;
  spans: Span[];
}

const CHAR_PX = 6.3;
const MAX_NAME_PX = 180;
/** A lane is never lower, so that its name can be read: with more lanes than fit, the panel scrolls. */
const MIN_LANE_PX = 18;
const TIME_AXIS_PX = 34;

/** One lane per series; equal neighbours are one block with the name of its state. */
export const stateTimeline: PanelType = (body) => {
  const plotArea = h("div", { class: "plot scrolls" });
  const legendArea = h("div", { class: "legend-area" });
  body.append(plotArea, legendArea);
  let data: PanelData;
  let lanes: Lane[] = [];
  let plot: uPlot | undefined;

  const options = () =>
    (data.panel.options ?? {}) as {
      rowHeight?: number;
      showValue?: string;
      mergeValues?: boolean;
      alignValue?: string;
      legend?: { showLegend?: boolean };
    };

  function drawLanes(u: uPlot): void {
    const { ctx } = u;
    const ratio = uPlot.pxRatio;
    const share = options().rowHeight ?? 0.9;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.font = `${11 * ratio}px Inter, "Segoe UI", system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    lanes.forEach((lane, index) => {
      const top = u.valToPos(lanes.length - index, "y", true);
      const bottom = u.valToPos(lanes.length - index - 1, "y", true);
      const height = (bottom - top) * share;
      const y = top + (bottom - top - height) / 2;
      const opacity = Number(lane.field.custom.fillOpacity ?? 80) / 100;
      for (const span of lane.spans) {
        const left = Math.max(u.bbox.left, u.valToPos(span.from / 1000, "x", true));
        const right = Math.min(u.bbox.left + u.bbox.width, u.valToPos(span.to / 1000, "x", true));
        if (right <= left) continue;
        const width = Math.max(1, right - left - ratio);
        ctx.fillStyle = withAlpha(span.color, opacity);
        ctx.beginPath();
        if (width > 8 * ratio) ctx.roundRect(left, y, width, height, 3 * ratio);
        else ctx.rect(left, y, width, height);
        ctx.fill();
        const room = ctx.measureText(span.text).width + 10 * ratio;
        if (options().showValue === "never" || room > width || height < 12 * ratio) continue;
        ctx.fillStyle = opacity * alphaOf(span.color) < 0.5 ? chart.chartColors(data.theme).text : textOn(span.color);
        const align = options().alignValue ?? "left";
        ctx.textAlign = align === "center" ? "center" : align === "right" ? "right" : "left";
        ctx.fillText(
          span.text,
          align === "center" ? left + width / 2 : align === "right" ? left + width - 5 * ratio : left + 5 * ratio,
          y + height / 2,
        );
      }
    });
    ctx.restore();
  }

  function draw(): void {
    const { width, height: room } = plotArea.getBoundingClientRect();
    if (width < 10 || room < 10) return;
    const height = Math.max(room, lanes.length * MIN_LANE_PX + TIME_AXIS_PX);
    const times = [...new Set(lanes.flatMap(({ spans }) => spans.map(({ from }) => from / 1000)))].sort(
      (a, b) => a - b,
    );
    const names = lanes.map(({ name }) => name);
    plot?.destroy();
    plotArea.replaceChildren();
    const notes = chart.annotationHooks(() => data);
    const longest = Math.max(3, ...names.map((name) => name.length));
    const nameWidth = Math.min(MAX_NAME_PX, width * 0.3, longest * CHAR_PX + 14);
    const fits = Math.floor((nameWidth - 14) / CHAR_PX);
    const axis = chart.valueAxis(data.theme, {});
    plot = new uPlot(
      {
        width,
        height,
        padding: [chart.topPadding(() => data), 20, 0, 4],
        legend: { show: false },
        cursor: { ...chart.timeCursor(() => data), points: { show: false } },
        scales: {
          x: { time: true, range: () => [data.from / 1000, data.to / 1000] },
          y: { range: () => [0, Math.max(1, lanes.length)] },
        },
        axes: [
          chart.timeAxis(data.theme),
          {
            ...axis,
            size: nameWidth,
            grid: { show: false },
            splits: () => lanes.map((_, i) => lanes.length - i - 0.5),
            values: () =>
              lanes.map(({ name }) => (name.length > fits ? `${name.slice(0, Math.max(1, fits - 1))}…` : name)),
          },
        ],
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: {
          drawClear: [notes.drawClear],
          draw: [drawLanes, notes.draw],
          setSelect: [chart.zoomHook(() => data)],
          setCursor: [tooltip],
        },
      },
      [times, times.map(() => null)],
      plotArea,
    );
    plot.over.addEventListener("mouseleave", chart.hideTooltip);
  }

  function tooltip(u: uPlot): void {
    if (!chart.isHovered(u)) return;
    const time = u.posToVal(u.cursor.left!, "x") * 1000;
    const hovered = lanes.length - 1 - Math.floor(u.posToVal(u.cursor.top!, "y"));
    const rows = lanes.flatMap(({ name, spans }, index) => {
      const span = spans.find(({ from, to }) => time >= from && time < to);
      if (!span) return [];
      const length = formatText((span.to - span.from) / 1000, "dtdurations");
      return [
        {
          color: span.color,
          name,
          text: index === hovered ? `${span.text}, ${formatTime(span.from)} for ${length}` : span.text,
          strong: index === hovered && lanes.length > 1,
        },
      ];
    });
    const multi = (data.panel.options?.tooltip as { mode?: string } | undefined)?.mode !== "single";
    const shown = multi ? rows : rows.filter((_, i) => rows.length === 1 || rows[i]!.strong);
    if (shown.length === 0) {
      chart.hideTooltip();
      return;
    }
    chart.showTooltip(u, formatDateTime(time), shown, chart.annotationsAt(data, time));
  }

  function drawLegend(): void {
    legendArea.hidden = options().legend?.showLegend === false;
    const states = new Map<string, string>();
    for (const { spans } of lanes) for (const { text, color } of spans) states.set(text, color);
    legendArea.replaceChildren(
      h(
        "div",
        { class: "legend-list" },
        [...states].map(([text, color]) => {
          const swatch = h("span", { class: "swatch" });
          swatch.style.background = color;
          return h("span", { class: "legend-item" }, swatch, text);
        }),
      ),
    );
  }

  return {
    update(next) {
      data = next;
      lanes = toLanes(next);
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

/** A state holds until the next row; the last one for the typical distance of two rows. Null ends it. */
function toLanes(data: PanelData): Lane[] {
  const merge = (data.panel.options?.mergeValues as boolean | undefined) ?? true;
  return data.fields
    .filter((field) => field.type !== "time" && timeOf(field))
    .map((field) => {
      const times = timeOf(field)! as number[];
      const spans: Span[] = [];
      const gaps = times
        .slice(1)
        .map((time, i) => time - times[i]!)
        .sort((a, b) => a - b);
      const step = gaps[Math.floor(gaps.length / 2)] ?? 60_000;
      const spanNulls = field.custom.spanNulls;
      const bridge = spanNulls === true ? Infinity : typeof spanNulls === "number" ? spanNulls : 0;
      for (let i = 0; i < times.length; i++) {
        const value = field.values[i];
        if (value === null || value === undefined) continue;
        const last = spans.at(-1);
        if (last && last.to < times[i]! && times[i]! - last.to <= bridge) last.to = times[i]!;
        const next = times[i + 1];
        const to =
          next !== undefined && (next - times[i]! <= 3 * step || next - times[i]! <= bridge) ? next : times[i]! + step;
        if (merge && last && last.value === value && last.to >= times[i]!) last.to = to;
        else {
          const { text, color } = show(field, value, data.theme);
          spans.push({ from: times[i]!, to, value, text, color });
        }
      }
      return { name: field.name, field, spans };
    });
}
