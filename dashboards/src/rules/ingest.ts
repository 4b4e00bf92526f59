import { DASHBOARDS, PANELS } from "../panel-ids.ts";
import type { Rule, Timing } from "./rule.ts";

const RUNBOOK = "dashboards/runbooks.md";
/** Points below which a share of them is not judged. */
const MIN_POINTS = 100;

/** `(SELECT ...)` of one of the ingest's own metrics with the identity of its series; columns `ts, service, instance, attributes, number`. */
function own(metric: string): string {
  const name = `tidemark.ingest.${metric}`;
  return `(
  SELECT s.ts AS ts, CAST(s.service, 'String') AS service, CAST(x.instance, 'String') AS instance, x.attributes AS attributes, s.value AS number
  FROM tidemark.samples AS s
  ANY LEFT JOIN (SELECT series_id, instance, attributes FROM tidemark.series WHERE metric = '${name}') AS x ON s.series_id = x.series_id
  WHERE s.metric = '${name}' AND $__timeFilter(s.ts)
)`;
}

/**
 * Rules about Tidemark itself, from what each ingest stores every 10 s. They see what reached ClickHouse: while it is away for all, the
 * evaluator's own error tells; when it is away for one ingest, that one's silence does. Sources of the thresholds: 60 s is six reports,
 * and older than any panel calls "now"; 0.4 of the quota is before the half from which an ingest keeps no reports; 1 % of the data is what a rate is no longer right without.
 */
export function ingestRules(timing: Timing, absent: Timing): readonly Rule[] {
  return [
    {
      id: "tidemark-ingest-silent",
      title: "An ingest does not reach ClickHouse",
      sql: `SELECT service, instance, toFloat64(greatest(0, toFloat64(now64(3)) - toFloat64(max(ts)))) AS value
FROM ${own("queue.age")}
GROUP BY service, instance`,
      ...absent,
      op: "gt",
      threshold: 60,
      recover: 30,
      unit: "s",
      severity: "critical",
      noData: "ok",
      labels: {},
      annotations: {
        summary: "{{ $labels.service }} {{ $labels.instance }}: no report for {{ $values.A.Value }} s",
        cause: "This ingest is gone, or ClickHouse does not take its data.",
        effect: "What it acknowledges waits in its log and is on no dashboard; other rules judge old data.",
        action: "Ask its /readyz; it says what is in the way. Then ClickHouse, then the network between them.",
      },
      runbook: `${RUNBOOK}#an-ingest-does-not-reach-clickhouse`,
      dashboard: DASHBOARDS.ingest,
      panelId: PANELS.ingestReports,
    },
    {
      id: "tidemark-ingest-lag",
      title: "Data reaches ClickHouse late",
      sql: `SELECT service, instance, toFloat64(argMax(number, ts)) AS value
FROM ${own("queue.age")}
GROUP BY service, instance`,
      ...timing,
      op: "gt",
      threshold: 60,
      recover: 10,
      unit: "s",
      severity: "warning",
      noData: "ok",
      labels: {},
      annotations: {
        summary: "{{ $labels.service }} {{ $labels.instance }}: storage is {{ $values.A.Value }} s behind",
        cause: "ClickHouse was away and the log is catching up, or it takes less than arrives.",
        effect: "Dashboards and alerts see everything that much later; nothing is lost until the log is full.",
        action:
          "Compare rows per second with what arrives. Catching up: wait. Falling behind: find what keeps ClickHouse busy.",
      },
      runbook: `${RUNBOOK}#data-reaches-clickhouse-late`,
      dashboard: DASHBOARDS.ingest,
      panelId: PANELS.ingestLag,
    },
    {
      id: "tidemark-ingest-log-full",
      title: "The ingest's log fills up",
      sql: `SELECT service, instance, toFloat64(ifNull(argMaxIf(number, ts, what = 'size') / nullIf(argMaxIf(number, ts, what = 'limit'), 0), 0)) AS value
FROM (
  SELECT ts, service, instance, number, 'size' AS what FROM ${own("queue.size")}
  UNION ALL
  SELECT ts, service, instance, number, 'limit' AS what FROM ${own("queue.limit")}
)
GROUP BY service, instance`,
      ...timing,
      forSeconds: 0,
      op: "gt",
      threshold: 0.4,
      recover: 0.2,
      unit: "ratio",
      severity: "critical",
      noData: "ok",
      labels: {},
      annotations: {
        summary:
          "{{ $labels.service }} {{ $labels.instance }}: the log is filled to {{ $values.A.Value }} of its quota",
        cause: "ClickHouse has been away or too slow for long.",
        effect: "At 1 senders are told to wait; agents keep little, so data is lost at the sources from then on.",
        action: "Bring ClickHouse back; if the disk has room, raise TIDEMARK_LOG_QUOTA_BYTES to win time.",
      },
      runbook: `${RUNBOOK}#the-ingests-log-fills-up`,
      dashboard: DASHBOARDS.ingest,
      panelId: PANELS.ingestLog,
    },
    {
      id: "tidemark-ingest-rejected",
      title: "Data is rejected",
      sql: `SELECT service, signal, reason, toFloat64(rejected / points) AS value
FROM (
  SELECT service, signal, reason, sumIf(number, reason != '') AS rejected, sum(sumIf(number, reason = '')) OVER (PARTITION BY service, signal) AS points
  FROM (
    SELECT service, attributes['tidemark.signal'] AS signal, attributes['tidemark.rejected.reason'] AS reason, number FROM ${own("rejected")}
    UNION ALL
    SELECT service, attributes['tidemark.signal'] AS signal, '' AS reason, number FROM ${own("points")}
  )
  WHERE reason != 'too_many_series'
  GROUP BY service, signal, reason
)
WHERE reason != '' AND points >= ${MIN_POINTS}`,
      ...timing,
      op: "gt",
      threshold: 0.01,
      recover: 0.005,
      unit: "ratio",
      severity: "warning",
      noData: "ok",
      labels: {},
      annotations: {
        summary:
          "{{ $labels.service }}: {{ $values.A.Value }} of all {{ $labels.signal }} are rejected: {{ $labels.reason }}",
        cause: "A sender's clock is wrong, or it sends what has no meaning; the reason says which.",
        effect: "That part of the data is on no dashboard and will not come again.",
        action: "The sender's own log has the partial success with the sentence; mend it there.",
      },
      runbook: `${RUNBOOK}#data-is-rejected`,
      dashboard: DASHBOARDS.ingest,
      panelId: PANELS.rejections,
    },
    {
      id: "tidemark-series-overflow",
      title: "A metric has too many series",
      sql: `SELECT service, metric, toFloat64(least(1, over / points)) AS value
FROM (
  SELECT service, metric, sumIf(number, metric != '') AS over, sum(sumIf(number, metric = '')) OVER (PARTITION BY service) AS points
  FROM (
    SELECT attributes['tidemark.source'] AS service, attributes['tidemark.overflow.metric'] AS metric, number FROM ${own("overflow")}
    UNION ALL
    SELECT attributes['tidemark.source'] AS service, '' AS metric, number FROM ${own("points")}
  )
  GROUP BY service, metric
)
WHERE metric != '' AND points >= ${MIN_POINTS}`,
      ...timing,
      op: "gt",
      threshold: 0.01,
      recover: 0.005,
      unit: "ratio",
      severity: "warning",
      noData: "ok",
      labels: {},
      annotations: {
        summary:
          "{{ $labels.service }}: {{ $values.A.Value }} of its points are of {{ $labels.metric }} beyond the budget of series",
        cause: "An attribute that never repeats: a user, a path, a random name.",
        effect: "Delta counters and histograms beyond the budget are in one marked series; gauges and totals are lost.",
        action:
          "Take the attribute away at the sender, or raise TIDEMARK_MAX_SERIES_PER_METRIC if all of them are wanted.",
      },
      runbook: `${RUNBOOK}#a-metric-has-too-many-series`,
      dashboard: DASHBOARDS.ingest,
      panelId: PANELS.overflow,
    },
  ];
}
