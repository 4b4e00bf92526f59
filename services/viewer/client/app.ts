import { globFormat, interpolate, type VariableValue } from "../src/grafana/interpolate.ts";
import { durationMs, panelInterval } from "../src/grafana/interval.ts";
import type { Dashboard, DashboardLink, Panel } from "../src/grafana/model.ts";
import { parseTimeExpression } from "../src/grafana/time-range.ts";
import type { Annotation } from "../src/routes/view.ts";
import type { ResolvedVariable } from "../src/variables.ts";
import { ApiError, api, type DashboardSummary } from "./api.ts";
import { alertBanner } from "./chrome/alerts.ts";
import { toggleHelp } from "./chrome/help.ts";
import { menu } from "./chrome/menu.ts";
import { refreshPicker, timePicker } from "./chrome/time-picker.ts";
import { currentText, variableBar } from "./chrome/variables.ts";
import type { Theme } from "./colors.ts";
import { h, ICONS, icon } from "./dom.ts";
import { COLUMNS, position, repeatPanels, sections } from "./layout.ts";
import { type Place, readPlace, writePlace } from "./location.ts";
import { PanelCard, type PanelEnvironment } from "./panel.ts";

const ALL = "$__all";
const DEFAULT_RANGE = { from: "now-15m", to: "now" };
const RETRY_MS = 2000;
const ANNOTATION_POINTS = 500;

/** The page: one dashboard, its controls and its refreshing. */
export class App {
  readonly #root: HTMLElement;
  #place: Place;
  #dashboards: DashboardSummary[] = [];
  #dashboard: Dashboard | undefined;
  #variables: ResolvedVariable[] = [];
  #annotations: Annotation[] = [];
  #cards: PanelCard[] = [];
  #range = { from: 0, to: 0 };
  #timer: number | undefined;
  #retry: number | undefined;
  #abort: AbortController | undefined;
  #paused = false;
  /** Loads under way. */
  #loading = 0;
  #collapsed = new Map<number, boolean>();
  readonly #bar = h("div", { class: "bar" });
  readonly #banner = h("div", { class: "banner", role: "alert", hidden: true });
  readonly #alerts = h("div", { class: "alerts" });
  readonly #main = h("main", {});

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#place = readPlace(window.location);
    root.append(this.#bar, this.#banner, this.#alerts, this.#main);
    window.addEventListener("popstate", () => this.#go(readPlace(window.location), false));
    window.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => !document.hidden && this.#schedule(true));
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#applyTheme());
    document.addEventListener("click", (event) => this.#followLink(event));
  }

  async start(): Promise<void> {
    this.#applyTheme();
    try {
      this.#dashboards = await api.dashboards();
      if (this.#dashboards.length === 0) return this.#fatal("There are no dashboards", "Build them: npm run generate");
      await this.#open();
    } catch (error) {
      this.#fatal((error as Error).message, error instanceof ApiError ? error.body.hint : "Reload the page.");
    }
  }

  async #open(): Promise<void> {
    const wanted =
      this.#place.uid ?? this.#dashboards.find(({ uid }) => uid.includes("overview"))?.uid ?? this.#dashboards[0]!.uid;
    try {
      this.#dashboard = await api.dashboard(wanted);
    } catch (error) {
      this.#renderBar();
      throw error;
    }
    if (this.#place.uid === undefined) {
      this.#place = { ...this.#place, uid: wanted };
      history.replaceState(null, "", writePlace(this.#place));
    }
    document.title = `${this.#dashboard.title} · Tidemark`;
    this.#variables = [];
    this.#annotations = [];
    this.#collapsed.clear();
    this.#renderBar();
    await this.#reload(true);
    this.#schedule();
  }

  /** Goes to another place: what changed decides what is asked again. */
  #go(place: Place, push = true): void {
    const before = this.#place;
    this.#place = place;
    if (push) history.pushState(null, "", writePlace(place));
    this.#applyTheme();
    if (place.uid !== before.uid) {
      void this.start();
      window.scrollTo(0, 0);
      return;
    }
    this.#renderBar();
    if (place.viewPanel !== before.viewPanel || place.kiosk !== before.kiosk) this.#renderPanels();
    void this.#reload(false);
    this.#schedule();
  }

  async #reload(rebuild: boolean): Promise<void> {
    this.#loading++;
    await this.#load(rebuild).finally(() => {
      this.#loading--;
    });
  }

  /** Variables first (panels need them), then annotations and panels side by side. */
  async #load(rebuild: boolean): Promise<void> {
    const dashboard = this.#dashboard;
    if (!dashboard) return;
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#range = this.#readRange();
    const base = {
      dashboardUid: dashboard.uid,
      ...this.#range,
      intervalMs: panelInterval(this.#range.to - this.#range.from, ANNOTATION_POINTS),
      vars: this.#place.vars,
    };
    try {
      const variables = await api.variables(base, abort.signal);
      const changed = JSON.stringify(variables) !== JSON.stringify(this.#variables);
      this.#variables = variables;
      if (changed) this.#renderVariables();
      if (rebuild || this.#cards.length === 0 || (changed && this.#repeats())) this.#renderPanels();
    } catch (error) {
      if (abort.signal.aborted) return;
      if (rebuild || this.#cards.length === 0) this.#renderPanels();
      this.#onAnswer(error instanceof ApiError ? error : undefined);
    }
    void this.#loadAlerts();
    const annotations = api.annotations(base, abort.signal).then(
      (reply) => {
        const same = JSON.stringify(reply.annotations) === JSON.stringify(this.#annotations);
        this.#annotations = reply.annotations;
        return !same;
      },
      () => false,
    );
    const cards = [...this.#cards];
    await Promise.all(cards.map((card) => card.load()));
    if ((await annotations) && !abort.signal.aborted)
      for (const card of cards)
        if (card.panel.type === "timeseries" || card.panel.type === "heatmap" || card.panel.type === "state-timeline")
          card.redraw();
    if (!abort.signal.aborted) this.#root.dataset.loaded = String(Number(this.#root.dataset.loaded ?? 0) + 1);
  }

  #repeats(): boolean {
    return JSON.stringify(this.#dashboard?.panels ?? []).includes('"repeat"');
  }

  async #loadAlerts(): Promise<void> {
    try {
      const { alerts } = await api.alerts();
      this.#alerts.replaceChildren(
        ...alertBanner(alerts, (uid, panelId) => this.#go({ ...this.#place, uid, viewPanel: panelId ?? undefined })),
      );
    } catch {
      this.#alerts.replaceChildren();
    }
  }

  #readRange(): { from: number; to: number } {
    const { from, to } = this.#expressions();
    const now = Date.now();
    const start = parseTimeExpression(from, now) ?? now - 900_000;
    const end = parseTimeExpression(to, now, true) ?? now;
    return end > start
      ? { from: Math.floor(start), to: Math.floor(end) }
      : { from: Math.floor(end) - 60_000, to: Math.floor(end) };
  }

  #expressions(): { from: string; to: string } {
    const own = this.#dashboard?.time ?? DEFAULT_RANGE;
    return { from: this.#place.from ?? own.from, to: this.#place.to ?? own.to };
  }

  #refresh(): string {
    return this.#place.refresh ?? this.#dashboard?.refresh ?? "";
  }

  /** Refreshes after each interval; not while the page is hidden, a fixed range is shown or the reader pauses. */
  #schedule(now = false): void {
    window.clearInterval(this.#timer);
    const interval = durationMs(this.#refresh());
    if (!interval || this.#paused || document.hidden || !this.#expressions().to.includes("now")) return;
    // A load that takes longer than the interval is awaited: asking again would only make the database slower.
    const tick = () => {
      if (this.#loading > 0 || document.hidden || document.querySelector(".menu-box:not([hidden])")) return;
      void this.#reload(false);
    };
    if (now) tick();
    this.#timer = window.setInterval(tick, interval);
  }

  #theme(): Theme {
    const wanted = this.#place.theme ?? localStorage.getItem("tidemark-theme");
    if (wanted === "dark" || wanted === "light") return wanted;
    return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  }

  #applyTheme(): void {
    const theme = this.#theme();
    const changed = document.documentElement.dataset.theme !== theme;
    document.documentElement.dataset.theme = theme;
    document.body.classList.toggle("kiosk", this.#place.kiosk);
    if (changed) for (const card of this.#cards) card.redraw();
  }

  #toggleTheme(): void {
    const theme = this.#theme() === "dark" ? "light" : "dark";
    localStorage.setItem("tidemark-theme", theme);
    this.#place = { ...this.#place, theme: this.#place.theme ? theme : undefined };
    history.replaceState(null, "", writePlace(this.#place));
    this.#applyTheme();
    this.#renderBar();
  }

  #setRange(from: string, to: string): void {
    this.#go({ ...this.#place, from, to });
  }

  /** Moves and stretches the range: by halves of its own length. */
  #shiftRange(move: number, stretch: number): void {
    const { from, to } = this.#range;
    const span = to - from;
    const middle = (from + to) / 2 + move * span;
    const half = (span * stretch) / 2;
    this.#setRange(String(Math.round(middle - half)), String(Math.round(middle + half)));
  }

  #renderBar(): void {
    const dashboard = this.#dashboard;
    const { from, to } = this.#expressions();
    const theme = this.#theme();
    const title = dashboard?.title ?? "Tidemark";
    const variables = h("div", { class: "variables" });
    this.#bar.replaceChildren(
      h(
        "div",
        { class: "bar-row" },
        h(
          "a",
          { class: "logo", href: "/", title: "Tidemark" },
          h("img", { src: "/icon.svg", alt: "Tidemark", width: 26, height: 26 }),
        ),
        menu(
          [h("span", { class: "dashboard-title" }, title)],
          `Dashboard: ${title}`,
          (close) => [this.#dashboardList(close)],
          "dashboard-menu",
        ),
        h("span", { class: "grow" }),
        h(
          "div",
          { class: "time-controls" },
          this.#iconButton("Earlier (←)", ICONS.back, () => this.#shiftRange(-0.5, 1)),
          timePicker(from, to, (nextFrom, nextTo) => this.#setRange(nextFrom, nextTo)),
          this.#iconButton("Later (→)", ICONS.forward, () => this.#shiftRange(0.5, 1)),
          this.#iconButton("Zoom out (−)", ICONS.zoomOut, () => this.#shiftRange(0, 2)),
        ),
        h(
          "div",
          { class: "time-controls" },
          this.#iconButton("Refresh now (r)", ICONS.refresh, () => void this.#reload(false)),
          refreshPicker(this.#refresh(), (interval) => this.#go({ ...this.#place, refresh: interval })),
        ),
        this.#iconButton("Dark or light (t)", theme === "dark" ? ICONS.sun : ICONS.moon, () => this.#toggleTheme()),
        this.#iconButton("Keys (?)", ICONS.help, toggleHelp),
      ),
      h(
        "div",
        { class: "bar-row second" },
        variables,
        h("span", { class: "grow" }),
        h(
          "nav",
          { class: "dashboard-links", "aria-label": "Dashboards" },
          (dashboard?.links ?? []).flatMap((link) => this.#dashboardLink(link)),
        ),
      ),
    );
    this.#renderVariables();
  }

  #renderVariables(): void {
    const holder = this.#bar.querySelector(".variables");
    if (holder?.querySelector(".menu-box:not([hidden])")) return;
    holder?.replaceChildren(
      ...variableBar(this.#variables, (name, values) =>
        this.#go({ ...this.#place, vars: { ...this.#place.vars, [name]: values } }),
      ),
    );
  }

  #iconButton(label: string, paths: string[], onclick: () => void): HTMLElement {
    return h(
      "button",
      { type: "button", class: "icon-button", title: label, "aria-label": label, onclick },
      icon(...paths),
    );
  }

  #dashboardList(close: () => void): HTMLElement {
    return h(
      "div",
      { class: "menu-list wide" },
      this.#dashboards.map(({ uid, title, description }) =>
        h(
          "a",
          {
            class: uid === this.#dashboard?.uid ? "menu-item active" : "menu-item",
            href: this.#dashboardHref(uid),
            onclick: close,
          },
          h("b", {}, title),
          description ? h("span", { class: "menu-note" }, description) : null,
        ),
      ),
    );
  }

  /** Another dashboard with the same time and the same variables. */
  #dashboardHref(uid: string): string {
    return writePlace({ ...this.#place, uid, viewPanel: undefined });
  }

  #dashboardLink(link: DashboardLink): HTMLElement[] {
    if (link.type === "dashboards") {
      const tags = link.tags ?? [];
      const list = this.#dashboards.filter(
        (one) => one.uid !== this.#dashboard?.uid && tags.every((tag) => one.tags.includes(tag)),
      );
      const items = () =>
        list.map(({ uid, title }) => h("a", { class: "menu-item", href: this.#dashboardHref(uid) }, title));
      if (link.asDropdown !== false)
        return list.length > 0
          ? [
              menu([link.title || "Dashboards"], link.title || "Dashboards", () => [
                h("div", { class: "menu-list" }, items()),
              ]),
            ]
          : [];
      return list.map(({ uid, title }) => h("a", { class: "button ghost", href: this.#dashboardHref(uid) }, title));
    }
    if (!link.url) return [];
    return [
      h(
        "a",
        {
          class: "button ghost",
          href: this.#linkHref(link),
          title: link.tooltip ?? "",
          ...(link.targetBlank ? { target: "_blank", rel: "noreferrer" } : {}),
        },
        link.title,
      ),
    ];
  }

  #linkHref(link: DashboardLink): string {
    const url = this.#variable(
      (link.url ?? "").replaceAll("${__url_time_range}", this.#timeRangeQuery()),
      "percentencode",
    );
    const extra = new URLSearchParams();
    if (link.keepTime) {
      extra.set("from", this.#expressions().from);
      extra.set("to", this.#expressions().to);
    }
    if (link.includeVars)
      for (const { name, current } of this.#variables) for (const value of current) extra.append(`var-${name}`, value);
    const query = extra.toString();
    return query ? `${url}${url.includes("?") ? "&" : "?"}${query}` : url;
  }

  #timeRangeQuery(): string {
    const { from, to } = this.#expressions();
    return `from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`;
  }

  #variable(text: string, format?: string, scope: Record<string, string> = {}): string {
    const lookup = (name: string): VariableValue | undefined => {
      if (name === "__all_variables") return undefined;
      const scoped = scope[name];
      if (scoped !== undefined) return { values: [scoped], texts: [scoped], multi: false };
      const variable = this.#variables.find((candidate) => candidate.name === name);
      if (!variable) return undefined;
      const all = variable.current[0] === ALL;
      return {
        values: variable.current,
        texts: [currentText(variable)],
        multi: variable.multi,
        ...(all && !format ? { allValue: "All" } : {}),
      };
    };
    const everything = this.#variables
      .flatMap(({ name, current }) => current.map((value) => `var-${name}=${encodeURIComponent(value)}`))
      .join("&");
    try {
      return interpolate(text.replace(/\$\{__all_variables\}|\$__all_variables/g, everything), lookup, (value) =>
        format === "percentencode" ? encodeURIComponent(globFormat(value)) : value.texts.join(", "),
      );
    } catch {
      return text;
    }
  }

  #values(name: string): string[] {
    const variable = this.#variables.find((candidate) => candidate.name === name);
    if (!variable) return [];
    return variable.current[0] === ALL ? variable.options.map((option) => option.value) : variable.current;
  }

  #renderPanels(): void {
    for (const card of this.#cards) card.destroy();
    this.#cards = [];
    const { viewPanel } = this.#place;
    const all = sections(this.#dashboard?.panels ?? []);
    if (viewPanel !== undefined) {
      const panel = all.flatMap((section) => section.panels).find((candidate) => candidate.id === viewPanel);
      if (panel) {
        const card = this.#card(panel, {});
        this.#main.replaceChildren(h("div", { class: "full" }, card.element));
        return;
      }
    }
    this.#main.replaceChildren(
      ...all.map((section) => {
        const { row } = section;
        const open = row ? !(this.#collapsed.get(row.id) ?? section.collapsed) : true;
        const head = row ? this.#rowHead(row, open, section.panels.length) : null;
        return h("section", { class: "section" }, head, open ? this.#grid(section.panels) : null);
      }),
    );
  }

  #rowHead(row: Panel, open: boolean, count: number): HTMLElement {
    const title = this.#variable(row.title ?? "");
    const click = () => {
      this.#collapsed.set(row.id, open);
      this.#renderPanels();
      for (const card of this.#cards) void card.load();
    };
    const head = h(
      "button",
      {
        type: "button",
        class: open ? "row-head open" : "row-head",
        "aria-expanded": String(open),
        title: row.description ?? "",
        onclick: click,
      },
      icon(...ICONS.chevron),
      h("span", {}, title),
      open ? null : h("small", {}, `${count} panels`),
    );
    head.dataset.testid = `data-testid Panel header ${title}`;
    return head;
  }

  #grid(panels: Panel[]): HTMLElement {
    const placed = repeatPanels(panels, (name) => this.#values(name));
    const top = Math.min(...placed.map(({ panel }) => position(panel).y));
    return h(
      "div",
      { class: "grid" },
      placed.map(({ panel, scope }) => {
        const { x, y, w, h: height } = position(panel);
        const { element } = this.#card(panel, scope);
        element.style.gridColumn = `${Math.min(COLUMNS, x + 1)} / span ${Math.min(COLUMNS - x, w)}`;
        element.style.gridRow = `${y - top + 1} / span ${height}`;
        element.style.setProperty("--rows", String(height));
        return element;
      }),
    );
  }

  #card(panel: Panel, scope: Record<string, string>): PanelCard {
    const environment: PanelEnvironment = {
      range: () => this.#range,
      request: () => ({
        dashboardUid: this.#dashboard!.uid,
        ...this.#range,
        vars: {
          ...this.#place.vars,
          ...Object.fromEntries(Object.entries(scope).map(([name, value]) => [name, [value]])),
        },
      }),
      theme: () => this.#theme(),
      annotations: () => this.#annotations,
      variable: (text, format) => this.#variable(text, format, scope),
      timeRangeQuery: () => this.#timeRangeQuery(),
      zoom: (from, to) => this.#setRange(String(Math.round(from)), String(Math.round(to))),
      zoomOut: () => this.#shiftRange(0, 2),
      shareCursor: () => this.#dashboard?.graphTooltip !== 0,
      toggleFullscreen: (id) =>
        this.#go({ ...this.#place, viewPanel: this.#place.viewPanel === undefined ? id : undefined }),
      linkHref: (link) => this.#linkHref(link),
      onAnswer: (error) => this.#onAnswer(error),
    };
    const card = new PanelCard(panel, environment);
    this.#cards.push(card);
    return card;
  }

  /** Says on top of the page that nothing can be read, asks until it can, then reads everything again. */
  #onAnswer(error: ApiError | undefined): void {
    if (error?.body.code !== "VIEWER_DATABASE_UNREACHABLE" && error?.body.code !== "VIEWER_AWAY") return;
    this.#banner.hidden = false;
    this.#banner.replaceChildren(
      icon(...ICONS.warning),
      h("div", {}, h("b", {}, error.body.message), " ", error.body.hint),
    );
    this.#banner.dataset.testid = "viewer away";
    if (this.#retry !== undefined) return;
    this.#retry = window.setInterval(async () => {
      const status = await api.status().catch(() => undefined);
      if (status?.database !== "ok") return;
      window.clearInterval(this.#retry);
      this.#retry = undefined;
      this.#banner.hidden = true;
      await this.#reload(false);
    }, RETRY_MS);
  }

  #fatal(message: string, hint: string): void {
    this.#main.replaceChildren(
      h("div", { class: "message error page" }, h("p", {}, message), h("p", { class: "hint" }, hint)),
    );
    window.setTimeout(() => this.#dashboards.length === 0 && void this.start(), RETRY_MS);
  }

  /** Links to dashboards stay in the page. */
  #followLink(event: MouseEvent): void {
    const anchor = (event.target as Element).closest?.("a");
    if (
      !anchor ||
      anchor.target ||
      event.defaultPrevented ||
      event.button !== 0 ||
      event.ctrlKey ||
      event.metaKey ||
      event.shiftKey
    )
      return;
    const url = new URL(anchor.href);
    if (url.origin !== window.location.origin || !(url.pathname === "/" || url.pathname.startsWith("/d/"))) return;
    event.preventDefault();
    this.#go(readPlace(url));
  }

  #key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(?:INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    const hovered = document.querySelector<HTMLElement>(".panel:hover")?.dataset.panelId;
    const actions: Record<string, () => void> = {
      t: () => this.#toggleTheme(),
      r: () => void this.#reload(false),
      p: () => {
        this.#paused = !this.#paused;
        document.body.classList.toggle("paused", this.#paused);
        this.#schedule(true);
      },
      k: () => this.#go({ ...this.#place, kiosk: !this.#place.kiosk }),
      d: () => this.#bar.querySelector<HTMLElement>(".dashboard-menu > .button")?.click(),
      v: () =>
        (this.#place.viewPanel !== undefined || hovered) &&
        this.#go({ ...this.#place, viewPanel: this.#place.viewPanel === undefined ? Number(hovered) : undefined }),
      "?": toggleHelp,
      ArrowLeft: () => this.#shiftRange(-0.5, 1),
      ArrowRight: () => this.#shiftRange(0.5, 1),
      "-": () => this.#shiftRange(0, 2),
      "+": () => this.#shiftRange(0, 0.5),
      "=": () => this.#shiftRange(0, 0.5),
      Escape: () =>
        (this.#place.kiosk || this.#place.viewPanel !== undefined) &&
        this.#go({ ...this.#place, kiosk: false, viewPanel: undefined }),
    };
    const insideList = target.closest(".menu-box, dialog, .table-scroll");
    const action = insideList ? undefined : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}
