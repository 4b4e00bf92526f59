import { existsSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EngineProcess, startEngineProcess, temporaryDirectory } from "./engine-process.ts";
import { hostileStatements } from "./hostile.ts";

const SECRET = "TOP-SECRET-LINE";
let engine: EngineProcess;
let listener: Server;
let dialled = 0;
let statements: string[];
let outfile: string;

beforeAll(async () => {
  engine = await startEngineProcess();
  await engine.write("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a");
  await engine.write("INSERT INTO t VALUES (1)");
  const directory = temporaryDirectory();
  const secret = join(directory, "secret");
  outfile = join(directory, "written");
  writeFileSync(secret, `${SECRET}\n`);
  listener = createServer((socket) => {
    dialled++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  statements = hostileStatements(secret, outfile, (listener.address() as { port: number }).port);
});
afterAll(async () => {
  listener.close();
  rmSync(dirname(outfile), { recursive: true, force: true });
  await engine.remove();
});

test.each(["default", "system"])("refuses every hostile statement, database %s", async (database) => {
  const passed: string[] = [];
  for (const sql of statements) {
    const reply = await engine.ask(sql, { database, param_d: "system", param_t: "processes", param_f: "file" });
    if (reply.status === 200 || reply.text.includes(SECRET) || !/^Code: \d+\. DB::Exception/.test(reply.text)) {
      passed.push(`${sql} -> ${reply.status} ${reply.text}`);
    }
  }
  expect(passed).toEqual([]);
  expect(existsSync(outfile)).toBe(false);
  expect(dialled).toBe(0);
  expect((await engine.ask("SELECT count(), sum(a) FROM t")).text).toBe("1\t1\n");
});

test("refuses them with comments, cases and blanks of any kind between their words", async () => {
  const gaps = ["/**/", "/* ' */", '/* " /* ` */ */', " -- '\n", "\n", "\t", "\u00a0", " # `\n", "\u3000", "\ufeff"];
  const passed: string[] = [];
  for (const [n, sql] of statements.entries()) {
    if (/--|#|\/\*|\$/.test(sql)) continue;
    let gap = n;
    const disguised = sql.replaceAll(/[ (]/g, (c) =>
      c === "(" ? `${gaps[gap++ % gaps.length]}(` : gaps[gap++ % gaps.length]!,
    );
    const swapped = disguised.replace(/^\w+/, (verb) => verb.toLowerCase());
    const reply = await engine.ask(swapped, { param_d: "system", param_t: "processes", param_f: "file" });
    if (reply.status === 200 || reply.text.includes(SECRET)) passed.push(`${swapped} -> ${reply.text}`);
  }
  expect(passed).toEqual([]);
  expect([existsSync(outfile), dialled]).toEqual([false, 0]);
});

test("refuses hostile settings, whatever their case or place", async () => {
  const settings = [
    "readonly",
    "max_memory_usage",
    "max_result_bytes",
    "format_schema",
    "format_schema_source",
    "allow_introspection_functions",
    "allow_experimental_ai_functions",
    "allow_python_table_function",
    "user_files_path",
    "os_threads_nice_value_query",
    "profile",
    "insert_deduplication_token",
    "a = 1, readonly",
    "x'; DROP TABLE t; --",
  ];
  for (const name of settings.filter((name) => name !== "readonly")) {
    const reply = await engine.ask("SELECT 1", { [name]: "1" });
    expect([name, reply.status === 200]).toEqual([name, false]);
  }
  // Asking for readonly = 0 changes nothing: the interface takes the key, the user stays read-only.
  expect((await engine.ask("INSERT INTO t SELECT 2", { readonly: "0" })).status).toBe(403);
  expect((await engine.ask("SELECT 1", { max_threads: "64" })).status).not.toBe(200);
  const value = await engine.ask("SELECT 1", { session_timezone: "UTC', readonly = 0, max_threads = '1" });
  expect(value.status).not.toBe(200);
});

test("lets everything through that dashboards, the Grafana plugin and people ask", async () => {
  await engine.write(
    "CREATE TABLE cols (file String, ts DateTime, value Float64, m Map(String, String)) ENGINE = Memory",
  );
  const friendly = [
    "SELECT version()",
    "SHOW DATABASES",
    "SHOW TABLES",
    "SHOW TABLES FROM system LIKE 'c%'",
    "SHOW CREATE TABLE t",
    "SHOW COLUMNS FROM t",
    "SHOW FUNCTIONS LIKE 'arrayM%'",
    "SHOW SETTINGS LIKE 'max_thr%'",
    'DESC TABLE "default"."t"',
    "DESCRIBE t",
    "EXISTS TABLE t",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN indexes = 1 SELECT * FROM t WHERE a = 1",
    "EXPLAIN AST SELECT 1",
    "SELECT name, type FROM system.columns WHERE database = 'default' AND table = 't'",
    "SELECT name FROM system.functions LIMIT 3",
    "SELECT name FROM system.databases",
    "SELECT * FROM system.settings LIMIT 1",
    "SELECT database, table, sum(bytes_on_disk) FROM system.parts WHERE active GROUP BY ALL",
    "SELECT DISTINCT arrayJoin(mapKeys(m)) FROM cols",
    "SELECT cols.file FROM cols",
    "SELECT format('{} {}', 'a', 'b'), 'SETTINGS readonly = 0', 'file(''x'')', \"a\" FROM t",
    "SELECT 1 AS settings, 2 AS \"into outfile\" -- file('x'); DROP TABLE t",
    "SELECT * FROM numbers(3) AS n JOIN generate_series(1, 3) AS g ON n.number = g.generate_series",
    "SELECT * FROM view(SELECT 1 AS a)",
    "SELECT * FROM values('a Int32, b String', (1, 'x'))",
    "WITH x AS (SELECT 1 AS a) SELECT * FROM x UNION ALL SELECT a FROM t",
    "WITH 0.99 AS q SELECT quantile(q)(number) FROM numbers(10)",
    "SELECT toStartOfInterval(ts, INTERVAL 10 second) AS time, avg(value) FROM cols WHERE ts >= toDateTime(1700000000) GROUP BY time ORDER BY time",
    "SELECT a, row_number() OVER (ORDER BY a) FROM t",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT $$heredoc ; file('x')$$",
    "SELECT 'it''s', 'a\\'b', `a` FROM t;",
    "SELECT merge FROM (SELECT 1 AS merge)",
    "SELECT url, remote, s3 FROM (SELECT 1 AS url, 2 AS remote, 3 AS s3)",
    "select * from t format JSON",
    "SELECT (1, 2).1, 1.5e-3, [1,2][1], t.a FROM t /* c /* nested */ */ WHERE a=1-- x\nAND 1",
    "SELECT 1 // 2",
    "SELECT m['a'] FROM cols WHERE m [ 'x' ] = ''",
  ];
  const refused: string[] = [];
  for (const sql of friendly) {
    const reply = await engine.ask(sql);
    if (reply.status !== 200) refused.push(`${sql} -> ${reply.text}`);
  }
  expect(refused).toEqual([]);
});

test("caps memory, rows of the result and time of a read", async () => {
  const memory = await engine.ask("SELECT groupArray(number) FROM numbers(200000000) FORMAT Null");
  expect(memory.headers.get("x-clickhouse-exception-code")).toBe("241");
  const rows = await engine.ask("SELECT number FROM numbers(100) ", { max_result_rows: "10" });
  expect(rows.headers.get("x-clickhouse-exception-code")).toBe("396");
  const time = await engine.ask("SELECT max(sipHash64(number)) FROM numbers(100000000000)", {
    max_execution_time: "1",
  });
  expect([time.status, time.headers.get("x-clickhouse-exception-code")]).toEqual([408, "159"]);
});
