import type { AlertView } from "../../src/routes/alerts.ts";
import { h, ICONS, icon } from "../dom.ts";
import { fromNow } from "../units.ts";

/** Alerts that fire, worst first, and how many pend. Nothing when all is quiet. */
export function alertBanner(alerts: AlertView[], open: (uid: string, panelId: number | null) => void): HTMLElement[] {
  const rank = (alert: AlertView) => (alert.severity === "critical" || alert.severity === "page" ? 0 : 1);
  const firing = alerts.filter(({ state }) => state === "firing").sort((a, b) => rank(a) - rank(b));
  const broken = alerts.filter(({ state }) => state === "error" || state === "no_data");
  const pending = alerts.length - firing.length - broken.length;
  return [
    ...[...firing, ...broken].map((alert) => {
      const where = [alert.service, alert.runtime].filter((part) => part !== "").join(" · ");
      const click = () => open(alert.dashboardUid, alert.panelId);
      return h(
        "div",
        {
          class: `alert ${alert.state !== "firing" ? "broken" : rank(alert) === 0 ? "critical" : "warning"}`,
          role: "status",
        },
        icon(...ICONS.bell),
        h(
          "b",
          {},
          alert.title,
          alert.state === "no_data" ? " (no data)" : alert.state === "error" ? " (cannot be judged)" : "",
        ),
        where ? h("span", { class: "alert-where" }, where) : null,
        h("span", { class: "alert-text", title: alert.summary }, alert.summary),
        h("span", { class: "grow" }),
        alert.since === null ? null : h("span", { class: "alert-since" }, fromNow(alert.since)),
        alert.dashboardUid
          ? h("button", { type: "button", class: "button ghost small", onclick: click }, "Show")
          : null,
      );
    }),
    ...(pending > 0
      ? [
          h(
            "div",
            { class: "alert pending" },
            icon(...ICONS.clock),
            `${pending} ${pending === 1 ? "alert is" : "alerts are"} pending`,
          ),
        ]
      : []),
  ];
}
