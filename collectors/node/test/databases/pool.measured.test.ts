import { type Postgres, startPostgres } from "@tidemark/lab";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWithAgent } from "../agent-process.ts";
import { merge, quantile, type Sink, startSink } from "../otlp-sink.ts";
import { type DatabaseServer, describeDatabase, startDatabase } from "./servers.ts";

const TOLERANCE = 0.1;

let sink: Sink;
beforeAll(async () => {
  sink = await startSink();
});
afterAll(() => sink.close());

/** Has twenty callers share a pool of four connections, and compares what the agent says of it with what they say. */
async function compare(pool: string, name: string, system: string, environment: Record<string, string>) {
  sink.points.length = 0;
  const app = runWithAgent("../drivers/pool.mjs", sink.url, { ...environment, POOL: pool });
  expect(await app.ended).toMatchObject({ code: 0 });
  expect(app.output().stderr).toBe("");
  const truth = JSON.parse(app.output().stdout) as { p50: number; count: number };
  const resource = { "tidemark.resource.kind": "db_pool", "tidemark.resource.name": name };
  const client = { "db.client.connection.pool.name": name, "db.system.name": system };
  for (const points of [
    sink.select("tidemark.resource.wait", resource),
    sink.select("db.client.connection.wait_time", client),
  ]) {
    const measured = merge(points);
    const p50 = quantile(measured, 0.5) * 1000;
    console.log(`p50 ${p50.toFixed(1)} ms, the callers' own ${truth.p50.toFixed(1)} ms (${measured.count} waits)`);
    expect(measured.count).toBe(truth.count);
    expect(Math.abs(p50 / truth.p50 - 1)).toBeLessThan(TOLERANCE);
  }
  const highest = (metric: string) => Math.max(...sink.select(metric, resource).map(({ value }) => value));
  expect(highest("tidemark.resource.capacity")).toBe(4);
  expect(highest("tidemark.resource.busy.max")).toBe(4);
  // All twenty while the first connections are being opened, for pools that count those as waiting.
  expect(highest("tidemark.resource.waiting.max")).toBeGreaterThanOrEqual(16);
  expect(highest("tidemark.resource.waiting.max")).toBeLessThanOrEqual(20);
  const statements = merge(
    sink
      .select("db.client.operation.duration")
      .filter(({ attributes }) => /sleep/.test(`${attributes["db.query.text"]}`)),
  );
  expect(statements.count).toBe(truth.count);
  expect(statements.sum / statements.count).toBeGreaterThan(0.01);
}

describe("what twenty callers wait for four connections, within a tenth of their own measurement", () => {
  let postgres: Postgres;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(() => postgres.stop());

  it("of pg's pool, with metrics alone", () =>
    compare("pg", "tidemark_shop", "postgresql", { POSTGRES_URL: postgres.databaseUrl, TIDEMARK_TRACES: "0" }));
  it("of pg's pool, with traces", () =>
    compare("pg", "tidemark_shop", "postgresql", { POSTGRES_URL: postgres.databaseUrl }));
  it("of knex's pool", () => compare("knex", "knex", "other_sql", { POSTGRES_URL: postgres.databaseUrl }));
  it("of sequelize's pool", () =>
    compare("sequelize", "sequelize", "other_sql", { POSTGRES_URL: postgres.databaseUrl }));
});

describeDatabase("mariadb", "the same of mysql2's pool", () => {
  let mariadb: DatabaseServer;
  beforeAll(async () => {
    mariadb = await startDatabase("mariadb");
  });
  afterAll(() => mariadb.stop());

  it("with metrics alone", () =>
    compare("mysql2", "mysql", "mysql", { MYSQL_SOCKET: mariadb.address, TIDEMARK_TRACES: "0" }));
  it("with traces", () => compare("mysql2", "mysql", "mysql", { MYSQL_SOCKET: mariadb.address }));
});
