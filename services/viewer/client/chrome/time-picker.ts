import { parseTimeExpression } from "../../src/grafana/time-range.ts";
import { h, ICONS, icon } from "../dom.ts";
import { formatDateTime } from "../units.ts";
import { menu } from "./menu.ts";

const RELATIVE: [from: string, text: string][] = [
  ["now-2m", "Last 2 minutes"],
  ["now-5m", "Last 5 minutes"],
  ["now-15m", "Last 15 minutes"],
  ["now-30m", "Last 30 minutes"],
  ["now-1h", "Last 1 hour"],
  ["now-3h", "Last 3 hours"],
  ["now-6h", "Last 6 hours"],
  ["now-12h", "Last 12 hours"],
  ["now-24h", "Last 24 hours"],
  ["now-2d", "Last 2 days"],
  ["now-7d", "Last 7 days"],
  ["now-30d", "Last 30 days"],
];
const UNIT_NAMES: Record<string, string> = {
  s: "second",
  m: "minute",
  h: "hour",
  d: "day",
  w: "week",
  M: "month",
  y: "year",
};
const REFRESH = ["", "1s", "2s", "5s", "10s", "30s", "1m", "5m"];

/** `Last 15 minutes`, or both ends. */
export function describeRange(from: string, to: string): string {
  const known = to === "now" ? RELATIVE.find(([expression]) => expression === from) : undefined;
  if (known) return known[1];
  const other = to === "now" ? /^now-(\d+)([smhdwMy])$/.exec(from) : undefined;
  if (other) return `Last ${other[1]} ${UNIT_NAMES[other[2]!]}${other[1] === "1" ? "" : "s"}`;
  const end = (text: string, up: boolean) => {
    if (text.startsWith("now")) return text;
    const time = parseTimeExpression(text, Date.now(), up);
    return time === undefined ? text : formatDateTime(time);
  };
  return `${end(from, false)} to ${end(to, true)}`;
}

export function timePicker(from: string, to: string, choose: (from: string, to: string) => void): HTMLElement {
  return menu(
    [icon(...ICONS.clock), describeRange(from, to)],
    `Time range: ${describeRange(from, to)}`,
    (close) => {
      const pick = (nextFrom: string, nextTo: string) => {
        close();
        choose(nextFrom, nextTo);
      };
      const error = h("p", { class: "field-error", role: "alert" });
      const text = (value: string, up: boolean) =>
        value.startsWith("now") ? value : formatDateTime(parseTimeExpression(value, Date.now(), up) ?? Date.now());
      const fromInput = h("input", { type: "text", value: text(from, false), "aria-label": "From", spellcheck: false });
      const toInput = h("input", { type: "text", value: text(to, true), "aria-label": "To", spellcheck: false });
      const apply = () => {
        const start = parseTimeExpression(fromInput.value, Date.now());
        const end = parseTimeExpression(toInput.value, Date.now(), true);
        if (start === undefined) error.textContent = `"${fromInput.value}" is no time: now-1h or 2026-11-21 04:00:00`;
        else if (end === undefined) error.textContent = `"${toInput.value}" is no time: now or 2026-11-21 05:00:00`;
        else if (end <= start) error.textContent = "The range ends before it begins";
        else pick(expression(fromInput.value, start), expression(toInput.value, end));
      };
      const enter = (event: KeyboardEvent) => event.key === "Enter" && apply();
      fromInput.addEventListener("keydown", enter);
      toInput.addEventListener("keydown", enter);
      return [
        h(
          "div",
          { class: "time-picker" },
          h(
            "div",
            { class: "menu-list" },
            RELATIVE.map(([value, label]) =>
              h(
                "button",
                {
                  type: "button",
                  class: value === from && to === "now" ? "menu-item active" : "menu-item",
                  onclick: () => pick(value, "now"),
                },
                label,
              ),
            ),
          ),
          h(
            "div",
            { class: "menu-form" },
            h("label", {}, "From", fromInput),
            h("label", {}, "To", toInput),
            error,
            h("button", { type: "button", class: "button primary", onclick: apply }, "Apply"),
            h("p", { class: "hint" }, "Drag across a chart to zoom in; double click to zoom out."),
          ),
        ),
      ];
    },
    "time-menu",
  );
}

function expression(text: string, millis: number): string {
  return text.trim().startsWith("now") ? text.trim() : String(millis);
}

export function refreshPicker(current: string, choose: (interval: string) => void): HTMLElement {
  return menu(
    [current || "Off"],
    `Refresh: ${current || "off"}`,
    (close) => [
      h(
        "div",
        { class: "menu-list" },
        REFRESH.map((interval) =>
          h(
            "button",
            {
              type: "button",
              class: interval === current ? "menu-item active" : "menu-item",
              onclick: () => {
                close();
                choose(interval);
              },
            },
            interval || "Off",
          ),
        ),
      ),
    ],
    "refresh-menu",
  );
}
