import uPlot from "uplot";
import type { Annotation } from "../../src/routes/view.ts";
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

/** Room above the plot: for the annotations' titles and the strip of alerts when there are any. */
export function topPadding(data: () => PanelData): () => number {
  return () => TOP_PX + (hasMarks(data()) ? LABEL_PX + STRIP_PX : 0);
}

function hasMarks({ annotations }: PanelData): boolean {
  return annotations.length > 0;
}

/** Height of the strip that stands for alerts, and its distance from the plot. */
const STRIP_PX = 3;
const STRIP_GAP_PX = 1;
const BAND_ALPHA = { dark: 0.07, light: 0.06 };
/** What of an alert's beginning reaches into the plot. */
const HAIRLINE_ALPHA = 0.22;

export interface Marks {
  /** Regions that follow each other, such as load phases: quiet bands, every other one tinted, with their titles. */
  bands: Annotation[];
  /** Regions that overlap, such as alerts: one strip per colour above the plot, overlapping regions as one. */
  strips: { color: string; time: number; timeEnd: number }[];
}

/** The first source of annotations makes bands, unless its regions overlap; all others make strips, lest they hide the data. */
export function marks(annotations: readonly Annotation[]): Marks {
  const bySource = new Map<string, Annotation[]>();
  for (const one of annotations) bySource.set(one.source, [...(bySource.get(one.source) ?? []), one]);
  const result: Marks = { bands: [], strips: [] };
  let first = true;
  for (const group of bySource.values()) {
    const sorted = [...group].sort((a, b) => a.time - b.time);
    const overlap = sorted.some(({ time }, i) => i > 0 && time < sorted[i - 1]!.timeEnd - 1000);
    if (first && !overlap) result.bands.push(...sorted);
    else result.strips.push(...union(sorted));
    first = false;
  }
  return result;
}

function union(sorted: readonly Annotation[]): Marks["strips"] {
  const runs: Marks["strips"] = [];
  for (const { color, time, timeEnd } of sorted) {
    const last = runs.findLast((run) => run.color === color);
    if (last && time <= last.timeEnd) last.timeEnd = Math.max(last.timeEnd, timeEnd);
    else runs.push({ color, time, timeEnd });
  }
  return runs;
}

/** Marks of load phases (bands with titles above the plot) and of alerts (a slim strip between them), so that the data stays on top. */
export function annotationHooks(data: () => PanelData): { drawClear: (u: uPlot) => void; draw: (u: uPlot) => void } {
  /** Pixels of what lies in the range. */
  const place = (u: uPlot, { time, timeEnd }: { time: number; timeEnd: number }) => {
    const { from, to } = data();
    if (timeEnd < from || time > to) return undefined;
    const left = Math.round(u.valToPos(Math.max(time, from) / 1000, "x", true));
    return { left, right: Math.round(u.valToPos(Math.min(timeEnd, to) / 1000, "x", true)), begins: time >= from };
  };
  const line = (u: uPlot, x: number, color: string, dash: number[]) => {
    const { ctx } = u;
    ctx.strokeStyle = color;
    ctx.lineWidth = 1;
    ctx.setLineDash(dash);
    ctx.beginPath();
    ctx.moveTo(x + 0.5, u.bbox.top);
    ctx.lineTo(x + 0.5, u.bbox.top + u.bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
  };
  return {
    drawClear(u) {
      const { annotations, theme } = data();
      const { top, height } = u.bbox;
      const { bands, strips } = marks(annotations);
      u.ctx.save();
      bands.forEach((band, index) => {
        const at = place(u, band);
        if (!at) return;
        const css = cssColor(band.color);
        if (index % 2 === 0 && at.right - at.left >= 1) {
          u.ctx.fillStyle = withAlpha(css, BAND_ALPHA[theme]);
          u.ctx.fillRect(at.left, top, at.right - at.left, height);
        }
        // A moment, such as a deployment, is nothing but its line.
        if (band.timeEnd === band.time) line(u, at.left, withAlpha(css, 0.8), [4 * uPlot.pxRatio, 3 * uPlot.pxRatio]);
      });
      for (const strip of strips) {
        const at = place(u, strip);
        if (at?.begins) line(u, at.left, withAlpha(cssColor(strip.color), HAIRLINE_ALPHA), []);
      }
      u.ctx.restore();
    },
    draw(u) {
      const { annotations, theme } = data();
      const { top, left: plotLeft, width } = u.bbox;
      const ratio = uPlot.pxRatio;
      const { ctx } = u;
      const { bands, strips } = marks(annotations);
      ctx.save();
      for (const strip of strips) {
        const at = place(u, strip);
        if (!at) continue;
        const y = top - (STRIP_PX + STRIP_GAP_PX) * ratio;
        ctx.fillStyle = withAlpha(cssColor(strip.color), 0.75);
        ctx.fillRect(at.left, y, Math.max(2 * ratio, at.right - at.left), STRIP_PX * ratio);
      }
      ctx.font = FONT.replace("11px", `${10.5 * ratio}px`);
      ctx.textBaseline = "middle";
      ctx.textAlign = "left";
      let free = 0;
      bands.forEach((band, index) => {
        const at = place(u, band);
        const label = band.title || band.text;
        if (!at || label === "") return;
        const next = bands[index + 1];
        const moment = band.timeEnd === band.time;
        const until = next ? (place(u, next)?.left ?? plotLeft + width) : plotLeft + width;
        const edge = moment ? until : Math.min(at.right, plotLeft + width);
        const end = at.left + ctx.measureText(label).width + 8 * ratio;
        if (end > edge + ratio || at.left < free) return;
        const y = top - (LABEL_PX + STRIP_PX + 2 * STRIP_GAP_PX) * ratio;
        ctx.fillStyle = withAlpha(cssColor(band.color), theme === "dark" ? 0.22 : 0.16);
        ctx.fillRect(at.left, y, (moment ? end : edge) - at.left - ratio, LABEL_PX * ratio);
        ctx.fillStyle = chartColors(theme).text;
        ctx.fillText(label, at.left + 4 * ratio, y + (LABEL_PX / 2) * ratio);
        free = end;
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
  return JSON.stringify([data.theme, data.shareCursor, hasMarks(data), area.clientWidth, area.clientHeight, shape]);
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

const MAX_NOTES = 5;

/** Titles of the annotations at a moment, for the tooltip. */
export function annotationsAt({ annotations, from, to }: PanelData, millis: number): string[] {
  const near = (to - from) / 200;
  const notes = annotations
    .filter(({ time, timeEnd }) => millis >= time - near && millis <= Math.max(timeEnd, time + near))
    .map(({ title, text }) => [...new Set([title, text])].filter((part) => part !== "").join(": "));
  const more = notes.length - MAX_NOTES;
  return more > 0 ? [...notes.slice(0, MAX_NOTES), `and ${more} more`] : notes;
}
