import { h } from "../dom.ts";
import { type DisplayField, show } from "../fields.ts";
import { CALC_NAMES, reduce } from "../reduce.ts";
import type { PanelData } from "./panel-view.ts";

/** Longer dashes would not repeat in a swatch. */
const SWATCH_DASH_PX = 4;

interface LegendOptions {
  showLegend?: boolean;
  displayMode?: string;
  placement?: string;
  calcs?: string[];
  /** Name of a figure's column; of a table only. */
  sortBy?: string;
  sortDesc?: boolean;
}

export interface LegendItem {
  field: DisplayField;
  hidden: boolean;
}

/** Names, colours and figures of the series; each is a button. Returns where it stands. */
export function legend(
  area: HTMLElement,
  items: LegendItem[],
  data: PanelData,
  onToggle: (name: string, many: boolean) => void,
): "bottom" | "right" | "none" {
  const options = (data.panel.options?.legend ?? {}) as LegendOptions;
  const shown = items.filter(
    ({ field }) => (field.custom.hideFrom as { legend?: boolean } | undefined)?.legend !== true,
  );
  area.hidden = options.showLegend === false || options.displayMode === "hidden" || shown.length === 0;
  if (area.hidden) return "none";
  const calcs = options.calcs ?? [];
  const click = (name: string) => (event: MouseEvent) =>
    onToggle(name, event.ctrlKey || event.metaKey || event.shiftKey);
  const button = ({ field, hidden }: LegendItem) => {
    const swatch = h("span", { class: "swatch line" });
    swatch.style.background = swatchOf(field);
    return h(
      "button",
      {
        type: "button",
        class: hidden ? "legend-item off" : "legend-item",
        title: field.name,
        "aria-pressed": String(!hidden),
        onclick: click(field.name),
      },
      swatch,
      h("span", { class: "legend-name" }, field.name),
    );
  };
  const figures = (item: LegendItem) =>
    calcs.map((calc) => show(item.field, reduce(item.field.values, calc), data.theme).text);
  if (options.displayMode === "table") {
    const sorted = calcs.find((calc) => (CALC_NAMES[calc] ?? calc) === options.sortBy);
    if (sorted !== undefined) {
      const keyed = shown.map((item) => ({ item, key: Number(reduce(item.field.values, sorted) ?? -Infinity) }));
      keyed.sort((a, b) => (options.sortDesc ? b.key - a.key : a.key - b.key));
      shown.splice(0, shown.length, ...keyed.map(({ item }) => item));
    }
    area.replaceChildren(
      h(
        "table",
        { class: "legend-table" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", {}, ""),
            calcs.map((calc) => h("th", { class: "num" }, CALC_NAMES[calc] ?? calc)),
          ),
        ),
        h(
          "tbody",
          {},
          shown.map((item) =>
            h(
              "tr",
              {},
              h("td", {}, button(item)),
              figures(item).map((text) => h("td", { class: "num" }, text)),
            ),
          ),
        ),
      ),
    );
  } else {
    area.replaceChildren(
      h(
        "div",
        { class: "legend-list" },
        shown.map((item) => {
          const element = button(item);
          figures(item).forEach((text, i) => {
            element.append(
              h(
                "span",
                { class: "legend-figure" },
                `${calcs.length > 1 ? `${CALC_NAMES[calcs[i]!] ?? calcs[i]} ` : ""}${text}`,
              ),
            );
          });
          return element;
        }),
      ),
    );
  }
  return options.placement === "right" ? "right" : "bottom";
}

/** The line's colour, dashed as the line is. */
function swatchOf({ color, custom }: DisplayField): string {
  const { fill, dash } = (custom.lineStyle ?? {}) as { fill?: string; dash?: number[] };
  if (fill !== "dash") return color;
  const [on = 8, off = 6] = (dash ?? []).map((px) => Math.min(px, SWATCH_DASH_PX));
  return `repeating-linear-gradient(90deg, ${color} 0 ${on}px, transparent ${on}px ${on + off}px)`;
}
