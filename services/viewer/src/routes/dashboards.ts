import type { FastifyInstance } from "fastify";
import { ViewerError } from "../errors.ts";
import type { Dashboard, Panel } from "../grafana/model.ts";

/** The dashboards by uid. */
export class Catalogue {
  readonly #byUid: Map<string, Dashboard>;

  constructor(dashboards: Dashboard[]) {
    this.#byUid = new Map(dashboards.map((dashboard) => [dashboard.uid, dashboard]));
  }

  list(): Dashboard[] {
    return [...this.#byUid.values()];
  }

  /** Throws ViewerError 404. */
  get(uid: string): Dashboard {
    const dashboard = this.#byUid.get(uid);
    if (dashboard) return dashboard;
    const hint = `There are: ${[...this.#byUid.keys()].join(", ")}`;
    throw new ViewerError(404, "VIEWER_DASHBOARD_UNKNOWN", `There is no dashboard "${uid}"`, hint);
  }

  /** A panel by id, also inside of rows. Throws ViewerError 404. */
  panel(uid: string, id: number): { dashboard: Dashboard; panel: Panel } {
    const dashboard = this.get(uid);
    const panel = flatten(dashboard.panels ?? []).find((candidate) => candidate.id === id);
    if (panel) return { dashboard, panel };
    throw new ViewerError(404, "VIEWER_PANEL_UNKNOWN", `Dashboard "${uid}" has no panel ${id}`, "Reload the page.");
  }
}

/** Panels and those inside of rows. */
export function flatten(panels: Panel[]): Panel[] {
  return panels.flatMap((panel) => [panel, ...flatten(panel.panels ?? [])]);
}

export function dashboardRoutes(app: FastifyInstance, catalogue: Catalogue): void {
  app.get("/api/dashboards", async () =>
    catalogue.list().map(({ uid, title, description = "", tags = [] }) => ({ uid, title, description, tags })),
  );
  app.get<{ Params: { uid: string } }>("/api/dashboards/:uid", async (request) => catalogue.get(request.params.uid));
}
