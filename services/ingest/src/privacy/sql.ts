import { type Dialect, dialectOf } from "./dialects.ts";
import { foldLists } from "./sql-lists.ts";

const MAX_RAW_CHARACTERS = 16_384;
/** As the agents cut it: one text has one id, whoever took its values out. */
const MAX_TEXT_CHARACTERS = 1024;
/** Where taking something out makes a new comment of what was around it, the next pass takes that out too. */
const MAX_PASSES = 4;
/** A prefix that belongs to the string behind it: bits, hexadecimal, national. */
const PREFIXES = "bBxXnN";
/** What would open a text, a name or a comment if the line were no comment. */
const OPENINGS = ["'", '"', "`", "$", "/*"];
/** And if a name in backticks or brackets were none. */
const AMBIGUOUS = ["'", '"', "$", "/*", "//", "--", "#"];
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}", "<": ">" };

/**
 * A statement without its values: literals become `?`, comments go, lists of values are folded. The same shape as the
 * agents' own, so that a text they have cleaned stays as it is. Never throws; takes time linear in the text.
 *
 * `system` is `db.system.name`. Of a database whose rules we do not know, what could be read in two ways ends the text.
 */
export function scrubSql(sql: string, system: string): string {
  const dialect = dialectOf(system);
  let text = sql.slice(0, MAX_RAW_CHARACTERS);
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const before = text;
    const scanner = new Scanner(text, dialect);
    const folded = foldLists(scanner.run().replace(/\s+/g, " "), scanner.literals > 0);
    text = folded.trim().slice(0, MAX_TEXT_CHARACTERS).trimEnd();
    if (text === before) break;
  }
  return text;
}

class Scanner {
  literals = 0;
  private readonly sql: string;
  private readonly end: number;
  private readonly dialect: Dialect;
  private at = 0;
  private out = "";
  /** Where text that is neither copied nor replaced yet begins. */
  private pending = 0;
  /** Where the name ends that may have begun. */
  private closing = -1;
  /** The next quote, and the next closing bracket and backtick, at or behind `at`: each is searched for once. */
  private readonly found = new Map<string, number>();

  constructor(sql: string, dialect: Dialect) {
    this.sql = sql;
    this.end = sql.length;
    this.dialect = dialect;
  }

  run(): string {
    while (this.at < this.end) this.step(this.sql[this.at]!);
    this.flush(this.end);
    return this.out;
  }

  private step(char: string): void {
    const { sql, at, dialect } = this;
    const next = sql[at + 1] ?? "";
    if (char === "'") this.string(at + 1, at, dialect.backslash);
    else if (char === '"') {
      if (dialect.doubleQuotes === "text") this.string(at + 1, at, dialect.backslash);
      else this.name('"');
    } else if (isWordStart(char)) this.word(char, next);
    else if (isDigit(char) || (char === "." && isDigit(next))) this.number();
    else if (char === "-" && next === "-") this.dashes();
    else if (char === "/" && next === "*") this.comment();
    else if ((char === "#" || (char === "/" && next === "/")) && dialect.hashComments !== "no") this.lineComment(char);
    else if (char === "$") this.dollar();
    else if (char === "`" && dialect.backticks !== "no") this.quotedName("`", dialect.backticks);
    else if (char === "[" && dialect.brackets !== "no") this.quotedName("]", dialect.brackets);
    else this.at++;
  }

  private flush(upTo: number): void {
    if (upTo > this.pending) this.out += this.sql.slice(this.pending, upTo);
    this.pending = upTo;
  }

  private replace(start: number, end: number, by: string): void {
    this.flush(start);
    this.out += by;
    this.at = end;
    this.pending = end;
  }

  private literal(start: number, end: number): void {
    this.literals++;
    this.replace(start, end, "?");
  }

  /** A text between quotes that starts before `from`: to the closing quote, or to the end. */
  private string(from: number, start: number, backslash: Dialect["backslash"]): void {
    const { sql, end } = this;
    const quote = sql[from - 1]!;
    let stop = end;
    for (let i = from; i < end; i++) {
      const char = sql[i];
      if (char === "\\" && backslash !== "no") {
        if (backslash === "maybe" && sql[i + 1] === quote) break;
        i++;
      } else if (char === quote) {
        if (sql[i + 1] !== quote) {
          stop = i + 1;
          break;
        }
        i++;
      }
    }
    this.literal(start, stop);
  }

  /** A name in quotes stays; the quote twice is one of its characters. */
  private name(quote: string): void {
    const { sql } = this;
    let i = sql.indexOf(quote, this.at + 1);
    while (i >= 0 && sql[i + 1] === quote) i = sql.indexOf(quote, i + 2);
    this.at = i < 0 ? this.end : i + 1;
  }

  private quotedName(close: string, has: Dialect["backticks"]): void {
    if (has === "yes") {
      this.name(close);
      return;
    }
    const start = this.at++;
    if (start === this.closing) return;
    this.closing = this.next(close, this.at);
    if (AMBIGUOUS.some((opening) => this.next(opening, this.at) < this.closing)) this.literal(start, this.end);
  }

  private word(char: string, next: string): void {
    const { sql, at, dialect } = this;
    const quoted = next === "'";
    const national = (next === "q" || next === "Q") && sql[at + 2] === "'" && (char === "n" || char === "N");
    if (quoted && (char === "e" || char === "E") && dialect.escapeStrings) this.string(at + 2, at, "yes");
    else if (quoted && (char === "q" || char === "Q") && dialect.qQuotes !== "no") this.qQuoted(at + 2);
    else if (quoted && PREFIXES.includes(char)) this.string(at + 2, at, dialect.backslash);
    else if (national && dialect.qQuotes !== "no") this.qQuoted(at + 3);
    else this.plainWord();
  }

  private plainWord(): void {
    const { sql } = this;
    this.at++;
    while (this.at < this.end && isWordPart(sql.charCodeAt(this.at))) this.at++;
  }

  private qQuoted(from: number): void {
    const { sql, at } = this;
    const open = sql[from] ?? "";
    const closing = this.dialect.qQuotes === "maybe" ? -1 : sql.indexOf(`${CLOSING[open] ?? open}'`, from + 1);
    this.literal(at, closing < 0 ? this.end : closing + 2);
  }

  private number(): void {
    const { sql, at } = this;
    let i = at;
    const digits = (underscores: boolean) => {
      while (isDigit(sql[i] ?? "") || (underscores && sql[i] === "_")) i++;
    };
    digits(true);
    if (sql[i] === ".") {
      i++;
      digits(false);
    }
    if (/^[eE][+-]?\d/.test(sql.slice(i, i + 3))) {
      i += 2;
      digits(false);
    }
    while (i < this.end && /\w/.test(sql[i]!)) i++;
    this.literal(at, i);
  }

  private dashes(): void {
    const needsSpace = this.dialect.dashesNeedSpace;
    const spaced = !/\S/.test(this.sql[this.at + 2] ?? " ");
    if (needsSpace === "no" || spaced) this.endOfLine();
    else if (needsSpace === "yes") this.at++;
    else this.lineComment("-");
  }

  /** A comment to the end of the line, if it is one: with a quote in it, the text could as well go on in a string. */
  private lineComment(char: string): void {
    const unknown = this.dialect.hashComments === "maybe";
    const stop = this.next("\n", this.at);
    if (unknown && OPENINGS.some((opening) => this.next(opening, this.at) < stop)) this.literal(this.at, this.end);
    else if (char === "/" && !unknown) this.at++;
    else this.endOfLine();
  }

  private endOfLine(): void {
    const stop = this.sql.indexOf("\n", this.at);
    this.replace(this.at, stop < 0 ? this.end : stop, " ");
  }

  private comment(): void {
    const { sql, at, end } = this;
    const nested = this.dialect.nestedComments;
    let depth = 1;
    let i = at + 2;
    for (; i < end && depth > 0; i++) {
      if (sql[i] === "*" && sql[i + 1] === "/") {
        depth--;
        i++;
      } else if (sql[i] === "/" && sql[i + 1] === "*" && nested !== "no") {
        if (nested === "maybe") {
          this.literal(at, end);
          return;
        }
        depth++;
        i++;
      }
    }
    this.replace(at, i, " ");
  }

  /** `$1` is a placeholder; `$tag$` opens a text. */
  private dollar(): void {
    const { sql, at, end } = this;
    let i = at + 1;
    if (isDigit(sql[i] ?? "")) {
      while (isDigit(sql[i] ?? "")) i++;
      this.at = i;
      return;
    }
    if (this.dialect.dollarQuotes === "no") {
      this.at++;
      return;
    }
    if (isWordStart(sql[i] ?? "")) while (i < end && sql[i] !== "$" && isWordPart(sql.charCodeAt(i))) i++;
    if (sql[i] !== "$") {
      this.at = i;
      return;
    }
    const tag = sql.slice(at, i + 1);
    const closing = this.dialect.dollarQuotes === "maybe" ? -1 : sql.indexOf(tag, i + 1);
    this.literal(at, closing < 0 ? end : closing + tag.length);
  }

  /** Where `char` comes next, or the end. */
  private next(char: string, from: number): number {
    const known = this.found.get(char);
    if (known !== undefined && known >= from) return known;
    const position = this.sql.indexOf(char, from);
    const stop = position < 0 ? this.end : position;
    this.found.set(char, stop);
    return stop;
  }
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9";
}

function isWordStart(char: string): boolean {
  return (char >= "a" && char <= "z") || (char >= "A" && char <= "Z") || char === "_" || char >= "\u0080";
}

function isWordPart(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 36 ||
    code >= 128
  );
}
