import type { Selection } from "../src/variables.ts";

/** Everything that the page's address says. The address is the page's state, so that a link shows the same thing. */
export interface Place {
  uid: string | undefined;
  /** Time expressions; undefined takes the dashboard's own. */
  from: string | undefined;
  to: string | undefined;
  refresh: string | undefined;
  theme: string | undefined;
  kiosk: boolean;
  viewPanel: number | undefined;
  vars: Selection;
}

/** Reads Grafana's address form: `/d/<uid>/<slug>?from=now-1h&to=now&var-service=a&var-service=b&refresh=5s&kiosk`. */
export function readPlace(location: { pathname: string; search: string }): Place {
  const params = new URLSearchParams(location.search);
  const vars: Selection = {};
  for (const [key, value] of params) {
    if (!key.startsWith("var-")) continue;
    const name = key.slice(4);
    vars[name] = [...(vars[name] ?? []), value === "All" ? "$__all" : value];
  }
  const panel = Number(params.get("viewPanel")?.replace(/^panel-/, ""));
  const segment = /^\/d\/([^/]+)/.exec(location.pathname)?.[1];
  return {
    uid: segment === undefined ? undefined : decodeURIComponent(segment),
    from: params.get("from") ?? undefined,
    to: params.get("to") ?? undefined,
    refresh: params.get("refresh") ?? undefined,
    theme: params.get("theme") ?? undefined,
    kiosk: params.has("kiosk") && params.get("kiosk") !== "0" && params.get("kiosk") !== "false",
    viewPanel: Number.isInteger(panel) && panel > 0 ? panel : undefined,
    vars,
  };
}

/** The address of a place. */
export function writePlace(place: Place): string {
  const params = new URLSearchParams();
  if (place.from) params.set("from", place.from);
  if (place.to) params.set("to", place.to);
  for (const [name, values] of Object.entries(place.vars))
    for (const value of values) params.append(`var-${name}`, value);
  if (place.refresh !== undefined) params.set("refresh", place.refresh);
  if (place.theme) params.set("theme", place.theme);
  if (place.viewPanel) params.set("viewPanel", String(place.viewPanel));
  const query = [params.toString(), place.kiosk ? "kiosk" : ""].filter((part) => part !== "").join("&");
  return `${place.uid ? `/d/${encodeURIComponent(place.uid)}` : "/"}${query ? `?${query}` : ""}`;
}
