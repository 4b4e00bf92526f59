import { colorScale } from "../colors.ts";
import { h } from "../dom.ts";
import { thresholdSteps } from "../fields.ts";
import type { PanelData, PanelType } from "./panel-view.ts";
import { type Item, items } from "./values.ts";

interface GaugeOptions {
  orientation?: string;
  displayMode?: string;
  showUnfilled?: boolean;
  valueMode?: string;
}

/** One bar per figure, with the thresholds marked on the track. */
export const bargauge: PanelType = (body) => ({
  update(data) {
    const options = (data.panel.options ?? {}) as GaugeOptions;
    const list = items(data);
    const { width, height } = body.getBoundingClientRect();
    const vertical =
      options.orientation === "vertical" || (options.orientation === "auto" && width > height * 2.5 && list.length > 1);
    const scale = scaleOf(list);
    body.replaceChildren(
      h(
        "div",
        { class: vertical ? "gauges vertical" : "gauges" },
        list.map((item) => row(item, data, options, vertical, scale)),
      ),
    );
  },
});

/** Without a limit of its own, every bar shares the largest value. */
function scaleOf(list: Item[]): (item: Item) => [number, number] {
  const numbers = list.map(({ value }) => (typeof value === "number" ? value : 0));
  const [low, high] = [Math.min(0, ...numbers), Math.max(...numbers, 0)];
  return ({ field }) => [field.config.min ?? low, field.config.max ?? (high === low ? low + 1 : high)];
}

function row(
  item: Item,
  data: PanelData,
  options: GaugeOptions,
  vertical: boolean,
  scale: (item: Item) => [number, number],
): HTMLElement {
  const [min, max] = scale(item);
  const share = (value: number) => Math.max(0, Math.min(1, (value - min) / (max - min || 1))) * 100;
  const value = typeof item.value === "number" ? item.value : min;
  const side = vertical ? "height" : "width";
  const fill = h("div", { class: "gauge-fill" });
  fill.style[side] = `${share(value)}%`;
  fill.style.background = options.displayMode === "gradient" ? gradient(item, data, vertical) : item.shown.color;
  const track = h(
    "div",
    {
      class: "gauge-track",
      role: "meter",
      "aria-label": item.title,
      "aria-valuenow": value,
      "aria-valuemin": min,
      "aria-valuemax": max,
    },
    fill,
  );
  if (options.showUnfilled === false) track.style.background = "none";
  for (const step of thresholdSteps(item.field.config, data.theme)) {
    if (step.value <= min || step.value >= max) continue;
    const tick = h("div", { class: "gauge-tick" });
    tick.style.background = step.color;
    tick.style[vertical ? "bottom" : "left"] = `${share(step.value)}%`;
    if (vertical) Object.assign(tick.style, { top: "auto", left: "0", width: "100%", height: "2px" });
    track.append(tick);
  }
  const figure = h("div", { class: "gauge-value" }, item.shown.text);
  if (options.valueMode !== "text") figure.style.color = item.shown.color;
  const link = item.field.config.links?.[0];
  const name = link ? h("a", { href: data.link(link, item.field, item.row) }, item.title) : item.title;
  return h(
    "div",
    { class: "gauge-row" },
    h("div", { class: "gauge-name", title: item.title }, name),
    track,
    options.valueMode === "hidden" ? null : figure,
  );
}

function gradient(item: Item, data: PanelData, vertical: boolean): string {
  const mode = item.field.config.color?.mode ?? "";
  if (!mode.startsWith("continuous-")) return item.shown.color;
  const scale = colorScale(mode, data.theme);
  return `linear-gradient(${vertical ? "0deg" : "90deg"}, ${[0, 0.25, 0.5, 0.75, 1].map(scale).join(",")})`;
}
