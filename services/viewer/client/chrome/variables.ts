import type { ResolvedVariable } from "../../src/variables.ts";
import { h } from "../dom.ts";
import { menu } from "./menu.ts";

const ALL = "$__all";

/** One control per visible variable. */
export function variableBar(
  variables: ResolvedVariable[],
  choose: (name: string, values: string[]) => void,
): HTMLElement[] {
  return variables
    .filter(({ hide, type }) => hide !== 2 && type !== "constant" && type !== "datasource" && type !== "adhoc")
    .map((variable) => {
      const control = variable.type === "textbox" ? textbox(variable, choose) : chooser(variable, choose);
      const element = h(
        "div",
        { class: "variable", title: variable.error ?? variable.description },
        variable.hide === 1 ? null : h("span", { class: "variable-label" }, variable.label),
        control,
      );
      element.dataset.testid = `data-testid Variable ${variable.name}`;
      if (variable.error) element.classList.add("failed");
      return element;
    });
}

/** `All`, or the chosen texts. */
export function currentText(variable: ResolvedVariable): string {
  if (variable.current[0] === ALL) return "All";
  const texts = variable.current.map(
    (value) => variable.options.find((option) => option.value === value)?.text ?? value,
  );
  return texts.length === 0 ? "None" : texts.join(" + ");
}

function textbox(variable: ResolvedVariable, choose: (name: string, values: string[]) => void): HTMLElement {
  const change = (event: Event) => choose(variable.name, [(event.target as HTMLInputElement).value]);
  return h("input", {
    type: "text",
    class: "variable-input",
    value: variable.current[0] ?? "",
    "aria-label": variable.label,
    onchange: change,
  });
}

function chooser(variable: ResolvedVariable, choose: (name: string, values: string[]) => void): HTMLElement {
  const label = h("span", { class: "variable-value" }, currentText(variable));
  return menu([label], `${variable.label}: ${currentText(variable)}`, (close) => {
    const chosen = new Set(variable.current);
    const list = h("div", { class: "menu-list", role: "listbox", "aria-multiselectable": String(variable.multi) });
    const options = [...(variable.includeAll ? [{ value: ALL, text: "All" }] : []), ...variable.options];
    const apply = () =>
      choose(variable.name, chosen.size > 0 ? [...chosen] : variable.includeAll ? [ALL] : variable.current);
    const render = (filter: string) => {
      const shown = options.filter(({ text }) => text.toLowerCase().includes(filter.toLowerCase()));
      list.replaceChildren(
        ...(shown.length === 0 ? [h("div", { class: "menu-empty" }, variable.error ?? "Nothing here yet")] : []),
        ...shown.map(({ value, text }) => {
          const click = () => {
            if (!variable.multi || value === ALL) {
              chosen.clear();
              chosen.add(value);
              close();
              return apply();
            }
            chosen.delete(ALL);
            if (!chosen.delete(value)) chosen.add(value);
            apply();
            render(filter);
          };
          const active = chosen.has(value);
          return h(
            "button",
            {
              type: "button",
              role: "option",
              "aria-selected": String(active),
              class: active ? "menu-item active" : "menu-item",
              onclick: click,
            },
            variable.multi ? h("span", { class: active ? "check on" : "check" }) : null,
            text,
          );
        }),
      );
    };
    render("");
    const search = h("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": `Search ${variable.label}`,
      oninput: (event: Event) => render((event.target as HTMLInputElement).value),
    });
    return [options.length > 8 ? search : h("span"), list];
  });
}
