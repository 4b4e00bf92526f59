import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Frame } from "../shared/description.ts";
import type { CompiledMap } from "../shared/messages.ts";
import { lookUp, type Original, type Position } from "./source-map.ts";

/** Larger files and maps are left alone: they are read whole, and a pass over this much takes a quarter of a second. */
const MAX_BYTES = 32 * 1024 * 1024;
/** A map that a file holds is read as text. */
const MAX_INLINE_BYTES = 8 * 1024 * 1024;
/** Of maps that are in no file, all together: further ones are left alone. */
const MAX_COMPILED_BYTES = 16 * 1024 * 1024;
const MAX_FRAMES = 1000;
const MAX_FILES_WITHOUT = 1000;
const TAIL_BYTES = 4096;
const KEYWORDS = ["function ", "async function "];
/** What a source may have before them, which a bundle has not. */
const EXPORTS = ["", "export ", "export default "];
const NOWHERE: Position = { line: 0, column: 0 };
const MARK = "sourceMappingURL=";
const INLINE = /^data:application\/json[^,]*,/;

/**
 * Gives stack frames as their authors wrote them, where a file says that it was made from others: function, file, line
 * and column by the source map that it names or holds. Frames of other files stay as they are, and so do those whose
 * map cannot be read, which is counted. Nothing is read twice for the same frame. Runs in the agent's thread only.
 */
export class SourceMaps {
  /** Maps that could not be read. */
  failures = 0;
  readonly #translated = new Map<string, Frame>();
  readonly #without = new Set<string>();
  readonly #compiled = new Map<string, string>();
  #compiledBytes = 0;

  /** The map of a file whose code is not what the file holds. */
  add({ file, map }: CompiledMap): void {
    if (this.#compiledBytes + map.length > MAX_COMPILED_BYTES) return;
    this.#compiledBytes += map.length;
    this.#compiled.set(file, map);
  }

  translate(frames: readonly Frame[]): readonly Frame[] {
    const unknown = new Map<string, Call[]>();
    for (const [index, frame] of frames.entries()) {
      if (!isMappable(frame) || this.#without.has(frame.file) || this.#translated.has(keyOf(frame))) continue;
      const caller = frames[index + 1];
      const call = { frame, caller: caller?.file === frame.file ? caller : undefined };
      unknown.set(frame.file, [...(unknown.get(frame.file) ?? []), call]);
    }
    for (const [file, calls] of unknown) this.#read(file, calls);
    return frames.map((frame) => this.#translated.get(keyOf(frame)) ?? frame);
  }

  #read(file: string, calls: readonly Call[]): void {
    try {
      const compiled = this.#compiled.get(file);
      const found = compiled === undefined ? mapOf(file) : inlineMap(compiled, dirname(file));
      if (found === undefined) this.#giveUp(file);
      else for (const [frame, translated] of translateAll(calls, found)) this.#remember(frame, translated);
    } catch {
      this.failures += 1;
      this.#giveUp(file);
    }
  }

  #giveUp(file: string): void {
    if (this.#without.size >= MAX_FILES_WITHOUT) this.#without.clear();
    this.#without.add(file);
  }

  #remember(frame: Frame, translated: Frame): void {
    if (this.#translated.size >= MAX_FRAMES) this.#translated.clear();
    this.#translated.set(keyOf(frame), translated);
  }
}

interface Call {
  readonly frame: Frame;
  /** Where it was called, when that is in the same file. */
  readonly caller: Frame | undefined;
}

interface MapFile {
  readonly content: Buffer;
  /** Folder that its sources are relative to. */
  readonly folder: string;
}

function isMappable({ file }: Frame): boolean {
  return file.startsWith("/") || /^[A-Za-z]:[\\/]/.test(file);
}

function keyOf({ file, line, column }: Frame): string {
  return `${file}:${line}:${column}`;
}

/** Several questions for each call: where it is, where it was called, and where its function begins and is named. */
function translateAll(calls: readonly Call[], { content, folder }: MapFile): [Frame, Frame][] {
  const questions = calls.map(({ frame, caller }) => [frame, caller ?? NOWHERE, ...namePlaces(frame)]);
  const answers = lookUp(content, questions.flat());
  let at = 0;
  return calls.map(({ frame }, index) => {
    const [original, called, ...declared] = answers.slice(at, at + questions[index]!.length);
    at += questions[index]!.length;
    if (original === undefined) return [frame, frame];
    const name = declaredName(declared) ?? (called?.exact ? called.name : undefined);
    const { line, column } = original;
    return [frame, { function: name ?? frame.function, file: pathOf(original, folder), line, column }];
  });
}

/** A stack knows where the word `function` is, or what a method's name is; a map has the name's own place. */
function namePlaces({ functionLine: line, functionColumn: begin }: Frame): Position[] {
  if (line === undefined || begin === undefined) return [];
  return [0, ...KEYWORDS.map(({ length }) => length)].map((after) => ({ line, column: begin + after }));
}

function declaredName([begin, ...after]: readonly (Original | undefined)[]): string | undefined {
  if (begin === undefined) return undefined;
  if (begin.exact && begin.name !== undefined) return begin.name;
  // Both in what was written and in what was made of it, the name comes right after these words.
  const named = after.find((place, index) => {
    if (!place?.exact || place.line !== begin.line) return false;
    const between = place.column - begin.column - KEYWORDS[index]!.length;
    return EXPORTS.some(({ length }) => between === length);
  });
  return named?.name;
}

function pathOf({ source }: Original, folder: string): string {
  if (source.startsWith("file:")) return fileURLToPath(source);
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(source) ? source : resolve(folder, source);
}

/** The map that a file names in its last line, or holds there; undefined if it does neither. */
function mapOf(file: string): MapFile | undefined {
  const folder = dirname(file);
  let tail = read(file, TAIL_BYTES);
  let url = lastUrl(tail);
  // A map that the file holds is longer than the tail of it, and in base64 without spaces.
  if (url === undefined && isInlineEnd(tail)) {
    tail = read(file, MAX_INLINE_BYTES);
    url = lastUrl(tail);
  }
  if (url === undefined) return undefined;
  if (INLINE.test(url)) return inlineMap(url, folder);
  const path = url.startsWith("file:") ? fileURLToPath(url) : resolve(folder, decodeURIComponent(url));
  return { content: read(path, MAX_BYTES, true), folder: dirname(path) };
}

/** A map that is given itself, or as the URL that holds it. */
function inlineMap(text: string, folder: string): MapFile {
  const inline = INLINE.exec(text);
  if (inline === null) return { content: Buffer.from(text), folder };
  const body = text.slice(inline[0].length);
  const isBase64 = inline[0].endsWith(";base64,");
  return { content: isBase64 ? Buffer.from(body, "base64") : Buffer.from(decodeURIComponent(body)), folder };
}

function lastUrl(text: Buffer): string | undefined {
  const at = text.lastIndexOf(MARK);
  if (at < 0 || !/[#@]\s*$/.test(text.toString("latin1", Math.max(0, at - 4), at))) return undefined;
  return /^\S+/.exec(text.toString("utf8", at + MARK.length))?.[0];
}

function isInlineEnd(tail: Buffer): boolean {
  return tail.length === TAIL_BYTES && /^[\w+/=%.~!*'()-]+\s*$/.test(tail.toString("latin1"));
}

/** The last `bytes` bytes of a file. @throws {RangeError} `whole` is asked for, and it is larger. */
function read(path: string, bytes: number, whole = false): Buffer {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    if (whole && size > bytes) throw new RangeError(`${path} has ${size} bytes`);
    const buffer = Buffer.allocUnsafe(Math.min(size, bytes));
    let filled = 0;
    while (filled < buffer.length) {
      const got = readSync(file, buffer, filled, buffer.length - filled, size - buffer.length + filled);
      if (got === 0) break;
      filled += got;
    }
    return buffer.subarray(0, filled);
  } finally {
    closeSync(file);
  }
}
