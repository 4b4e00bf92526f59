import { setTimeout as delay } from "node:timers/promises";
import { createStoreClient, parseStoreUrl, type StoreClient, urlOfClient } from "./client.ts";
import { localTable, onCluster } from "./cluster.ts";
import { type Migration, readMigrations } from "./migrations.ts";
import { completeRetention, type Retention, withRetention } from "./retention.ts";

const RETRIES = 20;
const RETRY_MS = 100;
/** What two runners get in each other's way with; the statement is idempotent, so it is tried again. Source: ClickHouse ErrorCodes.cpp. */
const RACE_CODES = new Set(["57", "60", "82", "107", "159", "218", "219", "236", "253", "305", "473", "521", "696"]);

const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    number     UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY number`;

export interface MigrateOptions {
  /** Days data is kept; changed values reach existing tables too. */
  retention?: Partial<Retention>;
  /** Called before each migration that is applied. */
  onProgress?: (step: { number: number; name: string; total: number }) => void;
  /** A cluster of the servers' configuration: tables are made on all of its nodes. Without one, on this server alone. */
  cluster?: string | undefined;
  /** Directory of the SQL files; the package's own unless a test says otherwise. */
  directory?: string;
}

export interface MigrateResult {
  /** Numbers applied by this call. */
  applied: number[];
  /** Highest number of the schema now. */
  version: number;
}

/** The schema of the database is not what this version of Tidemark can migrate. */
export class MigrationError extends Error {
  override name = "MigrationError";
}

/**
 * Brings the database of `target` (a URL or a client of {@link createStoreClient}) to the newest schema, making it first.
 *
 * Forward only, idempotent, safe when several run at once: every statement may run twice, and the record of a
 * migration is written after its last statement.
 * Throws {@link MigrationError} when an applied migration's text has changed or the database is newer than this
 * program, and the client's own error when the server cannot be reached or refuses.
 */
export async function migrate(target: string | StoreClient, options: MigrateOptions = {}): Promise<MigrateResult> {
  const url = typeof target === "string" ? target : urlOfClient(target);
  if (url === undefined) throw new TypeError("migrate needs a URL or a client made by createStoreClient");
  const retention = completeRetention(options.retention);
  const migrations = readMigrations(options.directory);
  const { database } = parseStoreUrl(url);
  const root = createStoreClient(url, { database: "default" });
  const client = createStoreClient(url);
  const { cluster } = options;
  const run = async (statement: string): Promise<void> => {
    const forms = cluster === undefined ? [statement] : onCluster(statement, { name: cluster, database });
    for (const form of forms) await command(client, form);
  };
  const everywhere = cluster === undefined ? "" : ` ON CLUSTER '${cluster}'`;
  try {
    await command(root, `CREATE DATABASE IF NOT EXISTS \`${database.replaceAll("`", "\\`")}\`${everywhere}`);
    await run(MIGRATIONS_TABLE);
    const done = await appliedMigrations(client);
    check(done, migrations, database);
    const applied: number[] = [];
    for (const migration of migrations) {
      if (done.has(migration.number)) continue;
      options.onProgress?.({ number: migration.number, name: migration.name, total: migrations.length });
      for (const [index, statement] of migration.statements.entries()) {
        for (const text of await repeated(client, statement, `migration:${migration.number}:${index}`)) {
          await run(withRetention(text, retention));
        }
      }
      const { name, checksum } = migration;
      const values = [{ number: migration.number, name, checksum }];
      await client.insert({ table: "schema_migrations", values, format: "JSONEachRow" });
      applied.push(migration.number);
    }
    await applyRetention(client, migrations, retention, cluster === undefined ? undefined : run);
    return { applied, version: migrations.at(-1)?.number ?? 0 };
  } finally {
    await Promise.all([root.close(), client.close()]);
  }
}

const EACH_DAY = /^-- for each day of (\w+)$/m;

/**
 * A statement marked `-- for each day of TABLE` once for each day that the table has rows of, oldest first; any other as it is.
 * `{day}` becomes the day and `{once}` a text that names statement and day: the token under which an insert counts once.
 */
async function repeated(client: StoreClient, statement: string, name: string): Promise<string[]> {
  const table = EACH_DAY.exec(statement)?.[1];
  if (table === undefined) return [statement];
  const query = `SELECT DISTINCT toString(toDate(ts)) AS day FROM ${table} ORDER BY day`;
  const days = await (await client.query({ query, format: "JSONEachRow" })).json<{ day: string }>();
  return days.map(({ day }) => statement.replaceAll("{day}", day).replaceAll("{once}", `${name}:${day}`));
}

async function appliedMigrations(client: StoreClient): Promise<Map<number, { name: string; checksum: string }>> {
  const query =
    "SELECT number, any(name) AS name, argMax(checksum, applied_at) AS checksum FROM schema_migrations GROUP BY number ORDER BY number";
  const result = await client.query({ query, format: "JSONEachRow" });
  const rows = await result.json<{ number: number; name: string; checksum: string }>();
  return new Map(rows.map(({ number, name, checksum }) => [Number(number), { name, checksum }]));
}

function check(done: Map<number, { name: string; checksum: string }>, migrations: Migration[], database: string): void {
  for (const [number, { name, checksum }] of done) {
    const migration = migrations.find((m) => m.number === number);
    if (migration === undefined) {
      throw new MigrationError(
        `Database ${database} has migration ${number} (${name}), which this version of Tidemark does not know. Use the version that applied it, or a newer one.`,
      );
    }
    if (migration.checksum !== checksum) {
      throw new MigrationError(
        `Migration ${number} (${name}) was applied to database ${database} with another text (${checksum.slice(0, 12)}) than this version has (${migration.checksum.slice(0, 12)}). Applied migrations must not change; use the version that applied it.`,
      );
    }
  }
}

/** Changes the TTL of tables whose retention is not the wanted one; old parts expire as they are merged or dropped. */
async function applyRetention(
  client: StoreClient,
  migrations: Migration[],
  retention: Retention,
  onNodes: ((statement: string) => Promise<void>) | undefined,
): Promise<void> {
  const result = await client.query({
    query:
      "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
    format: "JSONEachRow",
  });
  const engines = new Map(
    (await result.json<{ name: string; engine_full: string }>()).map((row) => [row.name, row.engine_full]),
  );
  for (const statement of migrations.flatMap((m) => m.statements)) {
    const table = /CREATE TABLE IF NOT EXISTS (\w+)/.exec(statement)?.[1];
    const ttl = /^TTL (.*\{retention_\w+\}.*)$/m.exec(statement)?.[1];
    if (table === undefined || ttl === undefined) continue;
    const wanted = withRetention(ttl, retention);
    const days = /INTERVAL (\d+) DAY/.exec(wanted)?.[1];
    const present = /toIntervalDay\((\d+)\)/.exec(
      engines.get(onNodes === undefined ? table : localTable(table)) ?? "",
    )?.[1];
    if (present === undefined || present === days) continue;
    const change = `ALTER TABLE ${table} MODIFY TTL ${wanted} SETTINGS materialize_ttl_after_modify = 0`;
    await (onNodes === undefined ? command(client, change) : onNodes(change));
  }
}

async function command(client: StoreClient, query: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.command({ query });
      return;
    } catch (error) {
      const code = (error as { code?: string }).code ?? "";
      if (!RACE_CODES.has(code) || attempt >= RETRIES) throw error;
      await delay(RETRY_MS * attempt);
    }
  }
}
