import { describe, expect, it } from "vitest";
import { normalise, Statements, summarise } from "../../src/main/databases/statement.ts";

describe("a statement without its values", () => {
  it.each([
    ["select * from books where id = 42", "select * from books where id = ?"],
    ["select 'it''s', E'a\\'b', $$ body $$, $x$ 'q' $x$", "select ?, ?, ?, ?"],
    ["select 1.5e-3, .5, 0x1F, -7", "select ?, ?, ?, -?"],
    ['select "Name2", t1.c3 from "My Table 1"', 'select "Name2", t1.c3 from "My Table 1"'],
    ["select a -- secret 7\n from b /* 'x' */", "select a from b"],
    ["select * from b where id in (1, 2, 3) and x = $1", "select * from b where id in (?) and x = $1"],
    ["insert into b (x, y) values ($1, $2), ($3, $4)", "insert into b (x, y) values (?)"],
    ["select 'never closed secret", "select ?"],
    ["select $$never closed secret", "select ?"],
    ["select 1 /* never closed secret", "select ?"],
  ])("%s", (sql, text) => {
    expect(normalise(sql)).toBe(text);
  });

  it.each([
    ['select "it\'s secret", \'it\\\'s secret\', "say \\"secret\\"", `Name 2`', "select ?, ?, ?, `Name 2`"],
    ["select a # secret 7\n from b -- secret 8", "select a from b"],
    ["select 5--3", "select ?--?"],
    ['select "never closed secret', "select ?"],
    ["insert into `order lines` values (1, 'a'), (2, 'b')", "insert into `order lines` values (?)"],
  ])("of MySQL: %s", (sql, text) => {
    expect(normalise(sql, "mysql")).toBe(text);
  });

  it("has no secret left when cut, and at most 1,024 characters", () => {
    const text = normalise(`select '${"secret".repeat(10_000)}' from books where ${"x = 1 and ".repeat(500)} true`);
    expect(text).not.toContain("secret");
    expect(text.length).toBeLessThanOrEqual(1024);
  });

  it("is summed up as keyword and tables", () => {
    expect(summarise('SELECT b.* FROM books b JOIN "authors" a ON a.id = b.author')).toEqual({
      operation: "SELECT",
      summary: "SELECT books authors",
    });
    expect(summarise("insert into orders (id) values (?)").summary).toBe("INSERT orders");
    expect(summarise("update books set price = ?").summary).toBe("UPDATE books");
    expect(summarise("select * from `shop`.`books`").summary).toBe("SELECT shop.books");
    expect(summarise("begin")).toEqual({ operation: "BEGIN", summary: "BEGIN" });
  });

  it("becomes `_other`, without text, past 300 different ones", () => {
    const statements = new Statements("standard");
    for (let index = 0; index < 300; index++) statements.of(`select c from t_${"x".repeat(index)}`);
    expect(statements.of("select c from one_more")).toEqual({
      text: undefined,
      operation: "_OTHER",
      summary: "_other",
    });
    expect(statements.of("select c from t_xx").summary).toBe("SELECT t_xx");
  });
});
