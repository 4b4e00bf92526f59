import type { ConnectionColumn, ResourceColumn, Route } from "./routing.ts";
import type { Scale4 } from "./scale4.ts";
import type { MetricContext, Series } from "./series.ts";
import type { Tables } from "./tables.ts";

const MAX_POINTS = 65535;

interface Row {
  readonly context: MetricContext;
  readonly ts: number;
  points: number;
}

interface ResourceRow extends Row {
  readonly kind: string;
  readonly name: string;
  readonly scope: string;
  readonly listener: string;
  readonly numbers: Partial<Record<ResourceColumn, number>>;
  wait: { count: number; sum: number; max: number | undefined; buckets: Scale4 } | undefined;
}

interface ConnectionRow extends Row {
  readonly kind: string;
  readonly memoryType: string;
  readonly numbers: Partial<Record<ConnectionColumn, number>>;
}

type NumberRoute = Extract<Route, { to: "resource" | "connections" }>;

/** Counters of one resource that come in several points (by reason): they add up. Everything else: the last counts. */
const SUMMED: ReadonlySet<string> = new Set(["rejected", "opened"]);

/**
 * Joins the points of one request that describe one resource, or one kind of connection, at one time into one row.
 * An agent exports every metric of an interval in one request and with one timestamp, so a row is complete.
 */
export class Pivots {
  private readonly tables: Tables;
  private readonly resources = new Map<string, ResourceRow>();
  private readonly connections = new Map<string, ConnectionRow>();

  constructor(tables: Tables) {
    this.tables = tables;
  }

  clear(): void {
    this.resources.clear();
    this.connections.clear();
  }

  add(context: MetricContext, series: Series, ts: number, route: NumberRoute, value: number): void {
    if (route.to === "resource") put(this.resourceRow(context, series, ts), route.column, value);
    else put(this.connectionRow(context, series, ts), route.column, value);
  }

  addWait(
    context: MetricContext,
    series: Series,
    ts: number,
    count: number,
    sum: number,
    max: number | undefined,
    buckets: Scale4,
  ): void {
    const row = this.resourceRow(context, series, ts);
    row.points++;
    if (row.wait === undefined) row.wait = { count, sum, max, buckets: new Map(buckets) };
    else {
      const { wait } = row;
      wait.count += count;
      wait.sum += sum;
      if (max !== undefined) wait.max = Math.max(wait.max ?? max, max);
      for (const [key, inBucket] of buckets) wait.buckets.set(key, (wait.buckets.get(key) ?? 0) + inBucket);
    }
  }

  write(): void {
    for (const row of this.resources.values()) this.writeResource(row);
    this.joinConnections();
    for (const row of this.connections.values()) this.writeConnection(row);
  }

  private resourceRow(context: MetricContext, { get }: Series, ts: number): ResourceRow {
    const kind = get.get("tidemark.resource.kind") ?? "";
    const name = get.get("tidemark.resource.name") ?? "";
    const scope = get.get("tidemark.resource.scope") ?? "process";
    const listener = get.get("tidemark.listener.id") ?? "";
    const key = `${context.identity.number}\0${context.runtime}\0${ts}\0${kind}\0${name}\0${scope}\0${listener}`;
    let row = this.resources.get(key);
    if (row === undefined) {
      row = { context, ts, kind, name, scope, listener, numbers: {}, wait: undefined, points: 0 };
      this.resources.set(key, row);
    }
    return row;
  }

  private connectionRow(context: MetricContext, { get }: Series, ts: number): ConnectionRow {
    const kind = get.get("tidemark.connection.kind") ?? "";
    const memoryType = get.get("tidemark.memory.type") ?? "";
    const key = connectionKey(context, ts, kind, memoryType);
    let row = this.connections.get(key);
    if (row === undefined) {
      row = { context, ts, kind, memoryType, numbers: {}, points: 0 };
      this.connections.set(key, row);
    }
    return row;
  }

  /** Numbers of connections carry no memory type: they join every row of their kind that has one. */
  private joinConnections(): void {
    for (const [key, row] of this.connections) {
      if (row.memoryType !== "") continue;
      const pairs = [...this.connections.values()].filter(
        (other) =>
          other.memoryType !== "" &&
          other.kind === row.kind &&
          other.ts === row.ts &&
          other.context.identity.number === row.context.identity.number,
      );
      if (pairs.length === 0) continue;
      for (const pair of pairs) Object.assign(pair.numbers, row.numbers);
      pairs[0]!.points += row.points;
      this.connections.delete(key);
    }
  }

  private writeResource(row: ResourceRow): void {
    const table = this.tables.resource_samples;
    const { columns } = table;
    const { numbers, wait } = row;
    this.writeIdentity(table, row);
    columns.group_id.push(row.context.identity.groupId);
    columns.pid.bytes.u32(row.context.identity.pid);
    columns.kind.push(row.kind);
    columns.name.push(row.name);
    columns.scope.push(row.scope);
    columns.listener_id.push(row.listener);
    columns.capacity.pushFloat(numbers.capacity);
    columns.busy.pushFloat(numbers.busy);
    columns.busy_max.pushFloat(numbers.busy_max);
    columns.waiting.pushFloat(numbers.waiting);
    columns.waiting_max.pushFloat(numbers.waiting_max);
    columns.wait_count.pushInteger(wait?.count);
    columns.wait_sum.pushFloat(wait?.sum);
    columns.wait_max.pushFloat(wait?.max);
    for (const [key, count] of wait?.buckets ?? []) {
      columns.wait_buckets.keys.bytes.byte(key & 0xff);
      columns.wait_buckets.keys.bytes.byte((key >> 8) & 0xff);
      columns.wait_buckets.items.bytes.integer(count);
    }
    columns.wait_buckets.close();
    columns.stall_age.pushFloat(numbers.stall_age);
    columns.rejected.pushFloat(numbers.rejected);
    columns.saturated_time.pushFloat(numbers.saturated_time);
  }

  private writeConnection(row: ConnectionRow): void {
    const table = this.tables.connection_memory;
    const { columns } = table;
    const { numbers } = row;
    this.writeIdentity(table, row);
    columns.kind.push(row.kind);
    columns.memory_type.push(row.memoryType);
    columns.connections.pushFloat(numbers.connections);
    columns.opened.pushFloat(numbers.opened);
    columns.memory_bytes.pushFloat(numbers.memory_bytes);
    columns.bytes_per_connection.pushFloat(numbers.bytes_per_connection);
    columns.fit_r2.pushFloat(numbers.fit_r2);
    columns.fit_span.pushFloat(numbers.fit_span);
  }

  private writeIdentity(table: Tables["resource_samples"] | Tables["connection_memory"], row: Row): void {
    const { columns } = table;
    const { identity, runtime } = row.context;
    columns.ts.bytes.integer(row.ts);
    columns.service.push(identity.service);
    columns.runtime.push(runtime);
    columns.environment.push(identity.environment);
    columns.host.push(identity.host);
    columns.instance.push(identity.instance);
    columns.worker.push(identity.worker);
    columns.server.push(identity.server);
    const points = Math.min(MAX_POINTS, row.points);
    columns.points.bytes.byte(points & 0xff);
    columns.points.bytes.byte(points >> 8);
    table.points += row.points;
  }
}

function put<C extends string>(
  row: { points: number; readonly numbers: Partial<Record<C, number>> },
  column: C,
  value: number,
): void {
  row.points++;
  const before: number | undefined = row.numbers[column];
  row.numbers[column] = before !== undefined && SUMMED.has(column) ? before + value : value;
}

function connectionKey(context: MetricContext, ts: number, kind: string, memoryType: string): string {
  return `${context.identity.number}\0${context.runtime}\0${ts}\0${kind}\0${memoryType}`;
}
