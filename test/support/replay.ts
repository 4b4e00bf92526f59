import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createStoreClient, type StoreClient } from "@tidemark/store";
import { metricPoints } from "./otlp-bytes.ts";
import { classicSamples } from "./prometheus-series.ts";
import { isJson, type RecordedRequest } from "./recording.ts";
import { type Tidemark, until } from "./tidemark.ts";

/** Tables whose rows each hold one metric point. */
export const POINT_TABLES = ["samples", "histograms", "exp_histograms", "summaries"] as const;
/** Tables whose rows are made of several points and say of how many. */
export const SUBJECT_TABLES = [
  "resource_samples",
  "http_requests",
  "request_phases",
  "query_timings",
  "connection_memory",
] as const;
/** What describes the points above; a metric point is not complete without it. */
export const DESCRIPTION_TABLES = ["series", "query_statements"] as const;

const STORED_TIMEOUT_MS = 120_000;

/** How much is in the metric bodies of a recording. */
export interface PointCount {
  readonly numbers: number;
  readonly histograms: number;
  /** As Prometheus with classic histograms counts: a histogram is one sample per bucket, its sum and its count. */
  readonly samples: number;
  readonly series: number;
  /** Processes that sent them. */
  readonly processes: number;
}

export function countPoints(requests: Iterable<RecordedRequest>): PointCount {
  const count = { numbers: 0, histograms: 0, samples: 0 };
  const series = new Set<string>();
  const processes = new Set<string>();
  for (const request of requests) {
    if (request.path !== "/v1/metrics" || isJson(request)) continue;
    for (const point of metricPoints(request.body)) {
      const instance = point.resource["service.instance.id"] ?? "";
      series.add(JSON.stringify([point.metric, instance, point.attributes]));
      processes.add(instance);
      if (point.kind === "number") count.numbers++;
      else count.histograms++;
      count.samples += classicSamples(point);
    }
  }
  return { ...count, series: series.size, processes: processes.size };
}

/** Sends the requests in their order, one after the other, and fails at the first that is not taken whole. */
export async function replay(otlp: string, requests: Iterable<RecordedRequest>): Promise<void> {
  for (const { path, contentType, body } of requests) {
    const response = await fetch(`${otlp}${path}`, {
      method: "POST",
      headers: { "content-type": contentType },
      body: new Uint8Array(body),
    });
    const answer = Buffer.from(await response.arrayBuffer());
    const whole = contentType.startsWith("application/json") ? !answer.includes("rejected") : answer.length === 0;
    if (response.status !== 200 || !whole) throw new Error(`${path}: ${response.status} ${answer}`);
  }
}

/** Points that the tables hold now. */
export async function storedPoints(client: StoreClient): Promise<number> {
  const parts = [
    ...POINT_TABLES.map((table) => `SELECT count() AS n FROM ${table}`),
    ...SUBJECT_TABLES.map((table) => `SELECT sum(points) AS n FROM ${table}`),
  ];
  const [row] = await rowsOf<{ n: string }>(client, `SELECT sum(n) AS n FROM (${parts.join(" UNION ALL ")})`);
  return Number(row?.n);
}

/** Waits until the tables hold so many points. Fails where they hold more. */
export async function untilStored(client: StoreClient, points: number): Promise<void> {
  let stored = 0;
  await until(
    () => `${points} points to be stored; there are ${stored}`,
    async () => {
      stored = await storedPoints(client);
      return stored >= points;
    },
    STORED_TIMEOUT_MS,
  );
  if (stored !== points) throw new Error(`${stored} points are stored, ${points} were sent`);
}

/** A client that may write, of a Tidemark with the embedded engine. */
export function writerClient(tidemark: Tidemark): StoreClient {
  const password = readFileSync(join(tidemark.dataDir, "engine-password"), "utf8").trim();
  const url = new URL("/tidemark", tidemark.clickhouse);
  url.username = "tidemark";
  url.password = password;
  return createStoreClient(url.href);
}

export async function rowsOf<Row>(client: StoreClient, query: string): Promise<Row[]> {
  return (await client.query({ query, format: "JSONEachRow" })).json<Row>();
}
