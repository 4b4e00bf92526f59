import { readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EngineProcess, startEngineProcess } from "./engine-process.ts";

let engine: EngineProcess;
beforeAll(async () => {
  engine = await startEngineProcess();
  await engine.write("CREATE TABLE victim (a Int32) ENGINE = Memory");
});
afterAll(() => engine.remove());

let tables = 0;
async function table(columns = "a Int64, s String"): Promise<string> {
  const name = `t${tables++}`;
  await engine.write(
    `CREATE TABLE ${name} (${columns}) ENGINE = MergeTree ORDER BY tuple() SETTINGS non_replicated_deduplication_window = 100`,
  );
  return name;
}
const rows = async (name: string) => {
  const { text } = await engine.ask(`SELECT * FROM ${name} ORDER BY ALL FORMAT JSONCompactEachRow`);
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
};

test("takes rows after the statement, in the URL's statement, and gzipped", async () => {
  const t = await table();
  await engine.write(`INSERT INTO ${t} FORMAT JSONEachRow\n{"a":1,"s":"x"}\n{"a":2,"s":"y"}`);
  await engine.write('{"a":3,"s":"z"}', { query: `INSERT INTO ${t} FORMAT JSONEachRow` });
  await engine.write(
    gzipSync("4\tgz\n"),
    { query: `INSERT INTO ${t} FORMAT TSV` },
    { headers: { "content-encoding": "gzip" } },
  );
  await engine.write(`INSERT INTO ${t} (s, a) VALUES ('a;b\n\nc', 5), ('''q', 6)`);
  await engine.write(`INSERT INTO ${t} SETTINGS max_threads = 1 FORMAT CSV\n7,"a\n\nb"\n`);
  await engine.write(`INSERT INTO ${t} SELECT 8, 'select'`);
  await engine.write("", { query: `INSERT INTO ${t} VALUES (9, 'url')` });
  expect(await rows(t)).toEqual([
    [1, "x"],
    [2, "y"],
    [3, "z"],
    [4, "gz"],
    [5, "a;b\n\nc"],
    [6, "'q"],
    [7, "a\n\nb"],
    [8, "select"],
    [9, "url"],
  ]);
});

test("never runs what follows a blank line in inserted rows", async () => {
  const t = await table();
  const evil = '1,"x\n\nDROP TABLE victim"\n\nDROP TABLE victim;\n\nDROP TABLE victim\n';
  const answer = await engine.ask(`INSERT INTO ${t} FORMAT CSV\n${evil}`, {
    user: "tidemark",
    password: "writer-secret",
  });
  expect(answer.status).toBe(400);
  await engine.write('1,"x\n\nDROP TABLE victim"\n', { query: `INSERT INTO ${t} FORMAT CSV` });
  await engine.write(`INSERT INTO ${t} VALUES (2, '\n\nDROP TABLE victim')`);
  const binary = Buffer.concat([Buffer.from([10, 10, 0, 0, 0, 0, 0, 0, 14]), Buffer.from("\n\nDROP TABLE v")]);
  await engine.write(binary, { query: `INSERT INTO ${t} FORMAT RowBinary` });
  expect((await engine.ask("EXISTS TABLE victim")).text).toBe("1\n");
  expect((await engine.ask(`SELECT count() FROM ${t}`)).text).toBe("3\n");
});

test("says what is wrong with rows, without naming a file of its own", async () => {
  const t = await table();
  const bad = await engine.ask(`INSERT INTO ${t} FORMAT JSONEachRow\n{"a":"x"}`, {
    user: "tidemark",
    password: "writer-secret",
  });
  expect(bad.status).toBe(400);
  expect(bad.text).toMatch(/^Code: \d+\. DB::Exception: Cannot parse/);
  expect(bad.text).not.toContain(engine.directory);
  for (const sql of [
    `INSERT INTO nope FORMAT TSV\n1`,
    `INSERT INTO ${t} FORMAT Nope\n1`,
    `INSERT INTO ${t} FORMAT Native\nxxxxx`,
  ]) {
    const answer = await engine.ask(sql, { user: "tidemark", password: "writer-secret" });
    expect(answer.status).not.toBe(200);
    expect(answer.text).not.toContain(engine.directory);
  }
  for (const sql of [
    `INSERT INTO ${t} FROM INFILE '/etc/passwd' FORMAT LineAsString`,
    "SELECT 1 INTO OUTFILE '/tmp/x'",
  ]) {
    expect((await engine.ask(sql, { user: "tidemark", password: "writer-secret" })).status).toBe(501);
  }
  expect(readdirSync(join(engine.directory, "engine", "tmp"))).toEqual([]);
});

test("inserts one dedup token once, also for concatenated Native blocks and in a materialized view", async () => {
  const t = await table("a UInt64, s String");
  await engine.write(
    `CREATE TABLE ${t}_sum (k UInt64, n UInt64) ENGINE = SummingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100`,
  );
  await engine.write(
    `CREATE MATERIALIZED VIEW ${t}_mv TO ${t}_sum AS SELECT a % 3 AS k, count() AS n FROM ${t} GROUP BY k`,
  );
  const block = async (from: number) =>
    (await engine.ask(`SELECT number + ${from} AS a, toString(number) AS s FROM numbers(1000) FORMAT Native`)).bytes;
  const body = Buffer.concat([await block(0), await block(1000), await block(0)]);
  const settings = { insert_deduplication_token: "n1", deduplicate_blocks_in_dependent_materialized_views: "1" };
  for (let i = 0; i < 3; i++) await engine.write(body, { query: `INSERT INTO ${t} FORMAT Native`, ...settings });
  expect((await engine.ask(`SELECT count(), sum(a) FROM ${t}`)).text).toBe("3000\t2498500\n");
  expect((await engine.ask(`SELECT sum(n) FROM ${t}_sum`)).text).toBe("3000\n");
  await engine.write(body, { query: `INSERT INTO ${t} FORMAT Native`, ...settings, insert_deduplication_token: "n2" });
  expect((await engine.ask(`SELECT count() FROM ${t}`)).text).toBe("6000\n");
});

test("streams a body of many megabytes to disk in bounded memory", async () => {
  const t = await table();
  const line = `{"a":1,"s":"${"x".repeat(1000)}"}\n`;
  const megabytes = 120;
  const chunk = Buffer.from(line.repeat(1000));
  let sent = 0;
  const stream = new ReadableStream({
    pull(controller) {
      if (sent++ < megabytes) controller.enqueue(chunk);
      else controller.close();
    },
  });
  await engine.write(stream as never, { query: `INSERT INTO ${t} FORMAT JSONEachRow` }, {
    duplex: "half",
  } as RequestInit);
  expect((await engine.ask(`SELECT count() FROM ${t}`)).text).toBe(`${megabytes * 1000}\n`);
});
