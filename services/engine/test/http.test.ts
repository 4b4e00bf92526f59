import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EngineProcess, startEngineProcess, WRITER } from "./engine-process.ts";

let engine: EngineProcess;
beforeAll(async () => {
  engine = await startEngineProcess();
});
afterAll(() => engine.remove());

const get = (path: string, init?: RequestInit) => fetch(`${engine.url}${path}`, init);

test("answers ping, health, readiness and metrics", async () => {
  expect(await (await get("/ping")).text()).toBe("Ok.\n");
  expect((await get("/healthz")).status).toBe(200);
  expect((await get("/readyz")).status).toBe(200);
  await engine.ask("SELECT 1");
  expect(await (await get("/metrics")).text()).toMatch(/tidemark_engine_queries_total\{kind="read"\} [1-9]/);
  expect((await get("/nowhere")).status).toBe(404);
});

test("takes SQL from the URL, from the body, and from both", async () => {
  expect(await (await get("/?query=SELECT%201")).text()).toBe("1\n");
  expect((await engine.ask("SELECT 2")).text).toBe("2\n");
  expect((await engine.ask("3", { query: "SELECT " })).text).toBe("3\n");
  expect((await engine.ask("SELECT 4;\n")).text).toBe("4\n");
});

test("names format, time zone, query and rows in its headers", async () => {
  const { headers, text } = await engine.ask("SELECT 1 AS a", { default_format: "JSONEachRow", query_id: "abc" });
  expect(text).toBe('{"a":1}\n');
  expect(headers.get("x-clickhouse-format")).toBe("JSONEachRow");
  expect(headers.get("x-clickhouse-query-id")).toBe("abc");
  expect(headers.get("x-clickhouse-timezone")).not.toBe("");
  expect(headers.get("content-type")).toContain("application/x-ndjson");
  expect(JSON.parse(headers.get("x-clickhouse-summary")!)).toMatchObject({ result_rows: "1" });
  const written = await engine.ask("SELECT 1 FORMAT CSV", { default_format: "Native" });
  expect(written.headers.get("x-clickhouse-format")).toBe("CSV");
});

test("binds parameters as the HTTP interface writes them", async () => {
  const ask = async (type: string, value: string) =>
    (await engine.ask(`SELECT {x:${type}} AS x`, { param_x: value, default_format: "JSONEachRow" })).text;
  expect(await ask("UInt8", "7")).toBe('{"x":7}\n');
  expect(await ask("String", "it's; \\\\ DROP")).toBe('{"x":"it\'s; \\\\ DROP"}\n');
  expect(await ask("String", "a\\tb\\nc")).toBe('{"x":"a\\tb\\nc"}\n');
  expect(await ask("Nullable(String)", "\\N")).toBe('{"x":null}\n');
  expect(await ask("Array(String)", "['a','b']")).toBe('{"x":["a","b"]}\n');
  const other = await engine.ask("SELECT {x:UInt8}");
  expect(other.status).toBe(400);
});

test("keeps settings, parameters and database of one request from the next", async () => {
  const quoted = { output_format_json_quote_64bit_integers: "1", default_format: "JSONEachRow", database: "system" };
  expect((await engine.ask("SELECT toUInt64(1) AS a, currentDatabase() AS d", quoted)).text).toBe(
    '{"a":"1","d":"system"}\n',
  );
  expect((await engine.ask("SELECT toUInt64(1) AS a, currentDatabase() AS d FORMAT JSONEachRow")).text).toBe(
    '{"a":1,"d":"default"}\n',
  );
});

test("answers errors in ClickHouse's shape with its code and status", async () => {
  const cases: [string, number, string][] = [
    ["SELEC 1", 403, "497"],
    ["SELECT * FROM nope", 404, "60"],
    ["SELECT nope", 404, "47"],
    ["SELECT nope()", 404, "46"],
    ["SELECT (1", 400, "62"],
    ["SELECT throwIf(1)", 500, "395"],
    ["", 400, "62"],
  ];
  for (const [sql, status, code] of cases) {
    const reply = await engine.ask(sql);
    expect([sql, reply.status, reply.headers.get("x-clickhouse-exception-code")]).toEqual([sql, status, code]);
    expect(reply.text).toMatch(new RegExp(`^Code: ${code}\\. DB::Exception: [\\s\\S]+\\([A-Z_]+\\) \\(version \\d+`));
  }
  expect((await engine.ask("SELECT 1", { database: "nope" })).status).toBe(404);
  expect((await engine.ask("SELECT 1", { session_id: "x" })).status).toBe(501);
  expect((await engine.ask("SELECT 1", { compress: "1" })).status).toBe(501);
  expect((await engine.ask("SELECT 1", {}, { headers: { "content-encoding": "zstd" } })).status).toBe(501);
  expect((await engine.ask(`SELECT '${"x".repeat(1024 * 1024)}'`)).status).toBe(400);
  const garbled = await engine.ask("not gzip", {}, { headers: { "content-encoding": "gzip" } });
  expect(garbled.headers.get("x-clickhouse-exception-code")).toBe("354");
});

test("knows the writer by Basic auth, headers or URL, and refuses a wrong password", async () => {
  const create = "CREATE TABLE IF NOT EXISTS auth (a Int32) ENGINE = Memory";
  expect((await engine.ask(create)).status).toBe(403);
  expect((await engine.ask(create, {}, { headers: WRITER })).status).toBe(200);
  const key = { "x-clickhouse-user": "tidemark", "x-clickhouse-key": "writer-secret" };
  expect((await engine.ask(create, {}, { headers: key })).status).toBe(200);
  expect((await engine.ask(create, { user: "tidemark", password: "writer-secret" })).status).toBe(200);
  const wrong = await engine.ask("SELECT 1", { user: "tidemark", password: "wrong" });
  expect([wrong.status, wrong.headers.get("x-clickhouse-exception-code")]).toEqual([403, "516"]);
  expect(wrong.text).not.toContain("wrong ");
  expect((await engine.ask("SELECT 1", { user: "nobody" })).status).toBe(403);
  const held = await engine.ask("DROP TABLE auth", { readonly: "1" }, { headers: WRITER });
  expect(held.status).toBe(403);
});

test("compresses answers only for those who ask and takes compressed bodies", async () => {
  const sql = "SELECT number FROM numbers(10000)";
  const raw = await fetch(`${engine.url}/`, { method: "POST", body: sql, headers: { "accept-encoding": "identity" } });
  expect(raw.headers.get("content-encoding")).toBeNull();
  const zipped = await engine.ask(sql, {}, { headers: { "accept-encoding": "gzip" } });
  expect(zipped.headers.get("content-encoding")).toBe("gzip");
  expect(zipped.text).toBe(await raw.text());
  const sent = await engine.ask(gzipSync("SELECT 5"), {}, { headers: { "content-encoding": "gzip" } });
  expect(sent.text).toBe("5\n");
});

test("answers the driver's hello itself, at revision 0", async () => {
  const hello = "SELECT displayName(), version(), revision(), timezone()";
  const { bytes, headers } = await engine.ask(hello, { default_format: "Native", client_protocol_version: "54460" });
  expect(headers.get("x-clickhouse-format")).toBe("Native");
  // BlockInfo, then 4 columns and 1 row.
  expect([...bytes.subarray(0, 10)]).toEqual([1, 0, 2, 255, 255, 255, 255, 0, 4, 1]);
  const at = Buffer.from(bytes).indexOf("revision()");
  expect([...bytes.subarray(at + 10, at + 22)]).toEqual([6, ...Buffer.from("UInt32"), 0, 0, 0, 0, 0]);
  const plain = await engine.ask(hello);
  expect(plain.text.split("\t")).toHaveLength(4);
});

test("answers GET without a query as ClickHouse does, and no other method", async () => {
  expect(await (await get("/")).text()).toBe("Ok.\n");
  expect((await get("/", { method: "DELETE" })).status).toBe(404);
});
