import type { ClientView, PhaseResult } from "./recorder.ts";

const MS_PER_S = 1000;
const HEAD = ["phase", "service", "route", "requests", "rate /s", "p50 ms", "p95 ms", "p99 ms", "errors", "shed"];
const LEFT_COLUMNS = 3;

/** What the client saw in a phase, for a person: a row per service, and one per route below it. */
export function phaseTable(result: PhaseResult, withHead: boolean): string {
  const rows: string[][] = withHead ? [HEAD] : [];
  for (const [target, view] of Object.entries(result.targets)) {
    const label = view.sockets === undefined ? "all" : `all, ${view.sockets} sockets`;
    rows.push([result.title, target, label, ...numbers(view)]);
    for (const [route, routeView] of Object.entries(view.routes).sort(([a], [b]) => a.localeCompare(b))) {
      rows.push(["", "", route, ...numbers(routeView)]);
    }
  }
  return rows.map((row) => row.map(padded).join("  ").trimEnd()).join("\n");
}

const WIDTHS = [18, 8, 18, 8, 8, 8, 8, 8, 7, 6];

function padded(cell: string, column: number): string {
  const width = WIDTHS[column] ?? 0;
  return column < LEFT_COLUMNS ? cell.padEnd(width) : cell.padStart(width);
}

function numbers(view: ClientView): string[] {
  return [
    String(view.requests),
    view.rate.toFixed(1),
    ...[view.p50, view.p95, view.p99].map((seconds) => (seconds === null ? "-" : (seconds * MS_PER_S).toFixed(1))),
    String(view.errors),
    String(view.shed),
  ];
}
