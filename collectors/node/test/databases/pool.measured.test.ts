import { type Postgres, startPostgres } from "@tidemark/lab";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runWithAgent } from "../agent-process.ts";
import { merge, quantile, type Sink, startSink } from "../otlp-sink.ts";

const TOLERANCE = 0.1;
const POOL = { "tidemark.resource.kind": "db_pool", "tidemark.resource.name": "tidemark_shop" };
const CLIENT = { "db.client.connection.pool.name": "tidemark_shop", "db.system.name": "postgresql" };

let postgres: Postgres;
let sink: Sink;
beforeAll(async () => {
  [postgres, sink] = await Promise.all([startPostgres(), startSink()]);
});
afterAll(async () => {
  await postgres.stop();
  await sink.close();
});

it.each([
  ["metrics", "0"],
  ["metrics and traces", "1"],
])("finds what twenty callers wait for a pg pool of four, within a tenth, with %s", async (_tiers, traces) => {
  sink.points.length = 0;
  const app = runWithAgent("pool.mjs", sink.url, { POSTGRES_URL: postgres.databaseUrl, TIDEMARK_TRACES: traces });
  expect(await app.ended).toMatchObject({ code: 0 });
  const truth = JSON.parse(app.output().stdout) as { p50: number; count: number };
  for (const points of [
    sink.select("tidemark.resource.wait", POOL),
    sink.select("db.client.connection.wait_time", CLIENT),
  ]) {
    const measured = merge(points);
    const p50 = quantile(measured, 0.5) * 1000;
    console.log(`p50 ${p50.toFixed(1)} ms, the callers' own ${truth.p50.toFixed(1)} ms (${measured.count} waits)`);
    expect(measured.count).toBe(truth.count);
    expect(Math.abs(p50 / truth.p50 - 1)).toBeLessThan(TOLERANCE);
  }
  const latest = (metric: string, attributes = POOL) => sink.select(metric, attributes).map(({ value }) => value);
  expect(Math.max(...latest("tidemark.resource.capacity"))).toBe(4);
  expect(Math.max(...latest("tidemark.resource.busy.max"))).toBe(4);
  expect(Math.max(...latest("tidemark.resource.waiting.max"))).toBe(16);
  const statements = merge(sink.select("db.client.operation.duration", { "db.query.text": "SELECT pg_sleep($1)" }));
  expect(statements.count).toBe(truth.count);
  expect(statements.sum / statements.count).toBeGreaterThan(0.01);
  expect(app.output().stderr).toBe("");
});
