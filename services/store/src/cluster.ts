import { type Retention, withRetention } from "./retention.ts";

/** Where the tables of a cluster live: a cluster of the servers' `remote_servers`, and a database on every node. */
export interface Cluster {
  readonly name: string;
  readonly database: string;
}

const LOCAL = "_local";
const ROLLUP_SUFFIX = /_(1m|5m|1h)$/;
const ENGINE = /^ENGINE = (\w*)MergeTree(?:\(([^)]*)\))?/m;
const SINGLE_WINDOW = "non_replicated_deduplication_window = 10000";
/** A retry may come a week later: as long as the ingest keeps what ClickHouse did not take. */
const REPLICATED_WINDOW = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800";

/**
 * Which shard a row goes to. Deterministic, so that a repeated insert is split into the same blocks; and what is joined
 * (samples with their series, timings with their statements) lies on one shard.
 */
const SHARDING_KEYS: Readonly<Record<string, string>> = {
  series: "series_id",
  series_lives: "series_id",
  samples: "series_id",
  histograms: "series_id",
  exp_histograms: "series_id",
  summaries: "series_id",
  resource_samples: "cityHash64(service, instance)",
  http_requests: "cityHash64(service, instance)",
  request_phases: "cityHash64(service, instance)",
  connection_memory: "cityHash64(service, instance)",
  query_timings: "cityHash64(statement_id)",
  query_statements: "cityHash64(statement_id)",
  alert_events: "cityHash64(rule_id, fingerprint)",
  otel_traces: "cityHash64(TraceId)",
  otel_traces_trace_id_ts: "cityHash64(TraceId)",
  otel_logs: "cityHash64(ServiceName, Timestamp)",
};

/** The one table that every node has whole: which migrations are done. */
const EVERYWHERE = "schema_migrations";

/** The table that holds the rows on one node. */
export function localTable(table: string): string {
  return table === EVERYWHERE ? table : `${table}${LOCAL}`;
}

/**
 * A statement of a migration as it is on a cluster: tables become `<name>_local` with a Replicated engine and, under
 * their own name, a Distributed table over them; materialized views read and fill local tables; all of it on every node.
 * Throws for a statement or a table that has no form on a cluster, so that a new migration cannot forget it.
 */
export function onCluster(statement: string, cluster: Cluster): string[] {
  const text = statement.replace(/^(\s*--.*\n)+/, "");
  const head = /^CREATE TABLE IF NOT EXISTS (\w+)\s*\(/.exec(text);
  if (head !== null) return tables(text, head[1]!, cluster);
  const clause = ` ON CLUSTER ${quote(cluster.name)}`;
  if (/^CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO /.test(text)) {
    return [localised(text).replace(/^(CREATE MATERIALIZED VIEW IF NOT EXISTS \w+)/, `$1${clause}`)];
  }
  if (/^CREATE OR REPLACE VIEW \w+ /.test(text)) return [text.replace(/^(CREATE OR REPLACE VIEW \w+)/, `$1${clause}`)];
  if (/^DROP VIEW IF EXISTS \w+/.test(text)) return [text.replace(/^(DROP VIEW IF EXISTS \w+)/, `$1${clause}`)];
  const dropped = /^DROP TABLE IF EXISTS (\w+)$/.exec(text)?.[1];
  // At once: a table of that name may be made again, under the same path in the Keeper.
  if (dropped !== undefined) {
    return [dropped, localTable(dropped)].map((table) => `DROP TABLE IF EXISTS ${table}${clause} SYNC`);
  }
  if (/^ALTER TABLE \w+_mv\s+MODIFY QUERY/.test(text)) {
    return [localised(text).replace(/^(ALTER TABLE \w+)/, `$1${clause}`)];
  }
  // Counts what is stored already, through the distributed tables: run once, by whoever migrates.
  if (/^INSERT INTO \w+ /.test(text)) return [text];
  const alter = /^ALTER TABLE (\w+)([\s\S]*)$/.exec(text);
  if (alter !== null) {
    const [, table = "", change = ""] = alter;
    key(table);
    const local = `ALTER TABLE ${localTable(table)}${clause}${change}`;
    // What changes the columns themselves the Distributed table must know; codecs, TTLs and settings are of the rows.
    return /\b(ADD|DROP|RENAME) COLUMN\b|\bEPHEMERAL\b/.test(change)
      ? [local, `ALTER TABLE ${table}${clause}${change}`]
      : [local];
  }
  throw new Error(`a migration has a statement without a form on a cluster: ${text.slice(0, 80)}`);
}

/** All statements of a fresh schema on a cluster, in order. */
export function clusterSchema(statements: readonly string[], cluster: Cluster, retention: Retention): string[] {
  return statements.flatMap((statement) => onCluster(withRetention(statement, retention), cluster));
}

function tables(text: string, table: string, { name, database }: Cluster): string[] {
  const clause = ` ON CLUSTER ${quote(name)}`;
  const local = localTable(table);
  const path =
    table === EVERYWHERE
      ? `/clickhouse/tables/${database}/${table}`
      : `/clickhouse/tables/{shard}/${database}/${table}`;
  const replica = table === EVERYWHERE ? "{shard}-{replica}" : "{replica}";
  const engine = ENGINE.exec(text);
  if (engine === null) throw new Error(`table ${table} has no MergeTree engine: it has no form on a cluster`);
  const [whole, kind = "", args = ""] = engine;
  const parameters = [quote(path), quote(replica), ...(args === "" ? [] : [args])].join(", ");
  const replicated = text
    .replace(/^CREATE TABLE IF NOT EXISTS \w+/, `CREATE TABLE IF NOT EXISTS ${local}${clause}`)
    .replace(whole, `ENGINE = Replicated${kind}MergeTree(${parameters})`)
    .replace(SINGLE_WINDOW, REPLICATED_WINDOW);
  if (table === EVERYWHERE) return [replicated];
  const distributed = `Distributed(${quote(name)}, ${quote(database)}, ${quote(local)}, ${key(table)})`;
  return [replicated, `CREATE TABLE IF NOT EXISTS ${table}${clause} AS ${local} ENGINE = ${distributed}`];
}

/** Names of tables in a materialized view, of which each works on its own node's rows. */
function localised(text: string): string {
  return text.replace(/\b(TO|FROM|JOIN) (\w+)\b/g, (whole, word, table) =>
    isTable(table)
      ? `${word} ${table}${LOCAL}${word === "FROM" && !aliased(text, table) ? ` AS ${table}` : ""}`
      : whole,
  );
}

const aliased = (text: string, table: string): boolean => new RegExp(`\\bFROM ${table} AS \\w`).test(text);

function isTable(table: string): boolean {
  return table.replace(ROLLUP_SUFFIX, "") in SHARDING_KEYS;
}

function key(table: string): string {
  const found = SHARDING_KEYS[table.replace(ROLLUP_SUFFIX, "")];
  if (found === undefined) throw new Error(`table ${table} has no sharding key: name one in cluster.ts`);
  return found;
}

function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
