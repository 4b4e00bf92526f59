import { Readable } from "node:stream";
import { type ClickHouseClient, ClickHouseError, createClient } from "@clickhouse/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EngineProcess, startEngineProcess, WRITER_PASSWORD } from "./engine-process.ts";

let engine: EngineProcess;
let client: ClickHouseClient;
let reader: ClickHouseClient;
beforeAll(async () => {
  engine = await startEngineProcess();
  client = createClient({ url: engine.url, username: "tidemark", password: WRITER_PASSWORD, log: { level: 127 } });
  reader = createClient({ url: engine.url, username: "reader", compression: { response: true }, log: { level: 127 } });
});
afterAll(async () => {
  await Promise.all([client?.close(), reader?.close()]);
  await engine.remove();
});

test("@clickhouse/client pings, commands, inserts and queries", async () => {
  expect(await client.ping()).toEqual({ success: true });
  expect(await client.ping({ select: true })).toEqual({ success: true });
  await client.command({ query: "CREATE DATABASE IF NOT EXISTS d" });
  await client.command({
    query: "CREATE TABLE d.t (a UInt64, s String, m Map(String, Float64)) ENGINE = MergeTree ORDER BY a",
  });
  const values = [
    { a: 1, s: "x\n\ny", m: { k: 1.5 } },
    { a: 2, s: "é", m: {} },
  ];
  const inserted = await client.insert({ table: "d.t", values, format: "JSONEachRow" });
  expect(inserted.executed).toBe(true);
  expect(inserted.summary?.written_rows).toBe("2");
  await client.insert({ table: "d.t", values: [[3, "z"]], format: "JSONCompactEachRow", columns: ["a", "s"] });
  await client.insert({ table: "d.t", values: Readable.from([{ a: 4, s: "stream" }]), format: "JSONEachRow" });
  const result = await reader.query({ query: "SELECT * FROM d.t ORDER BY a", format: "JSONEachRow" });
  expect(await result.json()).toEqual([...values, { a: 3, s: "z", m: {} }, { a: 4, s: "stream", m: {} }]);
  const json = await (await reader.query({ query: "SELECT count() AS n FROM d.t" })).json<{ n: string }>();
  expect([json.data, json.rows, json.meta]).toEqual([[{ n: 4 }], 1, [{ name: "n", type: "UInt64" }]]);
});

test("@clickhouse/client streams, binds parameters and passes settings", async () => {
  const result = await reader.query({ query: "SELECT number FROM numbers(100000)", format: "JSONEachRow" });
  let rows = 0;
  for await (const chunk of result.stream()) rows += chunk.length;
  expect(rows).toBe(100_000);
  const bound = await reader.query({
    query: "SELECT {s:String} AS s, {n:UInt8} AS n, {l:Array(String)} AS l, {d:DateTime64(3)} AS d",
    query_params: { s: "it's\ta\n\\", n: 7, l: ["a'b"], d: new Date(0) },
    clickhouse_settings: { session_timezone: "UTC" },
    format: "JSONEachRow",
  });
  expect(await bound.json()).toEqual([{ s: "it's\ta\n\\", n: 7, l: ["a'b"], d: "1970-01-01 00:00:00.000" }]);
});

test("@clickhouse/client inserts raw Native blocks by exec", async () => {
  await client.command({ query: "CREATE TABLE native (a UInt64) ENGINE = MergeTree ORDER BY a" });
  const source = await client.exec({ query: "SELECT number AS a FROM numbers(1000) FORMAT Native" });
  const blocks = Buffer.concat(await source.stream.toArray());
  for (let i = 0; i < 2; i++) {
    const done = await client.exec({
      query: "INSERT INTO native FORMAT Native",
      values: Readable.from([blocks], { objectMode: false }),
      clickhouse_settings: { insert_deduplication_token: "x" },
    });
    await done.stream.resume().toArray();
  }
  const count = await (await client.query({ query: "SELECT count() AS n FROM native", format: "JSONEachRow" })).json<{
    n: number;
  }>();
  expect(count).toEqual([{ n: 2000 }]);
});

test("@clickhouse/client gets typed errors", async () => {
  const error = await reader.query({ query: "SELECT * FROM nope" }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ClickHouseError);
  expect(error).toMatchObject({ code: "60", type: "UNKNOWN_TABLE" });
  await expect(reader.command({ query: "CREATE TABLE x (a Int8) ENGINE = Memory" })).rejects.toMatchObject({
    code: "497",
  });
  await expect(reader.insert({ table: "d.t", values: [{ a: 1 }], format: "JSONEachRow" })).rejects.toMatchObject({
    code: "164",
  });
});
