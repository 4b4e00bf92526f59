import { DASHBOARDS, PANELS } from "../panel-ids.ts";
import { gauges, lines, numbers, rows } from "../panels/panels.ts";
import {
  CRITICAL,
  DJANGO,
  NODE,
  OK,
  OWN,
  type SeriesColours,
  shades,
  TABLE_COLOURS,
  WARNING,
} from "../panels/theme.ts";
import { SOURCE_FILTER } from "../sql/fragments.ts";
import {
  attribute,
  INGEST,
  ownGauge,
  ownHistogram,
  ownLatest,
  ownProcess,
  ownQuantiles,
  ownRate,
  ownRateBySource,
  ownSource,
} from "../sql/own.ts";
import type { DashboardSpec } from "./layout.ts";

const COLOURS = shades(OWN);
/** Who sends: a runtime's hue where the name says which, else Tidemark's own. */
const SENDERS: SeriesColours = { ...COLOURS, "/node/i": NODE.main, "/django/i": DJANGO.main };
const LAG_STEPS = [
  { from: 0, colour: OK },
  { from: 30, colour: WARNING },
  { from: 60, colour: CRITICAL },
];
const TABLE = attribute("db.collection.name");

/** Tidemark's own health: what arrives, whether it is stored, what that costs. */
export const ingest: DashboardSpec = {
  uid: DASHBOARDS.ingest,
  title: "Tidemark: is the data complete?",
  description:
    "The ingest about itself: what arrives and from whom, what is refused and why, how far storage is behind, what it costs, and which series cost most.",
  rows: [
    {
      id: 410,
      title: "Is everything stored that was taken?",
      panels: [
        numbers({
          id: 411,
          title: "How far behind is storage?",
          description:
            "Age of the oldest data that is acknowledged and not yet in ClickHouse, per ingest, at the end of the range. A second or two is normal; above a minute the alert fires. Nothing is lost: it waits in the log.",
          width: 5,
          height: 5,
          unit: "s",
          decimals: 1,
          thresholds: LAG_STEPS,
          sql: ownLatest("queue.age"),
        }),
        gauges({
          id: 412,
          title: "How full is the log?",
          description:
            "Data that waits for ClickHouse as a share of TIDEMARK_LOG_QUOTA_BYTES, per ingest. At 1 senders are told to wait; above 0.4 the alert fires.",
          width: 5,
          height: 5,
          unit: "percentunit",
          max: 1,
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.2, colour: WARNING },
            { from: 0.4, colour: CRITICAL },
          ],
          sql: `SELECT ${INGEST} AS name, toFloat64(argMaxIf(number, ts, what = 'size') / nullIf(argMaxIf(number, ts, what = 'limit'), 0)) AS value
FROM (
  SELECT ts, instance, number, 'size' AS what FROM ${ownSource("tidemark.ingest.queue.size")}
  UNION ALL
  SELECT ts, instance, number, 'limit' AS what FROM ${ownSource("tidemark.ingest.queue.limit")}
)
GROUP BY instance
HAVING value IS NOT NULL
ORDER BY value DESC
LIMIT 25`,
        }),
        numbers({
          id: 413,
          title: "Is ClickHouse there?",
          description:
            "Whether ClickHouse answered, had its tables and took the last inserts, per ingest, at the last report. While it is away this page gets nothing new either: see how old the last report is.",
          width: 4,
          height: 5,
          unit: "none",
          words: { "0": "no", "1": "yes" },
          thresholds: [
            { from: 0, colour: CRITICAL },
            { from: 1, colour: OK },
          ],
          sql: ownLatest("clickhouse.up"),
        }),
        numbers({
          id: 414,
          title: "What share is refused?",
          description:
            "Points, spans and log records that were rejected, of all that arrived in the range. Zero is good; the chart of refusals says why.",
          width: 5,
          height: 5,
          unit: "percentunit",
          decimals: 2,
          thresholds: [
            { from: 0, colour: OK },
            { from: 0.001, colour: WARNING },
            { from: 0.01, colour: CRITICAL },
          ],
          sql: `SELECT 'rejected' AS name, toFloat64(ifNull(sumIf(number, what = 'rejected') / nullIf(sumIf(number, what = 'points'), 0), 0)) AS value
FROM (
  SELECT number, 'rejected' AS what FROM ${ownSource("tidemark.ingest.rejected")}
  UNION ALL
  SELECT number, 'points' AS what FROM ${ownSource("tidemark.ingest.points")}
)
HAVING count() > 0`,
        }),
        numbers({
          id: PANELS.ingestReports,
          title: "How old is the last report?",
          description:
            "Age of the newest report of each ingest at the end of the range. They come every 10 s; above a minute the ingest is gone or cannot reach ClickHouse, and the alert fires.",
          width: 5,
          height: 5,
          unit: "s",
          decimals: 0,
          thresholds: LAG_STEPS,
          sql: `SELECT ${INGEST} AS name, toFloat64(greatest(0, toUnixTimestamp($__toTime) - toUnixTimestamp(max(ts)))) AS value
FROM ${ownSource("tidemark.ingest.queue.age")}
GROUP BY instance
ORDER BY value DESC
LIMIT 25`,
        }),
      ],
    },
    {
      id: 420,
      title: "What arrives, and from whom?",
      panels: [
        lines({
          id: 421,
          colours: SENDERS,
          title: "Who sends how many points?",
          description:
            "Points, spans and log records per second, by service. A step up without more load is a new metric or attribute: see which series cost what.",
          width: 12,
          unit: "short",
          legend: "figures",
          sql: ownRateBySource("points"),
        }),
        lines({
          id: 422,
          colours: SENDERS,
          title: "Who sends how many bytes?",
          description: "Bytes per second as they were sent (compressed), by service.",
          width: 12,
          unit: "bytes",
          legend: "figures",
          sql: ownRateBySource("io"),
        }),
        lines({
          id: 423,
          colours: { ...COLOURS, "/ [45]\\d\\d$/": CRITICAL },
          title: "How are requests answered?",
          description:
            "Requests per second by signal and status. 429 and 503 ask the sender to come again: nothing is lost while it does. Another 4xx is a sender that must change; 5xx other than 503 is a defect of ours.",
          width: 12,
          unit: "reqps",
          sql: ownRate("requests", `concat(${attribute("tidemark.signal")}, ' ', ${attribute("tidemark.status")})`),
        }),
        lines({
          id: PANELS.rejections,
          colours: COLOURS,
          title: "What is refused, and why?",
          description:
            "Points, spans and log records per second that were not taken, by reason. The sender reads the same in its partial success. `too_old` and `in_future`: a clock; `too_many_series`: see the last row of this page.",
          width: 12,
          unit: "short",
          sql: ownRate(
            "rejected",
            `concat(${attribute("tidemark.signal")}, ' ', ${attribute("tidemark.rejected.reason")})`,
          ),
        }),
      ],
    },
    {
      id: 430,
      title: "Does it reach ClickHouse?",
      panels: [
        lines({
          id: 431,
          colours: TABLE_COLOURS,
          title: "How many rows go in?",
          description:
            "Rows per second by table. After an outage this is how fast the log empties: compare with what arrives.",
          width: 8,
          unit: "short",
          legend: "figures",
          sql: ownHistogram("insert.rows", TABLE, "rate"),
        }),
        lines({
          id: 432,
          colours: COLOURS,
          title: "How long does an insert take?",
          description:
            "p50 and p99 of all inserts. Rising with constant rows: ClickHouse is busy with merges or queries. The log takes up what it cannot.",
          width: 8,
          unit: "s",
          sql: ownQuantiles([{ metric: "insert.duration", name: "insert" }], [0.5, 0.99]),
        }),
        lines({
          id: 433,
          colours: TABLE_COLOURS,
          title: "How many rows does an insert have?",
          description:
            "Mean rows per insert, by table. Many small inserts make many parts: raise TIDEMARK_FLUSH_INTERVAL when ClickHouse merges too much.",
          width: 8,
          unit: "short",
          legend: "figures",
          sql: ownHistogram("insert.rows", TABLE, "mean"),
        }),
        lines({
          id: PANELS.ingestLag,
          colours: COLOURS,
          title: "How old is the oldest data that waits?",
          description:
            "Age of the oldest data in the log that is not in ClickHouse, per ingest. Above 60 s the alert fires: ClickHouse was away, or takes less than arrives.",
          width: 8,
          unit: "s",
          thresholds: [
            { from: 0, colour: OK },
            { from: 60, colour: WARNING },
          ],
          sql: ownGauge("queue.age"),
        }),
        lines({
          id: PANELS.ingestLog,
          colours: COLOURS,
          title: "How much waits in the log?",
          description:
            "Bytes that wait for ClickHouse, per ingest. At TIDEMARK_LOG_QUOTA_BYTES senders are told to wait (503 with Retry-After); the bar at the top says how near that is.",
          width: 8,
          unit: "bytes",
          sql: ownGauge("queue.size"),
        }),
        lines({
          id: 436,
          colours: TABLE_COLOURS,
          title: "Which inserts fail?",
          description:
            "Failed inserts per second, by table. They are tried again without end; rows refused for good are kept in *.bad files beside the log. Read the ingest's log for ClickHouse's own words.",
          width: 8,
          unit: "ops",
          sql: ownRate("insert.failures", TABLE),
        }),
      ],
    },
    {
      id: 440,
      title: "What does it cost?",
      panels: [
        lines({
          id: 441,
          colours: { ...COLOURS, "/^disk p50/": DJANGO.light, "/^disk p99/": DJANGO.dark },
          title: "How long does a sender wait?",
          description:
            "p50 and p99 from the last byte of a request to its data being on disk, and of that the disk's own part (fdatasync). Both high: the disk. Only the first: the processor, or requests that are too large.",
          width: 6,
          unit: "s",
          sql: ownQuantiles(
            [
              { metric: "acknowledge.duration", name: "answer" },
              { metric: "sync.duration", name: "disk" },
            ],
            [0.5, 0.99],
          ),
        }),
        lines({
          id: 442,
          colours: COLOURS,
          title: "How much CPU does it use?",
          description: "CPU seconds per second, per ingest. Decoding runs on one core: near 1 add a second ingest.",
          width: 6,
          unit: "none",
          sql: ownProcess("process.cpu.time", "sum(number) / step"),
        }),
        lines({
          id: 443,
          colours: COLOURS,
          title: "How much memory does it hold?",
          description:
            "Resident memory, per ingest. It grows with live series and with bodies in flight (TIDEMARK_MAX_RECEIVING_BYTES), not with what waits in the log.",
          width: 6,
          unit: "bytes",
          sql: ownProcess("process.memory.usage", "max(number)"),
        }),
        lines({
          id: 444,
          colours: COLOURS,
          title: "How late is its event loop?",
          description:
            "Longest delay of a timer in each report, per ingest. A request waits at most this long before it is looked at; large bodies are decoded in one go.",
          width: 6,
          unit: "s",
          sql: ownProcess("nodejs.eventloop.delay.max", "max(number)"),
        }),
      ],
    },
    {
      id: 450,
      title: "Which series cost what?",
      panels: [
        rows({
          id: 451,
          title: "Which metrics cost most?",
          description:
            "The 24 hours before now, whatever the range: series, how many of them are new, rows, and an estimate of their bytes (rows, and descriptions of series, times the mean size of one on disk; rollups not counted). Many new series each day are churn: an attribute that never repeats.",
          width: 15,
          height: 11,
          units: {
            series: "short",
            new: "short",
            rows: "short",
            bytes: "bytes",
            share: "percentunit",
            folded: "short",
          },
          widths: { metric: 260 },
          sql: `SELECT service, metric, toFloat64(series) AS series, toFloat64(ifNull(new_series, 0)) AS new, toFloat64(rows) AS rows, toFloat64(bytes) AS bytes,
  toFloat64(share) AS share, toFloat64(folded + rejected) AS overflow
FROM tidemark.series_cost
WHERE ${SOURCE_FILTER}
ORDER BY bytes DESC
LIMIT 50`,
        }),
        rows({
          id: PANELS.overflow,
          title: "Which metrics have too many series?",
          description:
            "Points of series over the budget of their metric or service, in the range. `folded`: added to one series marked otel.metric.overflow (or to a value `(overflow)`), sums stay right. `rejected`: lost. Take the endless attribute away at the sender, or raise TIDEMARK_MAX_SERIES_PER_METRIC.",
          width: 9,
          height: 11,
          units: { points: "short" },
          noValue: "none",
          sql: `SELECT service, metric, outcome, toFloat64(sum(number)) AS points
FROM (
  SELECT ${attribute("tidemark.source")} AS service, ${attribute("tidemark.overflow.metric")} AS metric, ${attribute("tidemark.overflow.outcome")} AS outcome, number
  FROM ${ownSource("tidemark.ingest.overflow")}
)
WHERE ${SOURCE_FILTER}
GROUP BY service, metric, outcome
HAVING points > 0
ORDER BY points DESC
LIMIT 50`,
        }),
        lines({
          id: 453,
          colours: COLOURS,
          title: "How many series are alive?",
          description:
            "Series of generic metrics that each ingest has seen in the last half to one hour. A slope that does not end is an endless attribute.",
          width: 24,
          height: 6,
          unit: "short",
          sql: ownGauge("series"),
        }),
      ],
    },
  ],
};
