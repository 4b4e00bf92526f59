import type { Attributes } from "../shared/messages.ts";
import type { Inbox } from "./inbox.ts";
import type { PoolReport, Report } from "./report.ts";

/** Shares of the injected value by which a measured one may differ. */
const LOOP_TOLERANCE = 0.1;
const POOL_TOLERANCE = 0.15;
const DURATION_TOLERANCE = 0.1;
/** Differences below this many seconds are the machine's, not the agent's. */
const TOLERANCE_SECONDS = 0.002;

/** One comparison of what was injected with what the agent measured. */
export interface Check {
  readonly name: string;
  readonly injected: string;
  readonly measured: string;
  /** `skip`: what it needs is not there. */
  readonly verdict: "ok" | "FAIL" | "skip";
}

const LOOP = resource("event_loop", "main");
const FAST = resource("thread_pool", "fast");

/** The checks of a finished program. */
export function compare(inbox: Inbox, report: Report): Check[] {
  return [
    ...loopChecks(inbox, report),
    meanWait(inbox, "thread-pool wait, mean", FAST, report.pool, POOL_TOLERANCE),
    ...requestChecks(inbox, report),
    ...(report.query === undefined ? [skippedQuery] : queryChecks(inbox, report.query)),
    number("losses and errors of the agent", 0, losses(inbox)),
  ];
}

const skippedQuery: Check = {
  name: "database pool",
  injected: "nothing",
  measured: "pg is not installed here",
  verdict: "skip",
};

function loopChecks(inbox: Inbox, { stall }: Report): Check[] {
  const stalls = inbox.events.filter(({ name }) => name === "tidemark.stall");
  const culprit = stalls.find(({ attributes }) => attributes["code.function.name"] === stall.culprit) ?? stalls[0];
  const { "code.function.name": name, "code.file.path": path, "code.line.number": line } = culprit?.attributes ?? {};
  return [
    meanWait(inbox, "event-loop wait, mean", LOOP, stall, LOOP_TOLERANCE),
    longestWait(inbox, "event-loop wait, longest", LOOP, stall, LOOP_TOLERANCE),
    text(
      "what blocked the event loop",
      stall.culprit,
      culprit === undefined ? "no event" : `${name} (${path}:${line})`,
      name === stall.culprit,
    ),
  ];
}

function requestChecks(inbox: Inbox, { requests, query }: Report): Check[] {
  const durations = inbox.of("http.server.request.duration");
  // The request that repeats a statement comes in an interval of its own, and takes next to no time.
  const slow = durations.filter(({ max }) => max >= requests.mean / 2);
  const injected = requests.count + (query === undefined ? 0 : 1);
  return [
    number("requests", injected, total(durations, "count")),
    seconds("time of a request, mean", requests.mean, mean(slow), DURATION_TOLERANCE),
  ];
}

function queryChecks(inbox: Inbox, query: NonNullable<Report["query"]>): Check[] {
  const pool = { "tidemark.resource.kind": "db_pool" };
  const durations = inbox.of("db.client.operation.duration", {}, query);
  const capacity = Math.max(0, ...inbox.of("tidemark.resource.capacity", pool).map(({ value }) => value));
  const repeated = inbox.events.filter(({ name }) => name === "tidemark.db.n_plus_one").map(({ body }) => body);
  const told = repeated.length === 1 ? repeated[0]! : `${repeated.length} events`;
  return [
    meanWait(inbox, "database pool wait, mean", pool, query, LOOP_TOLERANCE),
    number("database pool, connections", query.capacity, capacity),
    seconds("time of a query, mean", query.duration.mean, mean(durations), DURATION_TOLERANCE),
    text("repeated statement", `${query.repeats} times`, told, told.includes(` ${query.repeats} times`)),
  ];
}

function losses(inbox: Inbox): number {
  return total([...inbox.of("tidemark.agent.errors"), ...inbox.of("tidemark.agent.dropped")], "value");
}

function meanWait(inbox: Inbox, name: string, resource: Attributes, report: PoolReport, tolerance: number): Check {
  const { points, truth } = waitsOf(inbox, resource, report);
  return seconds(name, truth.reduce((sum, wait) => sum + wait, 0) / truth.length, mean(points), tolerance);
}

function longestWait(inbox: Inbox, name: string, resource: Attributes, report: PoolReport, tolerance: number): Check {
  const { points, truth } = waitsOf(inbox, resource, report);
  return seconds(name, Math.max(...truth), Math.max(0, ...points.map(({ max }) => max)), tolerance);
}

/** The agent's intervals that lie within the injection, and the waits that ended in them, in seconds. */
function waitsOf(inbox: Inbox, resource: Attributes, report: PoolReport) {
  const points = inbox.of("tidemark.resource.wait", resource, report);
  const startMs = Math.min(...points.map((point) => point.startMs));
  const endMs = Math.max(...points.map(({ timeMs }) => timeMs));
  const within = report.waits.filter(({ endedMs }) => endedMs > startMs && endedMs <= endMs);
  return { points, truth: within.map((wait) => wait.seconds) };
}

function seconds(name: string, injected: number, measured: number, tolerance: number): Check {
  const good = Math.abs(measured - injected) <= Math.max(tolerance * injected, TOLERANCE_SECONDS);
  return text(name, `${injected.toFixed(3)} s`, `${measured.toFixed(3)} s`, good);
}

function number(name: string, injected: number, measured: number): Check {
  return text(name, String(injected), String(measured), injected === measured);
}

function text(name: string, injected: string, measured: string, good: boolean): Check {
  return { name, injected, measured, verdict: good ? "ok" : "FAIL" };
}

/** Mean of several histograms' values; 0 when there are none. */
function mean(points: readonly { readonly sum: number; readonly count: number }[]): number {
  return total(points, "sum") / Math.max(1, total(points, "count"));
}

function total<Key extends string>(points: readonly Readonly<Record<Key, number>>[], key: Key): number {
  return points.reduce((sum, point) => sum + point[key], 0);
}

function resource(kind: string, name: string): Attributes {
  return { "tidemark.resource.kind": kind, "tidemark.resource.name": name };
}
