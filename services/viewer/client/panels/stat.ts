import { rgb, textOn, withAlpha } from "../colors.ts";
import { h, svgElement } from "../dom.ts";
import type { PanelData, PanelType } from "./panel-view.ts";
import { type Item, items } from "./values.ts";

interface StatOptions {
  textMode?: string;
  colorMode?: string;
  graphMode?: string;
  orientation?: string;
  justifyMode?: string;
}

/** A tile is never narrower or lower than its name and figure need: what does not fit in one line of tiles goes below. */
const MIN_TILE_PX = { width: 96, height: 46 };

/** Large figures, one tile each, with the trend behind. */
export const stat: PanelType = (body) => {
  let data: PanelData;
  function draw(): void {
    const options = (data.panel.options ?? {}) as StatOptions;
    const list = items(data);
    const { width, height } = body.getBoundingClientRect();
    const vertical = options.orientation === "horizontal" || (options.orientation !== "vertical" && height > width);
    const fitting = Math.max(1, Math.floor(width / MIN_TILE_PX.width));
    const columns = vertical ? 1 : Math.max(1, Math.min(list.length, fitting));
    const rows = Math.ceil(list.length / columns);
    const tileHeight = rows > 1 ? Math.max(MIN_TILE_PX.height, height / rows) : height;
    const wrap = h(
      "div",
      { class: "tiles" },
      list.map((item) => tile(item, options, list.length, width / columns, tileHeight)),
    );
    wrap.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    wrap.style.gridAutoRows = `minmax(${rows > 1 ? MIN_TILE_PX.height : 0}px, 1fr)`;
    body.replaceChildren(wrap);
  }

  function tile(item: Item, options: StatOptions, count: number, width: number, height: number): HTMLElement {
    const { shown, title } = item;
    const mode = options.textMode ?? "auto";
    const showName = mode === "name" || mode === "value_and_name" || (mode === "auto" && count > 1);
    const showValue = mode !== "name" && mode !== "none";
    const background = options.colorMode?.startsWith("background");
    const { prefix, text, suffix } = shown.formatted;
    const length = `${prefix}${text}${suffix}`.length;
    const size = Math.max(
      15,
      Math.min(
        54,
        (height - (showName ? 26 : 8)) * (options.graphMode !== "none" && item.trend ? 0.42 : 0.52),
        (width - 20) / (Math.max(3, length) * 0.62),
      ),
    );
    const value = h("div", { class: "stat-value" }, prefix, text, h("span", { class: "stat-unit" }, suffix));
    value.style.fontSize = `${size}px`;
    const element = h("div", { class: background ? "stat-tile filled" : "stat-tile" });
    if (options.justifyMode === "center") element.classList.add("centered");
    if (background) {
      const [r, g, b] = rgb(shown.color);
      element.style.background = `linear-gradient(135deg, rgb(${r},${g},${b}), ${withAlpha(shown.color, 0.82)})`;
      element.style.color = textOn(shown.color);
    } else if (options.colorMode !== "none") value.style.color = shown.color;
    const drawn = options.graphMode !== "none" && item.trend !== undefined && height > 50;
    if (drawn) element.classList.add("trend");
    if (drawn) element.append(sparkline(item, background ? textOn(shown.color) : shown.color));
    if (showName) element.append(h("div", { class: "stat-name", title }, title));
    if (showValue) element.append(value);
    const link = item.field.config.links?.[0];
    if (!link) return element;
    const anchor = h(
      "a",
      { class: "stat-link", href: data.link(link, item.field, item.row), title: link.title },
      element,
    );
    if (link.targetBlank) anchor.target = "_blank";
    return anchor;
  }

  return {
    update(next) {
      data = next;
      draw();
    },
    resize() {
      if (data) draw();
    },
  };
};

const SPARK_W = 200;
const SPARK_H = 40;

function sparkline(item: Item, color: string): SVGElement {
  const numbers = (item.trend ?? []).map((value) => (typeof value === "number" ? value : null));
  const real = numbers.filter((value): value is number => value !== null);
  const low = Math.min(0, ...real);
  const span = Math.max(...real, 0) - low || 1;
  const points = numbers.flatMap((value, i) => {
    if (value === null) return [];
    return `${((i / Math.max(1, numbers.length - 1)) * SPARK_W).toFixed(1)} ${(SPARK_H - 2 - ((value - low) / span) * (SPARK_H - 4)).toFixed(1)}`;
  });
  const svg = svgElement("svg", {
    viewBox: `0 0 ${SPARK_W} ${SPARK_H}`,
    preserveAspectRatio: "none",
    class: "spark",
    "aria-hidden": "true",
  });
  if (points.length < 2) return svg;
  const line = `M${points.join("L")}`;
  const first = points[0]!.split(" ")[0];
  const last = points.at(-1)!.split(" ")[0];
  svg.append(
    svgElement("path", { d: `${line}L${last} ${SPARK_H}L${first} ${SPARK_H}Z`, fill: withAlpha(color, 0.16) }),
    svgElement("path", {
      d: line,
      fill: "none",
      stroke: withAlpha(color, 0.8),
      "stroke-width": 1.5,
      "vector-effect": "non-scaling-stroke",
    }),
  );
  return svg;
}
