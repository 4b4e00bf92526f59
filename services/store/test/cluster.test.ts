import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusterSchema, onCluster } from "../src/cluster.ts";
import { readMigrations } from "../src/migrations.ts";
import { DEFAULT_RETENTION, withRetention } from "../src/retention.ts";

const CLUSTER = { name: "tidemark", database: "tidemark" };
const ON_CLUSTER = " ON CLUSTER 'tidemark'";
/** Without what fills new tables from old ones, which an empty database does not need. */
const statements = readMigrations()
  .flatMap((migration) => migration.statements)
  .filter((statement) => !/^INSERT INTO/m.test(statement));
const schema = clusterSchema(statements, CLUSTER, DEFAULT_RETENTION);

test("a table becomes a replicated one on every node, and a distributed one under its name", () => {
  const [local, distributed] = onCluster(
    `-- A comment.
CREATE TABLE IF NOT EXISTS series
(
    metric LowCardinality(String),
    series_id UInt64,
    last_seen DateTime('UTC')
)
ENGINE = ReplacingMergeTree(last_seen)
ORDER BY (metric, series_id)
SETTINGS non_replicated_deduplication_window = 10000`,
    CLUSTER,
  );
  expect(local).toBe(`CREATE TABLE IF NOT EXISTS series_local ON CLUSTER 'tidemark'
(
    metric LowCardinality(String),
    series_id UInt64,
    last_seen DateTime('UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tidemark/series', '{replica}', last_seen)
ORDER BY (metric, series_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800`);
  expect(distributed).toBe(
    "CREATE TABLE IF NOT EXISTS series ON CLUSTER 'tidemark' AS series_local ENGINE = Distributed('tidemark', 'tidemark', 'series_local', series_id)",
  );
});

test("a materialized view stays on its node, a view reads the whole cluster", () => {
  const view = "CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1h_mv TO samples_1h AS SELECT ts FROM samples_1m AS r";
  expect(onCluster(view, CLUSTER)).toEqual([
    "CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1h_mv ON CLUSTER 'tidemark' TO samples_1h_local AS SELECT ts FROM samples_1m_local AS r",
  ]);
  expect(onCluster("ALTER TABLE samples_1h_mv MODIFY QUERY\nSELECT ts FROM samples_1m", CLUSTER)).toEqual([
    "ALTER TABLE samples_1h_mv ON CLUSTER 'tidemark' MODIFY QUERY\nSELECT ts FROM samples_1m_local AS samples_1m",
  ]);
  expect(onCluster("CREATE OR REPLACE VIEW v AS SELECT 1 FROM samples", CLUSTER)).toEqual([
    "CREATE OR REPLACE VIEW v ON CLUSTER 'tidemark' AS SELECT 1 FROM samples",
  ]);
});

test("a codec or a setting is changed where the rows are, a new column and one that can no longer be read on both", () => {
  expect(onCluster("ALTER TABLE samples MODIFY COLUMN e CODEC(ZSTD(3))", CLUSTER)).toEqual([
    "ALTER TABLE samples_local ON CLUSTER 'tidemark' MODIFY COLUMN e CODEC(ZSTD(3))",
  ]);
  expect(onCluster("ALTER TABLE samples ADD COLUMN IF NOT EXISTS x UInt8", CLUSTER)).toEqual([
    "ALTER TABLE samples_local ON CLUSTER 'tidemark' ADD COLUMN IF NOT EXISTS x UInt8",
    "ALTER TABLE samples ON CLUSTER 'tidemark' ADD COLUMN IF NOT EXISTS x UInt8",
  ]);
  expect(onCluster("ALTER TABLE samples_1m MODIFY COLUMN last UInt8 EPHEMERAL", CLUSTER)).toEqual([
    "ALTER TABLE samples_1m_local ON CLUSTER 'tidemark' MODIFY COLUMN last UInt8 EPHEMERAL",
    "ALTER TABLE samples_1m ON CLUSTER 'tidemark' MODIFY COLUMN last UInt8 EPHEMERAL",
  ]);
  expect(onCluster("ALTER TABLE samples MODIFY SETTING merge_selector_base = 12", CLUSTER)).toEqual([
    "ALTER TABLE samples_local ON CLUSTER 'tidemark' MODIFY SETTING merge_selector_base = 12",
  ]);
});

test("a table that is to be made anew goes at once, with its rows on every node", () => {
  expect(onCluster("DROP TABLE IF EXISTS samples_1m", CLUSTER)).toEqual([
    "DROP TABLE IF EXISTS samples_1m ON CLUSTER 'tidemark' SYNC",
    "DROP TABLE IF EXISTS samples_1m_local ON CLUSTER 'tidemark' SYNC",
  ]);
  expect(() => onCluster("DROP TABLE samples_1m", CLUSTER)).toThrow(/without a form on a cluster/);
});

test("refuses what has no form on a cluster: other statements, other engines, tables without a sharding key", () => {
  expect(() => onCluster("TRUNCATE TABLE samples", CLUSTER)).toThrow(/without a form on a cluster/);
  expect(() => onCluster("CREATE TABLE IF NOT EXISTS samples (a UInt8) ENGINE = Memory", CLUSTER)).toThrow(
    /no MergeTree/,
  );
  expect(() => onCluster("CREATE TABLE IF NOT EXISTS x (a UInt8)\nENGINE = MergeTree\nORDER BY a", CLUSTER)).toThrow(
    /table x has no sharding key/,
  );
});

test("a single server's SQL knows nothing of replicas and clusters", () => {
  for (const statement of statements) expect(statement).not.toMatch(/Replicated|Distributed|ON CLUSTER|\{shard\}/);
});

describe("on a real engine, with one shard and the in-memory stand-in for Keeper of ClickHouse's own tests", () => {
  let directory: string;
  let engine: ChildProcess;

  async function run(sql: string): Promise<string> {
    const answered = once(engine, "message");
    engine.send(sql);
    const [{ result, error }] = (await answered) as [{ result?: string; error?: string }];
    if (result === undefined) throw new Error(`${sql}\n${error}`);
    return result;
  }

  // The engine has no worker for ON CLUSTER: what one would send to every node is run here. It starts replicated tables
  // read-only, as it has no port for other replicas: they are made and read. What is written and altered is in
  // `plain`, the same schema without the word Replicated.
  const replicated = schema.filter((statement) => /^CREATE/.test(statement)).map(withoutClause);
  const plain = clusterSchema(statements, { ...CLUSTER, database: "plain" }, DEFAULT_RETENTION).map(unreplicated);
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "tidemark-cluster-"));
    const config = join(directory, "cluster.xml");
    writeFileSync(config, CONFIG);
    engine = fork(fileURLToPath(new URL("chdb-child.mjs", import.meta.url)), [join(directory, "data"), config]);
    for (const database of ["tidemark", "plain", "alone"]) await run(`CREATE DATABASE ${database}`);
    await run("USE tidemark");
    for (const statement of replicated) await run(statement);
    await run("USE plain");
    for (const statement of plain) await run(statement);
    await run("USE alone");
    for (const statement of statements) await run(withRetention(statement, DEFAULT_RETENTION));
  });
  afterAll(() => {
    engine.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });

  test("every statement parses as it goes to the cluster", async () => {
    for (const statement of schema) {
      expect(statement).toContain(ON_CLUSTER);
      expect(await run(`EXPLAIN AST ${statement}`)).toMatch(/Create|Alter|Drop/);
    }
  });

  test("every table has an engine with replicas, the deduplication window, and a distributed table over it", async () => {
    const engines = (database: string, column: string): Promise<string> =>
      run(`SELECT replaceRegexpOne(name, '_local$', '') AS t, ${column} FROM system.tables
           WHERE database = '${database}' AND engine LIKE '%MergeTree' ORDER BY t`);
    expect(await engines("tidemark", "replaceOne(engine, 'Replicated', '')")).toBe(await engines("alone", "engine"));
    expect(await engines("tidemark", "engine LIKE 'Replicated%'")).toBe(await engines("alone", "1"));
    const windows = (pattern: string, database: string): Promise<string> =>
      engines(database, `engine_full LIKE '% ${pattern} = 10000%'`);
    expect(await windows("replicated_deduplication_window", "tidemark")).toBe(
      await windows("non_replicated_deduplication_window", "alone"),
    );
    const distributed =
      "SELECT name FROM system.tables WHERE database = 'tidemark' AND engine = 'Distributed' ORDER BY 1";
    const tables = "SELECT name FROM system.tables WHERE database = 'alone' AND engine LIKE '%MergeTree' ORDER BY 1";
    expect(await run(distributed)).toBe(await run(tables));
  });

  test("every local table has the columns, codecs, keys and the TTL of a single server", async () => {
    const columns = (database: string): Promise<string> =>
      run(`SELECT replaceRegexpOne(table, '_local$', '') AS t, name, type, default_kind, default_expression, compression_codec,
             is_in_sorting_key, is_in_primary_key, is_in_partition_key
           FROM system.columns WHERE database = '${database}' AND table IN
             (SELECT name FROM system.tables WHERE database = '${database}' AND engine LIKE '%MergeTree') ORDER BY t, position`);
    expect(await columns("plain")).toBe(await columns("alone"));
    const keys = (database: string): Promise<string> =>
      run(`SELECT replaceRegexpOne(name, '_local$', '') AS t, engine_full FROM system.tables
           WHERE database = '${database}' AND engine LIKE '%MergeTree' ORDER BY t`);
    expect(await keys("plain")).toBe(await keys("alone"));
  });

  test("every view and every distributed table can be read", async () => {
    for (const database of ["tidemark", "plain"]) {
      const query = `SELECT name FROM system.tables WHERE database = '${database}' AND engine IN ('View', 'Distributed')`;
      const names = (await run(query)).split("\n");
      expect(names.length).toBeGreaterThan(20);
      for (const name of names) {
        await run(`SELECT * FROM ${database}.${name} LIMIT 1 SETTINGS distributed_product_mode = 'local'`);
      }
    }
  });

  test("an insert that is repeated under its token counts once, in the local table and in its rollups", async () => {
    await run("USE plain");
    for (let i = 0; i < 3; i++) await run(insert("samples", "log:7:samples"));
    expect(await run("SELECT count(), sum(value) FROM samples")).toBe("100\t4950");
    expect(await run("SELECT count() FROM samples_local")).toBe("100");
    expect(await run("SELECT sum(n), sum(total) FROM samples_1m")).toBe("100\t4950");
    expect(await run("SELECT sum(n), sum(total) FROM samples_1h")).toBe("100\t4950");
    await run(insert("samples", "log:8:samples"));
    expect(await run("SELECT count() FROM samples")).toBe("200");
    expect(await run("SELECT sum(n) FROM samples_1h")).toBe("200");
  });
});

function withoutClause(statement: string): string {
  return statement.replace(ON_CLUSTER, "");
}

function unreplicated(statement: string): string {
  return withoutClause(statement)
    .replace(/ENGINE = Replicated(\w*)MergeTree\('[^']*', '[^']*'(?:, )?([^)]*)\)/, (_, kind, args) =>
      args === "" ? `ENGINE = ${kind}MergeTree` : `ENGINE = ${kind}MergeTree(${args})`,
    )
    .replace(
      "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
      "non_replicated_deduplication_window = 10000",
    );
}

function insert(table: string, token: string): string {
  return `INSERT INTO ${table} (metric, service, series_id, ts, m, e)
    SELECT 'm', 's', number % 7, toStartOfDay(now64(3, 'UTC')) + number, number, 0 FROM numbers(100)
    SETTINGS insert_deduplicate = 1, insert_deduplication_token = '${token}', deduplicate_blocks_in_dependent_materialized_views = 1,
      distributed_foreground_insert = 1`;
}

const CONFIG = `<clickhouse>
  <tcp_port>9000</tcp_port>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <interserver_http_port>9009</interserver_http_port>
  <zookeeper><implementation>testkeeper</implementation><node><host>127.0.0.1</host><port>2181</port></node></zookeeper>
  <macros><shard>1</shard><replica>replica-1</replica></macros>
  <remote_servers>
    <tidemark>
      <shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
    </tidemark>
  </remote_servers>
</clickhouse>
`;
