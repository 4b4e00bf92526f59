import { expect, test } from "vitest";
import { lex, quoteString, withoutComments } from "../src/sql/lexer.ts";
import { readStatement } from "../src/sql/statement.ts";

const texts = (sql: string) => [...lex(sql)].map((token) => `${token.kind}:${token.text}`);

test("knows strings, names, heredocs and nested comments", () => {
  expect(texts("a 'b''c\\'d' \"e\"\"f\" `g` $t$ ; $t$ 1.5")).toEqual([
    "word:a",
    "string:b'c'd",
    'quoted:e"f',
    "quoted:g",
    "string: ; ",
    "number:1",
    "symbol:.",
    "number:5",
  ]);
  expect(texts("a -- 'x\nb # y\nc /* /* d */ e */ f // g")).toEqual(["word:a", "word:b", "word:c", "word:f"]);
  expect(texts("'x").at(-1)).toBe("unterminated:x");
  expect(texts("/* /* */").at(-1)).toBe("unterminated:/*");
});

test("takes comments out and leaves every token where it was", () => {
  const sql = "SELECT t.1,1.5e-3/* a */,'--',x--y\nFROM/**/t";
  expect(withoutComments(sql, [...lex(sql)])).toBe("SELECT t.1,1.5e-3 ,'--',x\nFROM t");
});

test("finds where the rows of an INSERT begin", () => {
  const head = (sql: string) => {
    const { insert } = readStatement(sql);
    return insert && [insert.target, insert.settings, insert.format, sql.slice(insert.dataStart)];
  };
  expect(head("INSERT INTO t FORMAT CSV\n1,'")).toEqual(["INSERT INTO t", undefined, "CSV", "1,'"]);
  expect(head('insert into d.`format` (`values`, "a(b") values (1)')).toEqual([
    'insert into d.`format` (`values`, "a(b")',
    undefined,
    "Values",
    " (1)",
  ]);
  expect(head("INSERT INTO t (a) SETTINGS x = 1, y = 'FORMAT z' FORMAT Native \r\n\0\x01")).toEqual([
    "INSERT INTO t (a)",
    "x = 1, y = 'FORMAT z'",
    "Native",
    "\0\x01",
  ]);
  expect(head("/* FORMAT x */ INSERT INTO TABLE t FORMAT TSV")).toEqual(["INSERT INTO TABLE t", undefined, "TSV", ""]);
  expect(head("INSERT INTO t SELECT * FROM values('a Int8', 1)")).toBeUndefined();
  expect(head("INSERT INTO t WITH 1 AS a SELECT a FORMAT Null")).toBeUndefined();
  expect(() => head("INSERT INTO t FROM INFILE 'x' FORMAT CSV")).toThrow("FROM INFILE is not supported");
  expect(() => head("INSERT INTO FUNCTION file('x') VALUES (1)")).toThrow("INSERT INTO FUNCTION");
});

test("finds verb and format, and refuses a second statement", () => {
  expect(readStatement("  (SELECT 1) FORMAT JSON")).toMatchObject({ verb: "SELECT", format: "JSON" });
  expect(readStatement("SELECT format('{}', 1) AS format FROM t FORMAT CSV SETTINGS a = 1;")).toMatchObject({
    format: "CSV",
  });
  expect(readStatement("SELECT 'FORMAT JSON'").format).toBeUndefined();
  expect(() => readStatement("SELECT 1; SELECT 2")).toThrow("Multi-statements are not allowed");
  expect(() => readStatement(" -- nothing\n")).toThrow("Empty query");
});

test("quotes so that nothing gets out", () => {
  expect(texts(quoteString("a'b\\'; --"))).toEqual(["string:a'b\\'; --"]);
});
