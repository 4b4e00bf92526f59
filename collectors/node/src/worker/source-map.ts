const COMMA = 44; // ,
const SEMICOLON = 59; // ;
const QUOTE = 34; // "
const BACKSLASH = 92;
const CONTINUES = 32;
const DIGIT_BITS = 5;
const DIGIT_MASK = 31;

const digits = new Uint8Array(128);
for (const [value, character] of [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].entries()) {
  digits[character.charCodeAt(0)] = value;
}

/** A place in a file: line from 1, column from 1, as stacks have them. */
export interface Position {
  readonly line: number;
  readonly column: number;
}
/** Where a place came from. `source` is as the map has it; `name` where it has one. */
export interface Original extends Position {
  readonly source: string;
  readonly name: string | undefined;
  /** Whether the map tells of this very place, or of one before it. */
  readonly exact: boolean;
}

/**
 * Looks places up in a source map of version 3, in one pass over its bytes and without keeping what it passes: decoded,
 * the map of a bundle of a few megabytes would fill the memory that the agent's thread may have. The answers are in
 * the order of the questions; undefined where the map says nothing.
 *
 * @throws {SyntaxError} it is no such map. Maps of sections are not read.
 * Source: ECMA-426, source map format.
 */
export function lookUp(map: Buffer, positions: readonly Position[]): (Original | undefined)[] {
  const mappings = textAfter(map, "mappings");
  const sources = listAfter(map, "sources");
  if (mappings === undefined || sources === undefined) throw new SyntaxError("not a source map");
  const names = listAfter(map, "names") ?? [];
  const root = textAfter(map, "sourceRoot");
  const prefix = root === undefined || root.length === 0 ? "" : `${root.toString("utf8").replace(/\/$/, "")}/`;
  return segmentsAt(mappings, positions).map((segment) => {
    const source = segment === undefined ? undefined : sources[segment.source];
    if (segment === undefined || typeof source !== "string") return undefined;
    const name = names[segment.name];
    return {
      source: prefix + source,
      line: segment.line + 1,
      column: segment.column + 1,
      name: typeof name === "string" ? name : undefined,
      exact: segment.exact,
    };
  });
}

interface Segment {
  readonly source: number;
  readonly line: number;
  readonly column: number;
  /** -1: none. */
  readonly name: number;
  readonly exact: boolean;
}

/** For each place, the last segment of its line that begins at or before its column. */
function segmentsAt(mappings: Buffer, positions: readonly Position[]): (Segment | undefined)[] {
  const found: (Segment | undefined)[] = positions.map(() => undefined);
  const order = [...positions.keys()].sort((a, b) => positions[a]!.line - positions[b]!.line);
  const last = positions[order.at(-1) ?? 0]?.line ?? 0;
  const state = [0, 0, 0, 0, 0]; // generated column, source, line, column, name
  let at = 0;
  let first = 0;
  for (let line = 1; line <= last && at <= mappings.length; line++) {
    while (first < order.length && positions[order[first]!]!.line < line) first += 1;
    state[0] = 0;
    while (at < mappings.length && mappings[at] !== SEMICOLON) {
      let fields = 0;
      while (at < mappings.length && mappings[at] !== COMMA && mappings[at] !== SEMICOLON) {
        let value = 0;
        for (let shift = 0, digit = CONTINUES; (digit & CONTINUES) !== 0 && at < mappings.length; shift += DIGIT_BITS) {
          digit = digits[mappings[at]! & 127]!;
          value += (digit & DIGIT_MASK) << shift;
          at += 1;
        }
        if (fields < state.length) state[fields]! += (value & 1) === 1 ? -(value >>> 1) : value >>> 1;
        fields += 1;
      }
      if (mappings[at] === COMMA) at += 1;
      for (let index = first; index < order.length && positions[order[index]!]!.line === line; index++) {
        const asked = positions[order[index]!]!.column - 1;
        if (state[0]! > asked) continue;
        const [column = 0, source = 0, line = 0, sourceColumn = 0, name = 0] = state;
        const segment = { source, line, column: sourceColumn, name: fields > 4 ? name : -1, exact: column === asked };
        // A segment of one field says that this code came from nowhere.
        found[order[index]!] = fields < 4 ? undefined : segment;
      }
    }
    at += 1;
  }
  return found;
}

/** Bytes of the string that a key has; inside other strings the same text would have backslashes before its quotes. */
function textAfter(map: Buffer, key: string): Buffer | undefined {
  const start = valueAfter(map, key);
  if (start === undefined || map[start] !== QUOTE) return undefined;
  const end = endOfString(map, start);
  return end === undefined ? undefined : map.subarray(start + 1, end);
}

function listAfter(map: Buffer, key: string): unknown[] | undefined {
  const start = valueAfter(map, key);
  if (start === undefined || map[start] !== "[".charCodeAt(0)) return undefined;
  for (let at = start + 1; at < map.length; at++) {
    if (map[at] === "]".charCodeAt(0)) return JSON.parse(map.toString("utf8", start, at + 1)) as unknown[];
    if (map[at] === QUOTE) at = endOfString(map, at) ?? map.length;
  }
  return undefined;
}

function valueAfter(map: Buffer, key: string): number | undefined {
  const quoted = `"${key}"`;
  for (let at = map.indexOf(quoted); at >= 0; at = map.indexOf(quoted, at + 1)) {
    let after = skipSpace(map, at + quoted.length);
    if (map[after] !== ":".charCodeAt(0)) continue;
    after = skipSpace(map, after + 1);
    return after;
  }
  return undefined;
}

function skipSpace(map: Buffer, from: number): number {
  let at = from;
  while (map[at] === 32 || map[at] === 10 || map[at] === 13 || map[at] === 9) at += 1;
  return at;
}

function endOfString(map: Buffer, start: number): number | undefined {
  for (let at = map.indexOf(QUOTE, start + 1); at >= 0; at = map.indexOf(QUOTE, at + 1)) {
    let slashes = 0;
    while (map[at - 1 - slashes] === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return at;
  }
  return undefined;
}
