import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createStoreClient } from "../src/client.ts";
import { migrate } from "../src/migrate.ts";
import { readMigrations, splitStatements } from "../src/migrations.ts";
import { SATURATION_COLUMNS, TABLES } from "../src/tables.ts";
import { type Engine, rows, startEngine } from "./engine.ts";

const MIGRATIONS = fileURLToPath(new URL("../migrations/", import.meta.url));
/** The first 16 digits of the SHA-256 of each migration that is out there, as its installations have recorded it. */
const RECORDED = {
  1: "b4438b0395b2d003",
  2: "009d791f3aeeca3b",
  3: "4ae84d5d549bd37d",
  4: "ca1f45f95454609b",
  5: "d537f8a9e3dd206e",
};
const latest = readMigrations().length;
let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.stop());

function copy(edit: (directory: string) => void): string {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-migrations-"));
  cpSync(MIGRATIONS, directory, { recursive: true });
  edit(directory);
  return directory;
}

test("makes the database and every table and view, says which step it is at, and does nothing the second time", async () => {
  const steps: string[] = [];
  const first = await migrate(engine.url(), {
    onProgress: ({ number, total, name }) => steps.push(`${number}/${total} ${name}`),
  });
  expect(first).toEqual({ applied: Array.from({ length: latest }, (_, i) => i + 1), version: latest });
  expect(steps[0]).toBe(`1/${latest} metrics`);
  expect(await migrate(engine.url())).toEqual({ applied: [], version: latest });
  const tables = await rows<{ name: string }>(
    engine.readerUrl(),
    "SELECT name FROM system.tables WHERE database = 'tidemark' AND engine != 'MaterializedView'",
  );
  expect(tables.map((table) => table.name).sort()).toEqual(Object.values(TABLES).sort());
  for (const table of Object.values(TABLES)) await rows(engine.readerUrl(), `SELECT * FROM ${table} LIMIT 1`);
});

test("the view saturation has the columns of the contract, in their order", async () => {
  const columns = await rows<{ name: string }>(engine.readerUrl(), "DESCRIBE TABLE saturation");
  expect(columns.map((column) => column.name)).toEqual([...SATURATION_COLUMNS]);
});

test("two at once both succeed and leave one record of each migration", async () => {
  const url = engine.url("together");
  await Promise.all([migrate(url), migrate(url), migrate(url)]);
  expect(await rows(url, "SELECT uniqExact(number) AS n, uniqExact(checksum) AS c FROM schema_migrations")).toEqual([
    { n: latest, c: latest },
  ]);
});

test("every statement may run twice, so a runner that died half way can start again", async () => {
  const url = engine.url("again");
  await migrate(url);
  const client = createStoreClient(url);
  await client.command({ query: "TRUNCATE TABLE schema_migrations" });
  await client.close();
  expect((await migrate(url)).applied).toHaveLength(latest);
});

test("refuses a changed migration and a database newer than the program, naming the migration", async () => {
  const url = engine.url("changed");
  await migrate(url);
  const changed = copy((directory) => {
    const file = join(directory, "0002_subjects.sql");
    writeFileSync(file, `${readFileSync(file, "utf8")}\n;\nSELECT 1`);
  });
  await expect(migrate(url, { directory: changed })).rejects.toThrow(
    /Migration 2 \(subjects\) was applied to database changed with another text/,
  );
  const newest = readMigrations().at(-1)!;
  const newestFile = `${String(newest.number).padStart(4, "0")}_${newest.name}.sql`;
  const older = copy((directory) => rmSync(join(directory, newestFile)));
  await expect(migrate(url, { directory: older })).rejects.toThrow(
    `has migration ${newest.number} (${newest.name}), which this version of Tidemark does not know`,
  );
  const gap = copy((directory) => rmSync(join(directory, "0002_subjects.sql")));
  expect(() => readMigrations(gap)).toThrow(/expected 0002_<name>\.sql/);
  for (const directory of [changed, older, gap]) rmSync(directory, { recursive: true });
});

test("rows from before the rollups are counted once, although a runner died half way and two repeat it at once", async () => {
  const url = engine.url("backfill");
  const numbered = (directory: string, from: number) =>
    readdirSync(directory).filter((file) => file.endsWith(".sql") && Number(file.slice(0, 4)) >= from);
  const before = copy((directory) => numbered(directory, 5).map((file) => rmSync(join(directory, file))));
  await migrate(url, { directory: before });
  const client = createStoreClient(url);
  const rowsOfDays = "FROM numbers(9000)";
  const ts = "now64(3) - INTERVAL (60 + number * 29) SECOND";
  for (const insert of [
    `resource_samples (ts, service, instance, kind, name, capacity, busy, wait_count, wait_buckets, points) SELECT ${ts}, 's', toString(number % 3), 'db_pool', 'p', 4, 1, 2, map(toInt16(number % 9), toUInt64(2)), 5`,
    `http_requests (ts, service, instance, route, count, buckets) SELECT ${ts}, 's', toString(number % 3), '/', 3, map(toInt16(number % 9), toUInt64(3))`,
    `request_phases (ts, service, instance, phase, count, buckets) SELECT ${ts}, 's', toString(number % 3), 'db', 3, map(toInt16(number % 9), toUInt64(3))`,
    `query_timings (ts, service, instance, statement_id, count, buckets) SELECT ${ts}, 's', toString(number % 3), number % 7, 3, map(toInt16(number % 9), toUInt64(3))`,
    `connection_memory (ts, service, instance, kind, connections) SELECT ${ts}, 's', toString(number % 3), 'http', number % 5`,
    `exp_histograms (ts, metric, service, series_id, count, scale, positive) SELECT ${ts}, 'm', 's', number % 3, 3, number % 8, map(toInt32(number % 9), toUInt64(3))`,
  ]) {
    await client.command({ query: `INSERT INTO ${insert} ${rowsOfDays}` });
  }
  await client.close();

  const died = copy((directory) => {
    const [file = ""] = numbered(directory, 5);
    const statements = readFileSync(join(directory, file), "utf8").split("\n;\n");
    const third = statements.flatMap((text, i) => (text.includes("-- for each day of") ? [i] : []))[3]!;
    statements.splice(third, 0, "SELECT died_here");
    writeFileSync(join(directory, file), statements.join("\n;\n"));
  });
  await expect(migrate(url, { directory: died })).rejects.toThrow("died_here");
  await Promise.all([migrate(url), migrate(url)]);
  for (const directory of [before, died]) rmSync(directory, { recursive: true });

  for (const [table, n, buckets, tiers] of [
    ["resource_samples", "exports", "wait_buckets", ["1m", "5m", "1h"]],
    ["http_requests", "exports", "buckets", ["1m", "5m", "1h"]],
    ["request_phases", "exports", "buckets", ["1m", "5m", "1h"]],
    ["query_timings", "exports", "buckets", ["1m", "5m", "1h"]],
    ["connection_memory", "exports", undefined, ["1m", "1h"]],
    ["exp_histograms", "n", undefined, ["1m", "1h"]],
  ] as const) {
    const shown = (count: string) =>
      `SELECT toDate(ts) AS day, ${count} AS n${buckets === undefined ? "" : `, sumMap(${buckets}) AS b`}`;
    const base = await rows(url, `${shown("count()")} FROM ${table} GROUP BY day ORDER BY day`);
    expect(base.length).toBeGreaterThanOrEqual(4);
    for (const tier of tiers) {
      const rolled = await rows(url, `${shown(`sum(${n})`)} FROM ${table}_${tier} GROUP BY day ORDER BY day`);
      expect([table, tier, rolled]).toEqual([table, tier, base]);
    }
  }
});

test("the texts of migrations that are out there do not change", () => {
  const recorded = Object.fromEntries(readMigrations().map(({ number, checksum }) => [number, checksum.slice(0, 16)]));
  expect(recorded).toMatchObject(RECORDED);
});

test("a changed retention reaches existing tables, and only it", async () => {
  const url = engine.url("kept");
  await migrate(url, { retention: { rawDays: 3, tracesDays: 4 } });
  const days = async () =>
    Object.fromEntries(
      (
        await rows<{ name: string; days: string }>(
          url,
          "SELECT name, extract(engine_full, 'toIntervalDay\\\\((\\\\d+)\\\\)') AS days FROM system.tables WHERE database = 'kept' AND days != ''",
        )
      ).map((row) => [row.name, Number(row.days)]),
    );
  expect(await days()).toMatchObject({
    samples: 3,
    resource_samples: 3,
    otel_traces: 4,
    otel_traces_trace_id_ts: 4,
    otel_logs: 15,
    samples_1m: 90,
  });
  await migrate(url, { retention: { rawDays: 30, tracesDays: 4 } });
  expect(await days()).toMatchObject({
    samples: 30,
    http_requests: 30,
    otel_traces: 4,
    otel_logs: 15,
    samples_1h: 400,
    series: 401,
  });
  await expect(migrate(url, { retention: { rawDays: 0 } })).rejects.toThrow("retention rawDays is 0");
  const short = { rawDays: 100, oneMinuteDays: 90 };
  await expect(migrate(url, { retention: short })).rejects.toThrow(
    "retention oneMinuteDays is 90, less than rawDays (100)",
  );
  await expect(migrate(url, { retention: { oneHourDays: 89 } })).rejects.toThrow("retention oneHourDays is 89");
});

test("takes a client of its own making, and tells a bad URL", async () => {
  const client = createStoreClient(engine.url());
  expect(await migrate(client)).toEqual({ applied: [], version: latest });
  await client.close();
  await expect(migrate("clickhouse://x")).rejects.toThrow("expected http: or https:");
  await expect(migrate("nonsense")).rejects.toThrow("TIDEMARK_CLICKHOUSE_URL is not a URL");
  await expect(migrate(engine.url().replace("secret", "wrong"))).rejects.toThrow(/Authentication failed/);
});

test("a read-only client cannot write, whoever its user is", async () => {
  const client = createStoreClient(engine.url(), { readOnly: true });
  expect(await (await client.query({ query: "SELECT 1 AS a", format: "JSONEachRow" })).json()).toEqual([{ a: 1 }]);
  await expect(client.command({ query: "DROP TABLE samples" })).rejects.toThrow();
  await expect(client.insert({ table: "series", values: [{ metric: "m" }], format: "JSONEachRow" })).rejects.toThrow();
  await client.close();
});

test("splits statements at lines of a lone semicolon only", () => {
  expect(splitStatements("SELECT ';'\n;\n-- nothing\n;\nSELECT 2 ; \n ;x\n;\n")).toEqual([
    "SELECT ';'",
    "SELECT 2 ; \n ;x",
  ]);
});
