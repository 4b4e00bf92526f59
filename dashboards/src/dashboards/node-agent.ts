import { lines, rows } from "../panels/panels.ts";
import { NODE as NODE_HUE, OK, shades, WARNING } from "../panels/theme.ts";
import { VARIABLE_FILTER, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, gaugeSeries, histogramSource, metricSource, PROCESS } from "../sql/series.ts";
import type { RowSpec } from "./layout.ts";

const NODE = "runtime = 'node'";
const COLOURS = shades(NODE_HUE);

/** What was lost or failed in the range, by its attribute. */
function troubles(metric: string, what: string, attribute: string): string {
  return `SELECT service, runtime, instance, worker, '${what}' AS what, attributes['${attribute}'] AS kind, total FROM ${metricSource(metric)}`;
}

/** The agent's own budget: what it takes from the service, and what it gave up for that. */
export const agentRow: RowSpec = {
  id: 280,
  title: "What does the agent itself cost?",
  panels: [
    lines({
      id: 281,
      colours: COLOURS,
      title: "How busy is the agent's thread?",
      description:
        "Share of one core that the agent's own thread uses, per process. Above 3 % of a core over a minute it gives up half of its probes, above 6 % all of them: see the next panel.",
      width: 6,
      unit: "percentunit",
      thresholds: [
        { from: 0, colour: OK },
        { from: 0.03, colour: WARNING },
      ],
      sql: aggregateSeries({
        from: metricSource("tidemark.agent.cpu.time"),
        name: PROCESS,
        where: NODE,
        value: "sum(total) / step",
      }),
    }),
    lines({
      id: 282,
      colours: COLOURS,
      title: "How many probes did it give up?",
      description:
        "Share of its probes that the agent leaves out to stay within its budget of processor time: 0 none, 0.5 half, 1 all. Above zero, waits are measured by fewer samples or not at all, and stalls are not named at 1.",
      width: 6,
      unit: "percentunit",
      max: 1,
      thresholds: [
        { from: 0, colour: OK },
        { from: 0.5, colour: WARNING },
      ],
      noValue: "the agent cannot read its own processor time here",
      sql: gaugeSeries({
        from: metricSource("tidemark.agent.throttled"),
        name: PROCESS,
        where: NODE,
        key: "series_id",
        value: "sum(total) / sum(n)",
        combine: "max",
      }),
    }),
    lines({
      id: 283,
      colours: COLOURS,
      title: "How long did it hold the thread?",
      description:
        "Longest time in which the application's thread was asked for its stack, in each bucket. It is asked only while it is blocked anyway, so this is what naming the culprit adds to a stall.",
      width: 6,
      unit: "s",
      noValue: "no stall was looked at",
      sql: aggregateSeries({
        from: histogramSource("tidemark.agent.hold.duration"),
        name: PROCESS,
        where: `${NODE} AND count > 0`,
        value: "max(max)",
      }),
    }),
    rows({
      id: 284,
      title: "What did the agent lose or fail at?",
      description:
        "Records the agent dropped, by reason, and errors of its own that it caught, by part, over the range. Dropped records mean numbers are missing: is the ingest away, or the memory for waiting exports full?",
      width: 6,
      units: { times: "none" },
      noValue: "nothing",
      sql: `${WITH_STEP}
SELECT ${PROCESS} AS process, what, kind, toFloat64(sum(total)) AS times
FROM (
  ${troubles("tidemark.agent.dropped", "dropped", "tidemark.dropped.reason")}
  UNION ALL
  ${troubles("tidemark.agent.errors", "error", "tidemark.agent.part")}
)
WHERE ${NODE} AND ${VARIABLE_FILTER}
GROUP BY process, what, kind
HAVING times > 0
ORDER BY times DESC
LIMIT 50`,
    }),
  ],
};
