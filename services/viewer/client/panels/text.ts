import { h } from "../dom.ts";
import { markdown } from "../markdown.ts";
import type { PanelType } from "./panel-view.ts";

/** Markdown, or a piece of code. HTML is shown as its text: the page runs nothing from a dashboard. */
export const text: PanelType = (body) => ({
  update(data) {
    const { content = "", mode = "markdown" } = (data.panel.options ?? {}) as { content?: string; mode?: string };
    const filled = data.variable(content);
    if (mode === "code") return body.replaceChildren(h("pre", { class: "text-code" }, filled));
    if (mode === "html") {
      const parsed = new DOMParser().parseFromString(filled, "text/html");
      return body.replaceChildren(h("div", { class: "markdown" }, parsed.body.textContent ?? ""));
    }
    body.replaceChildren(h("div", { class: "markdown" }, markdown(filled)));
  },
});
