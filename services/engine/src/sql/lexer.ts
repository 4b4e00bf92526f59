/** One token of ClickHouse SQL. `text` is the meaning (quotes and escapes undone); `start` and `end` are offsets into the source. */
export interface Token {
  kind: "word" | "quoted" | "string" | "number" | "symbol" | "unterminated";
  text: string;
  start: number;
  end: number;
}

const WORD_START = /[\p{L}_]/u;
const WORD_PART = /[\p{L}\p{N}_$]/u;
const DIGIT = /[0-9]/;
const HEREDOC_TAG = /\$[A-Za-z0-9_]*\$/y;

/**
 * Splits ClickHouse SQL into tokens, comments and white space dropped.
 *
 * Follows ClickHouse's own lexer where a difference would matter to a guard: `--`, `#!`, `# ` and nested block
 * comments, quotes closed by a doubled quote or escaped by a backslash, heredocs `$tag$...$tag$`, typographic
 * quotes. A quote or comment that never closes yields one `unterminated` token. Never throws.
 * Source: ClickHouse `src/Parsers/Lexer.cpp`.
 */
export function* lex(sql: string, from = 0): Generator<Token> {
  let at = from;
  while (at < sql.length) {
    const c = sql[at]!;
    const two = sql.slice(at, at + 2);
    if (c.trim() === "" || c === "\u200b" || c === "\u2060" || c === "\0") {
      at++;
      continue;
    }
    if (two === "--" || two === "//" || two === "#!" || two === "# ") {
      const end = sql.indexOf("\n", at);
      at = end < 0 ? sql.length : end + 1;
      continue;
    }
    if (two === "/*") {
      const end = endOfBlockComment(sql, at);
      if (end < 0) {
        yield { kind: "unterminated", text: two, start: at, end: sql.length };
        return;
      }
      at = end;
      continue;
    }
    const token = next(sql, at);
    yield token;
    at = token.end;
  }
}

/** Block comments nest: `/* a /* b *\/ still the comment *\/`. */
function endOfBlockComment(sql: string, start: number): number {
  let depth = 0;
  for (let at = start; at < sql.length - 1; ) {
    const two = sql.slice(at, at + 2);
    if (two === "/*") depth++;
    if (two === "*/") depth--;
    at += two === "/*" || two === "*/" ? 2 : 1;
    if (depth === 0) return at;
  }
  return -1;
}

function next(sql: string, start: number): Token {
  const c = sql[start]!;
  if (c === "'" || c === '"' || c === "`") return quoted(sql, start, c);
  if (c === "\u2018") return typographic(sql, start, "\u2019", "string");
  if (c === "\u201c") return typographic(sql, start, "\u201d", "quoted");
  if (c === "$") {
    HEREDOC_TAG.lastIndex = start;
    const tag = HEREDOC_TAG.exec(sql)?.[0];
    if (tag !== undefined) {
      const close = sql.indexOf(tag, start + tag.length);
      if (close >= 0) {
        return { kind: "string", text: sql.slice(start + tag.length, close), start, end: close + tag.length };
      }
    }
  }
  if (DIGIT.test(c)) {
    let end = start + 1;
    while (end < sql.length && WORD_PART.test(sql[end]!)) end++;
    return { kind: "number", text: sql.slice(start, end), start, end };
  }
  if (WORD_START.test(c)) {
    let end = start + 1;
    while (end < sql.length && WORD_PART.test(sql[end]!)) end++;
    return { kind: "word", text: sql.slice(start, end), start, end };
  }
  return { kind: "symbol", text: c, start, end: start + 1 };
}

function quoted(sql: string, start: number, quote: string): Token {
  let text = "";
  let at = start + 1;
  while (at < sql.length) {
    const c = sql[at]!;
    if (c === "\\") {
      text += sql[at + 1] ?? "";
      at += 2;
    } else if (c === quote && sql[at + 1] === quote) {
      text += quote;
      at += 2;
    } else if (c === quote) {
      return { kind: quote === "'" ? "string" : "quoted", text, start, end: at + 1 };
    } else {
      text += c;
      at++;
    }
  }
  return { kind: "unterminated", text, start, end: sql.length };
}

function typographic(sql: string, start: number, close: string, kind: "string" | "quoted"): Token {
  const end = sql.indexOf(close, start + 1);
  if (end < 0) return { kind: "unterminated", text: sql.slice(start + 1), start, end: sql.length };
  return { kind, text: sql.slice(start + 1, end), start, end: end + 1 };
}

/** True when the token is this unquoted key word, in any case. */
export function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === "word" && token.text.toUpperCase() === word;
}

/** A ClickHouse string literal. */
export function quoteString(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** A ClickHouse identifier in back quotes. */
export function quoteIdentifier(text: string): string {
  return `\`${text.replaceAll("\\", "\\\\").replaceAll("`", "\\`")}\``;
}

/**
 * The same statement without comments, so that the engine parses exactly the tokens a guard looked at, whatever the two
 * would make of a comment. Gaps become one blank or line break; nothing is put where there was no gap.
 */
export function withoutComments(sql: string, tokens: readonly Token[]): string {
  let text = "";
  let end: number | undefined;
  for (const token of tokens) {
    if (end !== undefined && token.start > end) text += sql.slice(end, token.start).includes("\n") ? "\n" : " ";
    text += sql.slice(token.start, token.end);
    end = token.end;
  }
  return text;
}
