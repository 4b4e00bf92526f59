import { setTimeout as delay } from "node:timers/promises";
import { bottleneckByWindow } from "@tidemark/dashboards";
import type { createStoreClient } from "@tidemark/store";
import { type Running, readerClient } from "../running.ts";
import { bold, table } from "../terminal.ts";

const DRAIN_TIMEOUT_MS = 20_000;
const POLL_MS = 250;
/** A phase needs a moment to show: connections fill up, the last phase's queue drains. */
const SETTLE_SHARE = 0.2;

/** Where the requests of one runtime waited in one phase. */
export interface Bottleneck {
  /** `kind/name` of the resource, or `none` where nothing waited. */
  readonly bottleneck: string;
  /** Mean utilisation of that resource, a ratio; null where it has no capacity. */
  readonly u: number | null;
  /** 95th percentile of the wait for it, in seconds; null where there is none. */
  readonly w_p95: number | null;
}

export interface Summary {
  readonly ready_seconds: number;
  readonly acknowledged_points: number;
  readonly stored_points: number;
  readonly phases: readonly { readonly name: string; readonly node: Bottleneck; readonly django: Bottleneck }[];
}

type Client = ReturnType<typeof createStoreClient>;

/**
 * Judges each phase of the load's last story. What sends must have stopped before, or the counts of points move meanwhile;
 * waits until the ingest has handed over all it acknowledged.
 */
export async function summarise({ urls }: Running, readySeconds: number): Promise<Summary> {
  const client = readerClient(urls);
  try {
    const acknowledged = await drained(urls.otlp);
    const phases = [];
    for (const { title, from, to } of await loadPhases(client)) {
      const rows = await select<BottleneckRow>(
        client,
        bottleneckByWindow(new Date(from + (to - from) * SETTLE_SHARE), new Date(to)),
      );
      phases.push({ name: title, node: bottleneckOf(rows, "node"), django: bottleneckOf(rows, "django") });
    }
    return {
      ready_seconds: round(readySeconds, 1),
      acknowledged_points: acknowledged,
      stored_points: await storedPoints(client),
      phases,
    };
  } finally {
    await client.close();
  }
}

export function printSummary({ ready_seconds, acknowledged_points, stored_points, phases }: Summary): void {
  const cells = ({ bottleneck, u, w_p95 }: Bottleneck): string[] => [
    bottleneck,
    u === null ? "-" : `${Math.round(u * 100)} %`,
    w_p95 === null ? "-" : duration(w_p95),
  ];
  const rows = [["Phase", "Node waits for", "U", "W p95", "Django waits for", "U", "W p95"]];
  for (const { name, node, django } of phases) rows.push([name, ...cells(node), ...cells(django)]);
  const [head = "", ...lines] = table(rows).split("\n");
  process.stdout.write(`\n${bold(head)}\n${lines.join("\n")}\n\n`);
  process.stdout.write(
    `Ready after ${ready_seconds} s; ${acknowledged_points} points acknowledged, ${stored_points} stored.\n`,
  );
}

interface BottleneckRow {
  readonly runtime: string;
  readonly kind: string;
  readonly name: string;
  readonly u: number | null;
  readonly w_p95: number | null;
}

function bottleneckOf(rows: readonly BottleneckRow[], runtime: string): Bottleneck {
  const row = rows.find((candidate) => candidate.runtime === runtime);
  if (!row?.kind || row.kind === "none") return { bottleneck: "none", u: null, w_p95: null };
  return {
    bottleneck: `${row.kind}/${row.name}`,
    u: row.u === null ? null : round(row.u, 3),
    w_p95: row.w_p95 === null ? null : round(row.w_p95, 4),
  };
}

/** The phases of the load's most recent story, in order; times in milliseconds since 1970. */
async function loadPhases(client: Client): Promise<{ title: string; from: number; to: number }[]> {
  return select(
    client,
    `SELECT title, max(toUnixTimestamp64Milli(ts)) AS from, argMax(toUnixTimestamp64Milli(ts_end), ts) AS to
     FROM annotations WHERE tags = 'tidemark-lab' GROUP BY title ORDER BY from`,
  );
}

/** What is stored of what was sent, counted in the points it came as: the ingest's metrics about itself were promised to nobody. */
async function storedPoints(client: Client): Promise<number> {
  const pivoted = ["resource_samples", "http_requests", "request_phases", "query_timings", "connection_memory"];
  const counted = ["samples", "histograms", "exp_histograms", "summaries", "otel_traces", "otel_logs"];
  const parts = [
    ...pivoted.map((name) => `SELECT sum(points) AS n FROM ${name}`),
    ...counted.map((name) => `SELECT count() AS n FROM ${name} WHERE ${serviceOf(name)} != 'tidemark-ingest'`),
  ];
  const rows = await select<{ n: number }>(client, `SELECT sum(n) AS n FROM (${parts.join(" UNION ALL ")})`);
  return rows[0]?.n ?? 0;
}

function serviceOf(table: string): string {
  return table.startsWith("otel_") ? "ServiceName" : "service";
}

/** Points acknowledged, once as many are inserted or the time is up. */
async function drained(otlp: string): Promise<number> {
  const deadline = Date.now() + DRAIN_TIMEOUT_MS;
  for (;;) {
    const text = await (await fetch(`${otlp}/metrics`)).text();
    const acknowledged = metric(text, "tidemark_ingest_acknowledged_points_total");
    const inserted = metric(text, "tidemark_ingest_inserted_points_total");
    if (inserted >= acknowledged || Date.now() > deadline) return acknowledged;
    await delay(POLL_MS);
  }
}

/** Sum over the label sets of one metric in Prometheus' text form. */
function metric(text: string, name: string): number {
  let sum = 0;
  for (const match of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))) sum += Number(match[1]);
  return sum;
}

async function select<Row>(client: Client, query: string): Promise<Row[]> {
  const result = await client.query({
    query,
    format: "JSONEachRow",
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  });
  return result.json<Row>();
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function duration(seconds: number): string {
  return seconds < 1 ? `${(seconds * 1000).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`;
}
