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

const OTHER: Statement = { text: undefined, operation: "_OTHER", summary: "_other" };

// Order matters: what starts first wins. A literal that does not end runs to the end of the text.
const TOKENS = new RegExp(
  [
    /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/, // comments
    /(?<literal>\b[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|\b[bBxXnN]?'(?:[^']|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$(?<tag>[A-Za-z_]\w*)?\$[\s\S]*?(?:\$\k<tag>\$|$))/,
    /(?<quoted>"(?:[^"]|"")*(?:"|$))/,
    /(?<word>\$\d+|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/,
    /(?<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*)/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);

/** Replaces every literal by `?`, leaves out comments and folds lists of values: safe to send, and few. */
export function normalise(sql: string): string {
  return sql
    .slice(0, MAX_RAW_CHARACTERS)
    .replace(TOKENS, (...match) => {
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
  for (const [, table] of text.matchAll(/\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?([\w$."\u0080-\uffff]+)/gi)) {
    if (table !== undefined && tables.size < MAX_TABLES && !/^(?:select|set)$/i.test(table)) {
      tables.add(table.replaceAll('"', ""));
    }
  }
  return { operation, summary: [operation, ...tables].join(" ").slice(0, MAX_SUMMARY_CHARACTERS) };
}

/** Statements by their raw text. */
export class Statements {
  readonly #byRawText = new Map<string, Statement>();
  readonly #byText = new Map<string, Statement>();

  of(sql: string): Statement {
    let statement = this.#byRawText.get(sql);
    if (statement !== undefined) return statement;
    const text = normalise(sql);
    statement = this.#byText.get(text);
    if (statement === undefined) {
      statement = this.#byText.size >= MAX_STATEMENTS ? OTHER : { text, ...summarise(text) };
      if (statement !== OTHER) this.#byText.set(text, statement);
    }
    if (this.#byRawText.size >= MAX_REMEMBERED) this.#byRawText.clear();
    this.#byRawText.set(sql, statement);
    return statement;
  }
}
