import { textOn, withAlpha } from "../colors.ts";
import { h } from "../dom.ts";
import { type DisplayField, show } from "../fields.ts";
import { reduce } from "../reduce.ts";
import type { PanelData, PanelType } from "./panel-view.ts";

const MAX_ROWS = 500;
const NUMERIC = new Set(["number"]);

interface Sort {
  name: string;
  desc: boolean;
}

/** Rows of the first frame (others below a chooser), sortable by any column. */
export const table: PanelType = (body) => {
  let data: PanelData;
  let sort: Sort | undefined;
  let frameIndex = 0;

  function draw(): void {
    const frames = [...new Set(data.fields.map((field) => field.frame))];
    const frame = frames[Math.min(frameIndex, frames.length - 1)];
    const columns = data.fields.filter((field) => field.frame === frame && !isHidden(field));
    const options = (data.panel.options ?? {}) as {
      showHeader?: boolean;
      sortBy?: { displayName: string; desc?: boolean }[];
    };
    const first = options.sortBy?.[0];
    const by = sort ?? (first ? { name: first.displayName, desc: first.desc ?? false } : undefined);
    const rows = sortRows(columns, by);
    const head = columns.map((column) => {
      const active = by?.name === column.name;
      const click = () => {
        sort = { name: column.name, desc: active ? !by!.desc : NUMERIC.has(column.type) };
        draw();
      };
      const button = h(
        "button",
        { type: "button", onclick: click },
        column.name,
        h("span", { class: "sort" }, active ? (by!.desc ? "▼" : "▲") : ""),
      );
      const cell = h(
        "th",
        {
          class: alignment(column),
          scope: "col",
          "aria-sort": active ? (by!.desc ? "descending" : "ascending") : "none",
        },
        button,
      );
      const width = Number(column.custom.width);
      if (width > 0) cell.style.width = `${width}px`;
      return cell;
    });
    const content = h(
      "table",
      { class: "data-table" },
      options.showHeader === false ? null : h("thead", {}, h("tr", {}, head)),
      h(
        "tbody",
        {},
        rows.slice(0, MAX_ROWS).map((row) =>
          h(
            "tr",
            {},
            columns.map((column) => cellOf(column, row)),
          ),
        ),
      ),
    );
    const picker = frames.length > 1 ? framePicker(frames.map((f) => f.name || f.refId)) : null;
    const more =
      rows.length > MAX_ROWS ? h("div", { class: "more" }, `${rows.length - MAX_ROWS} more rows are not shown`) : null;
    body.replaceChildren(
      ...[picker, h("div", { class: "table-scroll", tabIndex: 0 }, content), more].filter((node) => node !== null),
    );
  }

  function framePicker(names: string[]): HTMLElement {
    const change = (event: Event) => {
      frameIndex = (event.target as HTMLSelectElement).selectedIndex;
      draw();
    };
    return h(
      "select",
      { class: "frame-picker", "aria-label": "Result", onchange: change },
      names.map((name, i) => h("option", { selected: i === frameIndex }, name)),
    );
  }

  function cellOf(column: DisplayField, row: number): HTMLElement {
    const value = column.values[row];
    const shown = show(column, value, data.theme);
    const style = ((column.custom.cellOptions as { type?: string; mode?: string } | undefined)?.type ??
      "auto") as string;
    const cell = h("td", { class: alignment(column) });
    const link = column.config.links?.[0];
    const text = link
      ? h(
          "a",
          { href: data.link(link, column, row), title: link.title, ...(link.targetBlank ? { target: "_blank" } : {}) },
          shown.text,
        )
      : shown.text;
    if (style === "gauge" && typeof value === "number") {
      const low = column.config.min ?? Math.min(0, Number(reduce(column.values, "min") ?? 0));
      const high = column.config.max ?? Number(reduce(column.values, "max") ?? 1);
      const bar = h("div", { class: "cell-bar" });
      bar.style.width = `${Math.max(0, Math.min(1, (value - low) / (high - low || 1))) * 100}%`;
      bar.style.background = withAlpha(shown.color, 0.75);
      cell.classList.add("gauge");
      cell.append(h("div", { class: "cell-gauge" }, bar), h("span", { class: "cell-gauge-text" }, text));
      return cell;
    }
    if (style === "color-background" && value !== null) {
      cell.style.background = shown.color;
      cell.style.color = textOn(shown.color);
    } else if (style === "color-text" || shown.mapped) cell.style.color = shown.color;
    cell.title = shown.text;
    cell.append(text);
    return cell;
  }

  return {
    update(next) {
      data = next;
      draw();
    },
  };
};

function isHidden(field: DisplayField): boolean {
  const hide = field.custom.hideFrom as { viz?: boolean } | undefined;
  return field.custom.hidden === true || hide?.viz === true;
}

function alignment(field: DisplayField): string {
  const align = field.custom.align as string | undefined;
  if (align && align !== "auto") return align === "right" ? "num" : align;
  return NUMERIC.has(field.type) && !field.config.mappings?.length ? "num" : "";
}

function sortRows(columns: DisplayField[], by: Sort | undefined): number[] {
  const rows = Array.from({ length: columns[0]?.values.length ?? 0 }, (_, i) => i);
  const column = by ? columns.find((candidate) => candidate.name === by.name) : undefined;
  if (!column) return rows;
  const direction = by!.desc ? -1 : 1;
  return rows.sort((a, b) => {
    const [x, y] = [column.values[a], column.values[b]];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    if (typeof x === "number" && typeof y === "number") return (x - y) * direction;
    return String(x).localeCompare(String(y)) * direction;
  });
}
