const MAX_RAW_CHARACTERS = 16_384;
const MAX_TEXT_CHARACTERS = 1024;
const MAX_SUMMARY_CHARACTERS = 255;
const MAX_TABLES = 3;
/** Raw texts remembered; applications that put values in their SQL have endless ones. */
const MAX_REMEMBERED = 1000;
/** Statements kept apart; further ones count as `_other`, without text. */
const MAX_STATEMENTS = 300;

/** A statement without its values. */
export interface Statement {
  /** Without literals and comments, at most 1,024 characters; undefined past the limit of statements. */
  readonly text: string | undefined;
  /** First keyword, upper case. */
  readonly operation: string;
  /** Operation and tables: `SELECT books authors`. */
  readonly summary: string;
}

/** `mysql`: also "double quotes" hold a value, backslashes escape, and `backticks` quote names. */
export type Dialect = "standard" | "mysql";

const WORD = /(?<word>\$\d+|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/;
const NUMBER = /(?<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*)/;

// Order matters: what starts first wins. A literal that does not end runs to the end of the text.
const TOKENS: Readonly<Record<Dialect, RegExp>> = {
  standard: tokens(
    /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/, // comments
    /(?<literal>\b[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|\b[bBxXnN]?'(?:[^']|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$(?<tag>[A-Za-z_]\w*)?\$[\s\S]*?(?:\$\k<tag>\$|$))/,
    /(?<quoted>"(?:[^"]|"")*(?:"|$))/,
    WORD,
    NUMBER,
  ),
  mysql: tokens(
    /--(?:\s[^\n]*|$)|#[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/,
    /(?<literal>\b[bBxXnN]?'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|"(?:[^"\\]|\\[\s\S]|"")*(?:"|$))/,
    /(?<quoted>`(?:[^`]|``)*(?:`|$))/,
    WORD,
    NUMBER,
  ),
};

function tokens(...kinds: readonly RegExp[]): RegExp {
  return new RegExp(kinds.map(({ source }) => source).join("|"), "g");
}

/** Replaces every literal by `?`, leaves out comments and folds lists of values: safe to send, and few. */
export function normalise(sql: string, dialect: Dialect = "standard"): string {
  return sql
    .slice(0, MAX_RAW_CHARACTERS)
    .replace(TOKENS[dialect], (...match) => {
      const groups = match.at(-1) as Record<"literal" | "quoted" | "word" | "number", string | undefined>;
      if (groups.literal !== undefined || groups.number !== undefined) return "?";
      return groups.quoted ?? groups.word ?? " ";
    })
    .replace(/\s+/g, " ")
    .replace(/\(\s*(?:\?|\$\d+)(?:\s*,\s*(?:\?|\$\d+))+\s*\)/g, "(?)")
    .replace(/\((?:\?|\$\d+)\)(?:\s*,\s*\((?:\?|\$\d+)\))+/g, "(?)")
    .trim()
    .slice(0, MAX_TEXT_CHARACTERS);
}

/** First keyword and the tables. Source: OpenTelemetry, db.query.summary. */
export function summarise(text: string): { operation: string; summary: string } {
  const operation = /^[\s(]*([A-Za-z]+)/.exec(text)?.[1]?.toUpperCase() ?? "_OTHER";
  const tables = new Set<string>();
  for (const [, table] of text.matchAll(/\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?([\w$."`\u0080-\uffff]+)/gi)) {
    if (table !== undefined && tables.size < MAX_TABLES && !/^(?:select|set)$/i.test(table)) {
      tables.add(table.replace(/["`]/g, ""));
    }
  }
  return { operation, summary: [operation, ...tables].join(" ").slice(0, MAX_SUMMARY_CHARACTERS) };
}

/** Statements by their raw text, or by what else tells them apart: at most 300, all further ones are one. */
export class Statements {
  readonly #dialect: Dialect;
  readonly #other: Statement = { text: undefined, operation: "_OTHER", summary: "_other" };
  readonly #byRawText = new Map<string, Statement>();
  readonly #byText = new Map<string, Statement>();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  of(sql: string): Statement {
    let statement = this.#byRawText.get(sql);
    if (statement !== undefined) return statement;
    const text = normalise(sql, this.#dialect);
    statement = this.keyed(text, () => ({ text, ...summarise(text) }));
    if (this.#byRawText.size >= MAX_REMEMBERED) this.#byRawText.clear();
    this.#byRawText.set(sql, statement);
    return statement;
  }

  /** The statement with this key, made when it is new. */
  keyed(key: string, make: () => Statement): Statement {
    let statement = this.#byText.get(key);
    if (statement === undefined) {
      if (this.#byText.size >= MAX_STATEMENTS) return this.#other;
      statement = make();
      this.#byText.set(key, statement);
    }
    return statement;
  }
}
