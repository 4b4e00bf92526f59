import { TIER, TIER_WITHOUT_5M } from "./fragments.ts";

/** The subjects that panels are made of, by the name of their table. */
export type Subject = "resource_samples" | "http_requests" | "request_phases" | "query_timings" | "connection_memory";
/** Those, and the tables of generic metrics. */
export type Table = Subject | "samples" | "exp_histograms";

/** Waits that requests carry; the others are sampled by probes. */
export const STAMPED = `(kind IN ('db_pool', 'executor', 'channel_layer', 'worker') OR (kind = 'thread_pool' AND name NOT IN ('fast', 'slow')))`;
/** An empty map of waits. */
export const NO_WAITS = "CAST(map(), 'Map(Int16, UInt64)')";
const ROOMY = "ifNull(r.busy_max < r.capacity, 0)";
const INSTANT = "toDateTime(r.ts)";

/** SQL of a rollup's column in a row as it came, where that is not the column of the same name: as in the views `*_windows` of the store. */
const AS_IT_CAME: Record<Table, Readonly<Record<string, string>>> = {
  resource_samples: {
    ts: INSTANT,
    exports: "toUInt64(1)",
    capacity_sum: "r.capacity",
    capacity_n: "toUInt64(r.capacity IS NOT NULL)",
    busy_sum: "r.busy",
    busy_n: "toUInt64(r.busy IS NOT NULL)",
    u_busy: "if(r.capacity > 0, r.busy, NULL)",
    u_capacity: "if(r.capacity > 0 AND r.busy IS NOT NULL, r.capacity, NULL)",
    u_max: "r.busy / nullIf(r.capacity, 0)",
    waiting_sum: "r.waiting",
    waiting_n: "toUInt64(r.waiting IS NOT NULL)",
    fullness: "r.waiting_max / nullIf(r.capacity, 0)",
    roomy_buckets: `if(${STAMPED} AND ${ROOMY}, r.wait_buckets, ${NO_WAITS})`,
    full_exports: `toUInt64(NOT ${ROOMY})`,
    noticed: "arraySum(mapValues(mapFilter((k, v) -> k >= -107, r.wait_buckets)))",
  },
  http_requests: { ts: INSTANT },
  request_phases: { ts: INSTANT },
  query_timings: { ts: INSTANT },
  connection_memory: {
    ts: INSTANT,
    connections_sum: "r.connections",
    connections_n: "toUInt64(r.connections IS NOT NULL)",
    memory_bytes_sum: "r.memory_bytes",
    memory_bytes_n: "toUInt64(r.memory_bytes IS NOT NULL)",
  },
  samples: { ts: INSTANT, n: "toUInt64(1)", total: "r.value" },
  exp_histograms: { ts: INSTANT },
};

/** Rollups by the width of their windows in seconds. */
const ROLLUPS = { "1m": 60, "5m": 300, "1h": 3600 } as const;
const WITHOUT_5M: readonly Table[] = ["connection_memory", "samples", "exp_histograms"];

/** SQL that reads `columns` of `table` as they came; `instant` keeps the milliseconds. */
export function rowsAsTheyCame(table: Table, columns: readonly string[], instant?: "ms"): string {
  const raw = AS_IT_CAME[table];
  const sql = (column: string): string =>
    column === "ts" && instant === "ms" ? "r.ts" : (raw[column] ?? `r.${column}`);
  return `SELECT ${columns.map((column) => `${sql(column)} AS ${column}`).join(", ")} FROM tidemark.${table} AS r`;
}

/**
 * `(SELECT ...)` of the rows of a table and of its rollups with `window_seconds`, the time, whose they are, and what `uses` (any SQL) names
 * of their columns. A condition like {@link tierOf} leaves one of them to be read. The views `*_windows` hold the same, but ClickHouse
 * analyses every column of a view, whether it is asked for or not.
 */
export function windowRows(table: Table, uses: string): `(${string}` {
  const asked = columnsIn(table, uses);
  const rollups = Object.entries(ROLLUPS)
    .filter(([name]) => name !== "5m" || !WITHOUT_5M.includes(table))
    .map(
      ([name, seconds]) => `SELECT ${asked.join(", ")}, ${seconds} AS window_seconds FROM tidemark.${table}_${name}`,
    );
  const raw = rowsAsTheyCame(table, asked).replace(" FROM ", ", 0 AS window_seconds FROM ");
  return `(\n    ${[raw, ...rollups].join("\n    UNION ALL ")}\n  )`;
}

/** Condition that picks the rollup; needs `WITH_STEP`. */
export function tierOf(table: Table): string {
  return WITHOUT_5M.includes(table) ? TIER_WITHOUT_5M : TIER;
}

const MEASURED = "route worker count sum max buckets";
/** Columns that panels ask for beside `ts, service, runtime, instance`. */
const COLUMNS: Record<Table, string> = {
  resource_samples:
    "kind name worker scope listener_id busy_max waiting_max wait_count wait_sum wait_max wait_buckets stall_age rejected saturated_time",
  http_requests: `${MEASURED} method status error_type`,
  request_phases: `${MEASURED} phase`,
  query_timings: `${MEASURED} db_alias statement_id summary`,
  connection_memory: "kind memory_type",
  samples: "",
  exp_histograms: "count sum max",
};
const IDENTITY = ["service", "runtime", "instance"];
const GENERIC_IDENTITY = ["metric", "service", "series_id"];

/** Every column of `table` and its rollups that panels may ask for: the time and whose they are first. */
export function windowColumns(table: Table): string[] {
  const identity = table === "samples" || table === "exp_histograms" ? GENERIC_IDENTITY : IDENTITY;
  return [
    ...new Set(["ts", ...identity, ...COLUMNS[table].split(" ").filter(Boolean), ...Object.keys(AS_IT_CAME[table])]),
  ];
}

/** Columns of `table` that `sql` names, a superset: a word in a literal counts as well, and ClickHouse does not read what is not used. */
function columnsIn(table: Table, sql: string): string[] {
  const words = new Set(sql.match(/\w+/g));
  const always = ["ts", ...IDENTITY, ...GENERIC_IDENTITY];
  return windowColumns(table).filter((column) => always.includes(column) || words.has(column));
}

/**
 * `FROM` and the beginning of `WHERE` over a subject in the range; needs `WITH_STEP`.
 *
 * @param uses names of the columns that the query uses beside `ts, service, runtime, instance`, or SQL that has them.
 */
export function fromWindows(subject: Subject, uses: string): string {
  return `FROM ${windowRows(subject, uses)}
  WHERE $__timeFilter(ts) AND ${tierOf(subject)}`;
}
