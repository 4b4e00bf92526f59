import { notImplemented, syntaxError } from "../exception.ts";
import { isWord, lex, type Token } from "./lexer.ts";

/** A statement as the HTTP interface must treat it. */
export interface Statement {
  /** First key word, upper case: SELECT, INSERT, CREATE, ... */
  verb: string;
  /** Format named by a trailing FORMAT clause. */
  format: string | undefined;
  /** Set for an INSERT whose rows follow the statement. */
  insert: InsertHead | undefined;
}

/** The part of an INSERT that stands before its rows. */
export interface InsertHead {
  /** `INSERT INTO t (a, b)`, without settings and format. */
  target: string;
  /** Text of the SETTINGS clause, without the key word. */
  settings: string | undefined;
  format: string;
  /** Offset of the first byte of data (in UTF-16 units of the source). */
  dataStart: number;
}

/**
 * Reads as much of a statement as routing needs.
 *
 * Throws ClickHouse's SYNTAX_ERROR for several statements in one request and for a quote that never closes, and
 * NOT_IMPLEMENTED for what only a local client may do (INFILE, OUTFILE), as this engine's files are not the caller's.
 */
export function readStatement(sql: string): Statement {
  const tokens: Token[] = [];
  let inserting = false;
  for (const token of lex(sql)) {
    if (token.text === "\\" && token.kind === "symbol") throw syntaxError("Unexpected backslash outside a string");
    tokens.push(token);
    if (tokens.length === 1 && isWord(token, "INSERT")) inserting = true;
    if (inserting) {
      const head = insertHead(sql, tokens);
      if (head !== undefined) return { verb: "INSERT", format: head.format, insert: head };
    }
    if (token.kind === "unterminated") throw syntaxError("A quote or comment is never closed");
  }
  const meaningful = withoutTrailingSemicolons(tokens);
  const first = meaningful.find((token) => token.text !== "(");
  if (first === undefined) throw syntaxError("Empty query");
  if (meaningful.some((token) => token.kind === "symbol" && token.text === ";")) {
    throw syntaxError("Multi-statements are not allowed");
  }
  for (const [i, token] of meaningful.entries()) {
    const after = meaningful[i + 1];
    if (isWord(token, "INTO") && isWord(after, "OUTFILE"))
      throw notImplemented("INTO OUTFILE is not supported over HTTP");
    if (isWord(token, "FROM") && isWord(after, "INFILE"))
      throw notImplemented("FROM INFILE is not supported over HTTP");
  }
  return { verb: first.text.toUpperCase(), format: trailingFormat(meaningful), insert: undefined };
}

function withoutTrailingSemicolons(tokens: Token[]): Token[] {
  let end = tokens.length;
  while (end > 0 && tokens[end - 1]!.kind === "symbol" && tokens[end - 1]!.text === ";") end--;
  return tokens.slice(0, end);
}

function trailingFormat(tokens: Token[]): string | undefined {
  let depth = 0;
  let format: string | undefined;
  for (const [i, token] of tokens.entries()) {
    if (token.text === "(" && token.kind === "symbol") depth++;
    if (token.text === ")" && token.kind === "symbol") depth--;
    const after = tokens[i + 1];
    if (depth !== 0 || !isWord(token, "FORMAT") || after === undefined) continue;
    if (after.kind !== "word" && after.kind !== "quoted") continue;
    const beyond = tokens[i + 2];
    if (beyond === undefined || isWord(beyond, "SETTINGS") || isWord(beyond, "INTO")) format = after.text;
  }
  return format;
}

/** Set as soon as the tokens so far end with `FORMAT <name>` or `VALUES`, outside parentheses. */
function insertHead(sql: string, tokens: Token[]): InsertHead | undefined {
  const last = tokens.at(-1)!;
  const before = tokens.at(-2);
  const values = last.kind === "word" && last.text.toUpperCase() === "VALUES" && tokens.length > 2;
  const format = isWord(before, "FORMAT") && (last.kind === "word" || last.kind === "quoted");
  if (!values && !format) return undefined;
  let depth = 0;
  let settingsAt: Token | undefined;
  for (const token of tokens) {
    if (token.kind === "symbol" && token.text === "(") depth++;
    if (token.kind === "symbol" && token.text === ")") depth--;
    if (depth > 0) continue;
    if (isWord(token, "SELECT") || isWord(token, "WITH") || isWord(token, "WATCH")) return undefined;
    if (isWord(token, "SETTINGS")) settingsAt = token;
    if (isWord(token, "INFILE"))
      throw notImplemented("FROM INFILE is not supported over HTTP: send the rows as the body");
    if (isWord(token, "FUNCTION")) throw notImplemented("INSERT INTO FUNCTION is not supported by the embedded engine");
  }
  if (depth !== 0) return undefined;
  const clauseStart = values ? last.start : before!.start;
  return {
    target: sql.slice(tokens[0]!.start, settingsAt?.start ?? clauseStart).trim(),
    settings: settingsAt === undefined ? undefined : sql.slice(settingsAt.end, clauseStart).trim(),
    format: values ? "Values" : last.text,
    dataStart: values ? last.end : skipToData(sql, last.end),
  };
}

/** ClickHouse ignores blanks, one semicolon and one line break between the format's name and the data. */
function skipToData(sql: string, from: number): number {
  const gap = /[ \t\f]*;?[ \t\f]*(\r?\n)?/y;
  gap.lastIndex = from;
  return from + (gap.exec(sql)?.[0].length ?? 0);
}
