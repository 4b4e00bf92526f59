import type { Frame } from "../src/frames/frame.ts";
import { panelInterval } from "../src/grafana/interval.ts";
import type { DashboardLink, Panel } from "../src/grafana/model.ts";
import type { Annotation } from "../src/routes/view.ts";
import { ApiError, api, type RangeRequest } from "./api.ts";
import type { Theme } from "./colors.ts";
import { append, h, ICONS, icon } from "./dom.ts";
import { displayFields, fillLink } from "./fields.ts";
import { markdown } from "./markdown.ts";
import { PANEL_TYPES } from "./panels/index.ts";
import type { PanelData, PanelView } from "./panels/panel-view.ts";
import { table } from "./panels/table.ts";

/** What every panel of the page shares. Times in milliseconds. */
export interface PanelEnvironment {
  range(): { from: number; to: number };
  request(panel: Panel): Omit<RangeRequest, "intervalMs">;
  theme(): Theme;
  annotations(): Annotation[];
  variable(text: string, format?: string): string;
  timeRangeQuery(): string;
  zoom(from: number, to: number): void;
  zoomOut(): void;
  shareCursor(): boolean;
  toggleFullscreen(id: number): void;
  linkHref(link: DashboardLink): string;
  /** Told of every answer, so that the page can say that ClickHouse is away. */
  onAnswer(error: ApiError | undefined): void;
}

const MIN_POINTS = 50;
const DEFAULT_WIDTH_PX = 600;

/** A panel's card: head, states and the drawing inside. */
export class PanelCard {
  readonly element: HTMLElement;
  readonly panel: Panel;
  readonly #env: PanelEnvironment;
  readonly #body = h("div", { class: "panel-body" });
  readonly #status = h("div", { class: "panel-status" });
  readonly #title = h("h2", {});
  #view: PanelView | undefined;
  #viewIsTable = false;
  #frames: Frame[] | undefined;
  #abort: AbortController | undefined;
  readonly #observer: ResizeObserver;

  constructor(panel: Panel, env: PanelEnvironment) {
    this.panel = panel;
    this.#env = env;
    const bare = panel.type === "text" && !panel.title;
    this.element = h(
      "section",
      { class: `panel panel-${panel.type}${panel.transparent ? " transparent" : ""}${bare ? " bare" : ""}` },
      this.#header(),
      this.#body,
    );
    this.element.dataset.panelId = String(panel.id);
    this.element.dataset.testid = `data-testid Panel header ${env.variable(panel.title ?? "")}`;
    let first = true;
    this.#observer = new ResizeObserver(() => {
      if (first) first = false;
      else this.#view?.resize?.();
    });
    this.#observer.observe(this.#body);
    this.#message("loading", "Loading…");
  }

  #header(): HTMLElement {
    const { panel } = this;
    const env = this.#env;
    const links = (panel.links ?? []).map((link) =>
      h(
        "a",
        {
          class: "icon-button",
          href: env.linkHref(link),
          title: link.title,
          "aria-label": link.title,
          ...(link.targetBlank ? { target: "_blank" } : {}),
        },
        icon(...ICONS.link),
      ),
    );
    const info = panel.description
      ? h(
          "span",
          { class: "info" },
          h(
            "button",
            { type: "button", class: "icon-button info-button", "aria-label": `About: ${panel.title}` },
            icon(...ICONS.info),
          ),
          h("div", { class: "info-box markdown", role: "note" }, markdown(env.variable(panel.description))),
        )
      : null;
    const drawn = panel.type !== "text" && panel.type !== "table";
    const tableButton = drawn
      ? h(
          "button",
          {
            type: "button",
            class: "icon-button",
            title: "Show as a table",
            "aria-label": `Show ${panel.title} as a table`,
            onclick: () => this.#toggleTable(),
          },
          icon(...ICONS.table),
        )
      : null;
    const full = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        title: "Full size (v)",
        "aria-label": `Show ${panel.title} in full size`,
        onclick: () => env.toggleFullscreen(panel.id),
      },
      icon(...ICONS.expand),
    );
    this.#title.textContent = env.variable(panel.title ?? "");
    this.#title.title = this.#title.textContent;
    const tools = h("div", { class: "tools" }, tableButton, full);
    return h(
      "header",
      { class: "panel-head" },
      this.#title,
      info,
      this.#status,
      h("span", { class: "grow" }),
      links,
      tools,
    );
  }

  /** Asks for the data and draws it. Keeps the old drawing while waiting and when the answer is an error. */
  async load(): Promise<void> {
    const { panel } = this;
    const targets = (panel.targets ?? []).filter((target) => target.rawSql && target.hide !== true);
    if (panel.type === "text") return this.#draw([]);
    if (!PANEL_TYPES[panel.type]) return this.#unsupported();
    if (targets.length === 0) return this.#message("empty", "This panel asks for nothing: it has no query.");
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.element.classList.add("loading");
    const base = this.#env.request(panel);
    const maxDataPoints = Math.floor(
      panel.maxDataPoints ?? Math.max(MIN_POINTS, this.#body.clientWidth || DEFAULT_WIDTH_PX),
    );
    const intervalMs = panelInterval(base.to - base.from, maxDataPoints, panel.interval);
    try {
      const replies = await Promise.all(
        targets.map(({ refId }) =>
          api.query({ ...base, intervalMs, maxDataPoints, panelId: panel.id, refId }, abort.signal),
        ),
      );
      if (abort.signal.aborted) return;
      this.#env.onAnswer(undefined);
      const cut = replies.some((reply) => reply.truncated);
      this.#setStatus(
        cut ? "note" : undefined,
        cut ? "Too many rows: only the first part is shown. Choose a shorter time range." : "",
      );
      this.#draw(replies.flatMap((reply) => reply.frames));
    } catch (error) {
      if (abort.signal.aborted) return;
      const known =
        error instanceof ApiError
          ? error
          : new ApiError({ code: "VIEWER_PAGE", message: String(error), hint: "This is a fault of the page." });
      if (!(error instanceof ApiError)) console.error(error);
      this.#env.onAnswer(known);
      this.#fail(known);
    } finally {
      if (this.#abort === abort) this.element.classList.remove("loading");
    }
  }

  /** Draws again with the data at hand: another theme, other annotations. */
  redraw(): void {
    if (this.#frames) this.#draw(this.#frames);
  }

  #draw(frames: Frame[]): void {
    this.#frames = frames;
    const { panel } = this;
    const rows = frames.reduce((sum, frame) => sum + (frame.fields[0]?.values.length ?? 0), 0);
    if (panel.type !== "text" && rows === 0) {
      this.#message("empty", panel.fieldConfig?.defaults?.noValue ?? "No data in this time range");
      return;
    }
    if (!this.#view) {
      this.#body.replaceChildren();
      this.#body.className = `panel-body body-${this.#viewIsTable ? "table" : panel.type}`;
      this.#view = (this.#viewIsTable ? table : PANEL_TYPES[panel.type]!)(this.#body);
    }
    this.element.dataset.state = "drawn";
    this.#view.update(this.#data(frames));
  }

  #data(frames: Frame[]): PanelData {
    const env = this.#env;
    const { from, to } = env.range();
    const variable = (text: string) => env.variable(text);
    return {
      panel: this.panel,
      frames,
      fields: displayFields(this.panel, frames, env.theme(), variable),
      from,
      to,
      theme: env.theme(),
      annotations: env.annotations(),
      variable,
      link: (link, field, row) => fillLink(link, field, row, env.timeRangeQuery(), variable),
      zoom: env.zoom,
      zoomOut: env.zoomOut,
      shareCursor: env.shareCursor(),
    };
  }

  #toggleTable(): void {
    this.#viewIsTable = !this.#viewIsTable;
    this.#dropView();
    this.redraw();
  }

  #dropView(): void {
    this.#view?.destroy?.();
    this.#view = undefined;
  }

  /** Fills the body with a sentence; never leaves it blank. */
  #message(state: "loading" | "empty" | "error" | "unsupported", text: string, ...more: HTMLElement[]): void {
    this.#dropView();
    this.element.dataset.state = state;
    this.#body.className = "panel-body";
    this.#body.replaceChildren(h("div", { class: `message ${state}` }, h("p", {}, text), more));
  }

  #fail(error: ApiError): void {
    const { code, message, hint } = error.body;
    this.#setStatus("error", `${message} (${code}). ${hint}`);
    if (this.#view) this.element.classList.add("stale");
    else this.#message("error", message, h("p", { class: "hint" }, hint), h("code", { class: "code" }, code));
  }

  #unsupported(): void {
    const hint = h("p", { class: "hint" }, "Open this dashboard in Grafana to see it.");
    this.#message("unsupported", `This viewer does not draw panels of type "${this.panel.type}".`, hint);
  }

  #setStatus(kind: "error" | "note" | undefined, text: string): void {
    this.#status.replaceChildren();
    if (!kind) {
      this.element.classList.remove("stale");
      return;
    }
    const badge = h(
      "span",
      {
        class: `badge ${kind}`,
        title: text,
        role: kind === "error" ? "alert" : "status",
        tabIndex: 0,
        "aria-label": text,
      },
      icon(...ICONS.warning),
    );
    badge.dataset.testid = kind === "error" ? "data-testid Panel status error" : "data-testid Panel status note";
    append(this.#status, [badge]);
  }

  destroy(): void {
    this.#abort?.abort();
    this.#observer.disconnect();
    this.#dropView();
  }
}
