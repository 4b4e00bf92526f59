import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./tidemark.ts";

const PROCESSES = [10, 100, 1000];
const DEMO_INTERVAL_S = 2;
/** The agents' default. */
const INTERVAL_S = 10;
const SECONDS_PER_DAY = 86_400;
const RAW_DAYS = 15;
const MB = 1e6;
const GB = 1e9;

/** What the sizes follow from. */
export interface SizingFigures {
  /** Metric points of one process and second, in the recording of the demo. */
  readonly pointsPerProcessSecond: number;
  readonly bytesPerPoint: number;
}

/** Reads them from what `npm run bench:storage -- --write` wrote. Throws where a figure is missing. */
export function sizingFigures(page = readFileSync(join(ROOT, "docs", "benchmarks.md"), "utf8")): SizingFigures {
  const block = /<!-- bench:storage -->([\s\S]*?)<!-- \/bench:storage -->/.exec(page)?.[1] ?? "";
  const found = (pattern: RegExp): number => {
    const value = Number(pattern.exec(block)?.[1]);
    if (!(value > 0)) throw new Error(`docs/benchmarks.md has no ${pattern} in its block bench:storage`);
    return value;
  };
  return {
    pointsPerProcessSecond: found(/([\d.]+) points per process and second/),
    bytesPerPoint: found(/\| Tidemark, after OPTIMIZE FINAL \| [\d,]+ \| [\d.]+ \| ([\d.]+) \|/),
  };
}

/** Points and bytes of so many processes at the agents' default interval, as Markdown. */
export function sizingTable({ pointsPerProcessSecond, bytesPerPoint } = sizingFigures()): string {
  const perExport = pointsPerProcessSecond * DEMO_INTERVAL_S;
  const rows = PROCESSES.map((processes) => {
    const rate = (processes * perExport) / INTERVAL_S;
    const bytes = rate * SECONDS_PER_DAY * bytesPerPoint;
    return `| ${processes.toLocaleString("en-US")} | ${Math.round(rate).toLocaleString("en-US")} | ${((rate * SECONDS_PER_DAY) / MB).toFixed(1)} million | ${(bytes / MB).toFixed(0)} MB | ${((bytes * RAW_DAYS) / GB).toFixed(1)} GB |`;
  });
  return [
    `${pointsPerProcessSecond} points per process and second at an export every ${DEMO_INTERVAL_S} s are ${perExport.toFixed(1)} points per export; ${bytesPerPoint} bytes per point.`,
    "",
    "| processes | points/s | points a day | metrics a day | in 15 days |",
    "| ---: | ---: | ---: | ---: | ---: |",
    ...rows,
  ].join("\n");
}
