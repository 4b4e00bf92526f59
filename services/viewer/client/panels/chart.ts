import uPlot from "uplot";
import { type Theme, withAlpha } from "../colors.ts";
import { h } from "../dom.ts";
import { formatText, formatTime } from "../units.ts";
import type { PanelData } from "./panel-view.ts";

const SYNC_KEY = "tidemark-time";
const FONT = '11px Inter, "Segoe UI", system-ui, -apple-system, Roboto, sans-serif';
const CHAR_PX = 6.4;
const AXIS_PADDING_PX = 16;
const X_AXIS_PX = 26;
const S_PER_DAY = 86_400;
/** Steps of a time axis, seconds. */
const TIME_STEPS_S = [
  0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
  172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
];
const BINARY_UNITS = new Set(["bytes", "bits", "binBps"]);
/** Steps of an axis in bytes: powers of two, so that its texts are whole. */
const BINARY_STEPS = Array.from({ length: 50 }, (_, i) => 2 ** i);

export interface ChartColors {
  text: string;
  grid: string;
  axis: string;
  background: string;
}

export function chartColors(theme: Theme): ChartColors {
  return theme === "dark"
    ? { text: "#9aa4b8", grid: "rgba(148,163,190,0.11)", axis: "rgba(148,163,190,0.25)", background: "#171b24" }
    : { text: "#566075", grid: "rgba(50,64,92,0.10)", axis: "rgba(50,64,92,0.28)", background: "#ffffff" };
}

export interface ValueAxis {
  scale?: string;
  unit?: string | undefined;
  decimals?: number | null | undefined;
  label?: string | undefined;
  side?: number;
  grid?: boolean;
}

export function valueAxis(theme: Theme, axis: ValueAxis): uPlot.Axis {
  const colors = chartColors(theme);
  return {
    scale: axis.scale ?? "y",
    side: axis.side ?? 3,
    stroke: colors.text,
    font: FONT,
    grid: { show: axis.grid ?? true, stroke: colors.grid, width: 1 },
    ticks: { show: false },
    border: { show: false },
    gap: 6,
    space: 34,
    ...(BINARY_UNITS.has(axis.unit ?? "") ? { incrs: BINARY_STEPS } : {}),
    ...(axis.label ? { label: axis.label, labelFont: FONT, labelSize: 18, labelGap: 0 } : {}),
    values: (_u, splits) => axisTexts(splits, axis.unit, axis.decimals),
    size: (_u, values) =>
      Math.ceil(Math.max(3, ...(values ?? []).map((text) => text?.length ?? 0)) * CHAR_PX) + AXIS_PADDING_PX,
  };
}

/** Texts of an axis: as few decimals as keep neighbouring ticks different. */
export function axisTexts(splits: (number | null)[], unit?: string, decimals?: number | null): string[] {
  if (decimals === undefined || decimals === null) {
    const short = splits.map((value) => (value === null ? "" : formatText(value, unit)));
    if (short.every((text, i) => splits[i] === null || isFaithful(text, splits[i]!, unit))) return short;
  }
  for (let digits = decimals ?? 0; digits <= 4; digits++) {
    const texts = splits.map((value) => (value === null ? "" : formatText(value, unit, value === 0 ? 0 : digits)));
    const real = texts.filter((text) => text !== "");
    const numbers = splits.filter((value): value is number => value !== null);
    const exact = texts.every((text, i) => splits[i] === null || isFaithful(text, splits[i]!, unit));
    if (new Set(real).size === numbers.length && (exact || digits === 4)) return texts;
  }
  return splits.map((value) => (value === null ? "" : formatText(value, unit)));
}

/** Whether rounding for display changed the number by more than 2 %. */
function isFaithful(text: string, value: number, unit?: string): boolean {
  const shown = Number.parseFloat(text);
  const real = Number.parseFloat(formatText(value, unit, 6));
  return real === 0 || Math.abs(shown - real) <= 0.02 * Math.abs(real);
}

export function timeAxis(theme: Theme): uPlot.Axis {
  const colors = chartColors(theme);
  return {
    scale: "x",
    stroke: colors.text,
    font: FONT,
    size: X_AXIS_PX,
    gap: 4,
    space: 64,
    incrs: TIME_STEPS_S,
    grid: { stroke: colors.grid, width: 1 },
    ticks: { show: true, stroke: colors.axis, size: 4, width: 1 },
    border: { show: false },
    values: (_u, splits, _axis, _space, incr) => splits.map((split) => timeText(split, incr)),
  };
}

function timeText(split: number | null, incr: number): string {
  if (split === null) return "";
  const time = formatTime(split * 1000);
  if (incr < 1) return `${time.slice(3)}.${String(Math.round((split % 1) * 1000)).padStart(3, "0")}`;
  if (incr < 60) return time;
  const date = new Date(split * 1000);
  const day = `${String(date.getMonth() + 1).padStart(2, "0")}/${String(date.getDate()).padStart(2, "0")}`;
  if (incr >= S_PER_DAY) return day;
  return time.startsWith("00:00") ? day : time.slice(0, 5);
}

/** Cursor of a time chart: shared crosshair, drag to zoom, double click to zoom out. */
export function timeCursor(data: () => PanelData): uPlot.Cursor {
  return {
    y: false,
    drag: { x: true, y: false, setScale: false, dist: 6 },
    points: { size: 6, width: 1 },
    ...(data().shareCursor ? { sync: { key: SYNC_KEY, setSeries: false, scales: ["x", null] } } : {}),
    bind: {
      dblclick: () => () => {
        data().zoomOut();
        return null;
      },
    },
  };
}

/** Hook that turns a drag into a new time range. */
export function zoomHook(data: () => PanelData): (u: uPlot) => void {
  return (u) => {
    if (u.select.width < 4) return;
    const from = u.posToVal(u.select.left, "x") * 1000;
    const to = u.posToVal(u.select.left + u.select.width, "x") * 1000;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    data().zoom(from, to);
  };
}

const LABEL_PX = 14;
const TOP_PX = 8;

/** Room above the plot: for the annotations' titles when there are any. */
export function topPadding(data: () => PanelData): () => number {
  return () => TOP_PX + (data().annotations.length > 0 ? LABEL_PX : 0);
}

/** Load phases and alerts: shaded regions and dashed lines behind the series, their titles above where there is room. */
export function annotationHooks(data: () => PanelData): { drawClear: (u: uPlot) => void; draw: (u: uPlot) => void } {
  const each = (u: uPlot, draw: (left: number, right: number, index: number) => void) => {
    const { annotations, from, to } = data();
    annotations.forEach(({ time, timeEnd }, index) => {
      if (timeEnd < from || time > to) return;
      const left = u.valToPos(Math.max(time, from) / 1000, "x", true);
      draw(left, u.valToPos(Math.min(timeEnd, to) / 1000, "x", true), index);
    });
  };
  return {
    drawClear(u) {
      const { annotations } = data();
      const { top, height } = u.bbox;
      each(u, (left, right, index) => {
        if (right - left < 1) return;
        u.ctx.fillStyle = withAlpha(cssColor(annotations[index]!.color), index % 2 === 0 ? 0.07 : 0.03);
        u.ctx.fillRect(left, top, right - left, height);
      });
    },
    draw(u) {
      const { annotations, theme } = data();
      const { top, height, left: plotLeft, width } = u.bbox;
      const ratio = uPlot.pxRatio;
      const { ctx } = u;
      const taken: [number, number][] = [];
      ctx.save();
      ctx.font = FONT.replace("11px", `${10.5 * ratio}px`);
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      each(u, (left, right, index) => {
        const { title, text, color, time } = annotations[index]!;
        const css = cssColor(color);
        if (time >= data().from) {
          ctx.strokeStyle = withAlpha(css, 0.7);
          ctx.lineWidth = ratio;
          ctx.setLineDash([4 * ratio, 3 * ratio]);
          ctx.beginPath();
          ctx.moveTo(left, top);
          ctx.lineTo(left, top + height);
          ctx.stroke();
          ctx.setLineDash([]);
        }
        const label = title || text;
        const end = left + ctx.measureText(label).width + 8 * ratio;
        const edge = right > left + 2 ? Math.min(right, plotLeft + width) : plotLeft + width;
        if (label === "" || end > edge + ratio || taken.some(([a, b]) => left < b && end > a)) return;
        const y = top - (LABEL_PX + 1) * ratio;
        ctx.fillStyle = withAlpha(css, theme === "dark" ? 0.22 : 0.16);
        ctx.fillRect(left, y, end - left, LABEL_PX * ratio);
        ctx.fillStyle = chartColors(theme).text;
        ctx.fillText(label, left + 4 * ratio, y + (LABEL_PX / 2) * ratio);
        taken.push([left, end]);
      });
      ctx.restore();
    },
  };
}

/** Colours of annotations are CSS or Grafana names that CSS also knows, except for a few. */
function cssColor(name: string): string {
  const known: Record<string, string> = {
    blue: "#5794f2",
    red: "#f2495c",
    green: "#73bf69",
    orange: "#ff9830",
    yellow: "#fade2a",
    purple: "#b877d9",
    gray: "#8e95a3",
  };
  if (name.startsWith("#") || name.startsWith("rgb")) return name;
  return known[name.replace(/^(?:super-light|light|semi-dark|dark)-/, "")] ?? known.blue!;
}

/** What a chart was built for. While it stays the same, new numbers need no new chart. */
export function signature(data: PanelData, area: HTMLElement, shape: unknown): string {
  return JSON.stringify([
    data.theme,
    data.shareCursor,
    data.annotations.length > 0,
    area.clientWidth,
    area.clientHeight,
    shape,
  ]);
}

export interface TooltipRow {
  color: string;
  name: string;
  text: string;
  strong?: boolean;
}

/** One floating box per page; charts show theirs while the mouse is over them. */
let floating: HTMLElement | undefined;

export function showTooltip(u: uPlot, title: string, rows: TooltipRow[], notes: string[] = []): void {
  floating ??= document.body.appendChild(h("div", { class: "tooltip", role: "tooltip" }));
  const box = floating;
  box.replaceChildren(
    h("div", { class: "tooltip-title" }, title),
    ...notes.map((note) => h("div", { class: "tooltip-note" }, note)),
    ...rows.map(({ color, name, text, strong }) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = color;
      return h(
        "div",
        { class: strong ? "tooltip-row strong" : "tooltip-row" },
        swatch,
        h("span", { class: "grow" }, name),
        h("b", {}, text),
      );
    }),
  );
  box.hidden = false;
  const rect = u.over.getBoundingClientRect();
  const x = rect.left + (u.cursor.left ?? 0);
  const y = rect.top + (u.cursor.top ?? 0);
  const { offsetWidth: width, offsetHeight: height } = box;
  box.style.left = `${Math.max(4, x + width + 24 > window.innerWidth ? x - width - 16 : x + 16)}px`;
  box.style.top = `${Math.max(4, Math.min(y + 12, window.innerHeight - height - 8))}px`;
}

export function hideTooltip(): void {
  if (floating) floating.hidden = true;
}

/** Whether the mouse is over this chart, not one that only follows the shared crosshair. */
export function isHovered(u: uPlot): boolean {
  return (u.cursor.left ?? -1) >= 0 && u.over.matches(":hover");
}

/** Titles of the annotations at a moment, for the tooltip. */
export function annotationsAt({ annotations, from, to }: PanelData, millis: number): string[] {
  const near = (to - from) / 200;
  return annotations
    .filter(({ time, timeEnd }) => millis >= time - near && millis <= Math.max(timeEnd, time + near))
    .map(({ title, text }) => [...new Set([title, text])].filter((part) => part !== "").join(": "));
}
