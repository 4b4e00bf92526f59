import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { scrubDocument } from "../../src/privacy/documents.ts";
import { scrubSql } from "../../src/privacy/sql.ts";
import { randomSource } from "../random.ts";

/** Statements with what each agent's own normaliser made of them (collectors/node, collectors/django). */
const CORPUS: readonly { system: string; raw: string; node?: string; django: string }[] = JSON.parse(
  readFileSync(new URL("../fixtures/statements.json", import.meta.url), "utf8"),
);
const SYSTEMS = ["postgresql", "mysql", "sqlite", "oracle.db", "microsoft.sql_server", "", "other_sql"];

describe("a statement loses its values", () => {
  test.each<[system: string, raw: string, text: string]>([
    ["postgresql", "select 'it''s s3cret', E'a\\'s3cret', U&'s3cret'", "select ?, ?, U&?"],
    ["postgresql", "select $$s3cret$$, $a$ $$ s3cret $$ $a$, $1, $é$s3cret$é$", "select ?, ?, $1, ?"],
    ["postgresql", "select /* a /* b */ s3cret */ 1 -- s3cret", "select ?"],
    ["postgresql", "select 'C:\\', 's3cret', x # 2", "select ?, ?, x # ?"],
    ["postgresql", "select \"na'me\" from t where a = 's3cret'", 'select "na\'me" from t where a = ?'],
    ["mysql", "select 'it\\'s s3cret', \"s3cret\", `na'me` # s3cret", "select ?, ?, `na'me`"],
    ["mysql", "select 5--'s3\ncret' -- s3cret", "select ?--?"],
    ["mysql", "select N'it\\'s s3cret', x's3cret', _utf8'it\\'s s3cret'", "select ?, ?, _utf8?"],
    ["oracle", "select q'[it's s3cret]', nq'{it's s3cret}', Q'!it's s3cret!' from dual", "select ?, ?, ? from dual"],
    ["mssql", "select [na'me], N'it''s s3cret' from [t]]'x]", "select [na'me], ? from [t]]'x]"],
    ["sqlite", "select [na'me], `na'me`, 's3cret', 0x5ec", "select [na'me], `na'me`, ?, ?"],
    ["postgresql", "insert into t values ('a', 1), ('b', 2)", "insert into t values (?)"],
    ["mysql", "select * from t where id in (%s, %s,%s)", "select * from t where id IN (%s)"],
    ["postgresql", "select 'never closed s3cret", "select ?"],
    ["postgresql", "select 1 /* never closed s3cret", "select ?"],
    ["", "select \"s3cret\", 's3cret', 42 from t", "select ?, ?, ? from t"],
  ])("%s: %s", (system, raw, text) => {
    expect(scrubSql(raw, system)).toBe(text);
  });

  test.each([
    "select 'it\\'s', s3cret'",
    "select 'C:\\' , 's3cret'",
    'select "it\\"s", s3cret"',
    "select $$ it's $$ s3cret $$",
    "select q'[it's]' s3cret'",
    "select 1 # it's\n s3cret'",
    "select 1 // it's\n s3cret'",
    "select 5--'x\ns3cret'",
    "select /* /* */ 's3cret' */ 's3cret'",
    "select `it's` , 's3cret'",
    "select [it's] , 's3cret'",
    "select `a -- b` = 'x\n s3cret'",
    "select 1 # $$ \n s3cret $$",
    "select e'it\\'s', s3cret'",
  ])("of a database we don't know, what two databases read differently is taken for a value: %s", (raw) => {
    expect(scrubSql(raw, "")).not.toContain("s3cret");
  });

  test("is at most 1,024 characters, cut where no value is left", () => {
    const text = scrubSql(`select '${"s3cret".repeat(10_000)}' from books where ${"x = 1 and ".repeat(500)} true`, "");
    expect(text).not.toContain("s3cret");
    expect(text.length).toBeLessThanOrEqual(1024);
  });
});

describe("the agents' own normalisers", () => {
  test.each(CORPUS)("$system: $raw", ({ system, raw, node, django }) => {
    const text = scrubSql(raw, system);
    // What an agent has cleaned stays, so that its statement's id is one for metrics and spans.
    expect(scrubSql(django, system)).toBe(django);
    if (node === undefined) return;
    expect(scrubSql(node, system)).toBe(node);
    expect(text).toBe(node);
  });
});

test("cleaning a statement twice changes nothing, of any text for any system, and no literal's text survives", () => {
  const next = randomSource(11);
  const pieces =
    "select|from t|where|'|''|\"|`|[|]|\\|$|$$|$a$|1|0x1F|--|-- |#|//|/*|*/|(|)|,|?|%s|:a|E'|q'[|N'|in (|values (|\n| |é|;|=|-".split(
      "|",
    );
  for (let i = 0; i < 4000; i++) {
    let raw = "";
    for (let k = Math.floor(next() * 30); k > 0; k--) raw += pieces[Math.floor(next() * pieces.length)];
    for (const system of SYSTEMS) {
      const once = scrubSql(raw, system);
      expect(scrubSql(once, system), JSON.stringify([system, raw])).toBe(once);
    }
    for (const system of ["mongodb", "redis"]) {
      const once = scrubDocument(raw, system)!;
      expect(scrubDocument(once, system), JSON.stringify([system, raw])).toBe(once);
    }
  }
});

test("whatever stands around it, a whole literal of a known dialect leaves no word of its text", () => {
  const next = randomSource(12);
  const literals: Record<string, readonly string[]> = {
    postgresql: ["'s3cret '' s3cret'", "E's3cret \\' s3cret'", "$t$ ' s3cret $t$", "/* ' s3cret */", "-- ' s3cret\n"],
    mysql: ["'s3cret \\' \" s3cret'", '"s3cret \\" \' s3cret"', "# ' s3cret\n", '/* " s3cret */', "-- ' s3cret\n"],
    "oracle.db": ["q'[s3cret ' s3cret]'", "'s3cret '' s3cret'"],
    "microsoft.sql_server": ["N's3cret '' s3cret'", "/* /* */ ' s3cret */"],
  };
  const between = [" , ", " = ", " and x in ( ", " ) ", " t.c ", " 42 ", " ? ", "\n"];
  for (const [system, choices] of Object.entries(literals)) {
    for (let i = 0; i < 1000; i++) {
      let raw = "select ";
      for (let k = 1 + Math.floor(next() * 12); k > 0; k--) {
        raw += choices[Math.floor(next() * choices.length)]! + between[Math.floor(next() * between.length)]!;
      }
      expect(scrubSql(raw, system), raw).not.toContain("s3cret");
      expect(scrubSql(raw, ""), raw).not.toContain("s3cret");
    }
  }
});

test("takes time linear in the text, whatever the text", () => {
  const units = [
    "'",
    '"',
    "`",
    "[",
    "$a",
    "$a$ ",
    "/*",
    "--",
    "//",
    "#",
    "(?,",
    "((",
    "IN (",
    "VALUES (?),",
    ":a",
    "1",
    "e'",
    "q'(",
    "\\",
    "%(",
    "{",
  ];
  const once = (run: () => void) => {
    const before = process.cpuUsage();
    run();
    return process.cpuUsage(before).user / 1000;
  };
  // What else the process does meanwhile only adds.
  const milliseconds = (run: () => void) => Math.min(once(run), once(run));
  for (const unit of units) {
    const long = unit.repeat(Math.ceil(16_384 / unit.length));
    for (const system of SYSTEMS) {
      expect(
        milliseconds(() => scrubSql(long, system)),
        JSON.stringify([system, unit]),
      ).toBeLessThan(100);
    }
    for (const system of ["mongodb", "redis"]) {
      expect(
        milliseconds(() => scrubDocument(long, system)),
        JSON.stringify([system, unit]),
      ).toBeLessThan(100);
    }
  }
});

describe("queries that are no SQL", () => {
  test.each<[system: string, raw: string, text: string]>([
    ["redis", "SET session:42 s3cret EX 10", "SET ?"],
    ["redis", "SET k 's3cret\ns3cret x'\nGET s3cret", "SET ?"],
    ["redis", "PING", "PING"],
    ["redis", "'s3cret'", "?"],
    [
      "mongodb",
      '{"find":"users","filter":{"email":"s3cret","n":{"$gt":5}}}',
      '{"find":?,"filter":{"email":?,"n":{"$gt":?}}}',
    ],
    ["mongodb", "db.users.find({name: 's3cret', tags: [\"a\", 'b', 3]})", '?({"name":?,"tags":[?]})'],
    ["mongodb", '{"a":"never closed s3cret', '{"a":?'],
    ["elasticsearch", '{"query":{"match":{"s3cret key with words":"x"}}}', '{"query":{"match":{"?":?}}}'],
  ])("%s: %s", (system, raw, text) => {
    expect(scrubDocument(raw, system)).toBe(text);
    expect(scrubDocument(text, system)).toBe(text);
  });
});
