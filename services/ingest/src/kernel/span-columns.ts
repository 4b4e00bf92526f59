import { readValueText } from "../otlp/attributes.ts";
import type { Wire } from "../otlp/wire.ts";
import { DROP, KEEP, type Rule } from "../privacy/attribute-rules.ts";
import type { Scrubber } from "../privacy/scrubber.ts";
import type { Text, Words } from "../rows/columns.ts";
import type { LabelOwner } from "../rows/record-labels.ts";
import type { Tables } from "../rows/tables.ts";
import type { Host, Kernel } from "./kernel.ts";

export const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
export const STATUSES = ["Unset", "Ok", "Error"];

/** What `ruleOfKey` and `ruleOfName` answer: see `kernel/host.ts`. */
const AS_IS = 1;
const LEAVE_OUT = 2;
const MAKE = 3;
const SPAN_ATTRIBUTES = 9;
/** New words that one span may bring: `kernel/spans.ts`. */
const WORDS_PER_SPAN = 256;
/** Where a word's entry has its length, and where its text begins: `kernel/words.ts`. */
const WORD_LENGTH = 8;
const WORD_TEXT = 24;
const LONGEST_LENGTH = 5;

/** What the kernel asks about attributes: the rules of the scrubber, and the text of values that are no plain ones. */
export function spanHost(kernel: () => Kernel, owner: LabelOwner): Host {
  const { scrubber } = owner;
  const made = (value: string): number => {
    const { bytes, layout } = kernel();
    const size = Buffer.byteLength(value);
    if (size + LONGEST_LENGTH > layout("MADE_BYTES")) return -1;
    const start = layout("MADE");
    let at = start;
    let rest = size;
    while (rest >= 0x80) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    Buffer.from(bytes.buffer, at, size).write(value, "utf8");
    return at + size - start;
  };
  return {
    ruleOfKey: (at, length) => {
      const rule = scrubber.rule(kernel().text(at, length));
      return rule === KEEP ? AS_IS : rule === DROP ? LEAVE_OUT : MAKE;
    },
    ruleOfName: (at, length) => (scrubber.nameRule(kernel().text(at, length)) === KEEP ? AS_IS : MAKE),
    makeValue: (key, keyLength, at, end, span, spanEnd) => {
      const instance = kernel();
      const { wire } = instance;
      const rule = scrubber.rule(instance.text(key, keyLength));
      const start = instance.inBody(at);
      const stop = instance.inBody(end);
      if (rule === KEEP) return made(readValueText(wire, start, stop, scrubber.entries));
      owner.set(wire, instance.inBody(span), instance.inBody(spanEnd), SPAN_ATTRIBUTES);
      return made(scrubber.value(rule as Rule, readValueText(wire, start, stop), owner.dbSystem));
    },
  };
}

/** A column of words, with the numbers in its block of those that the kernel has numbered. */
class NumberedWords {
  readonly column: Words;
  private readonly numbers: Int32Array;
  private generation = -1;

  constructor(column: Words, words: number) {
    this.column = column;
    this.numbers = new Int32Array(words).fill(-1);
  }

  append(words: Uint32Array, textOf: (word: number) => string): void {
    const { column, numbers } = this;
    if (this.generation !== column.generation) this.forget();
    column.reserve(words.length);
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      let number = numbers[word]!;
      if (number < 0) {
        number = column.intern(textOf(word));
        numbers[word] = number;
      }
      column.pushNumber(number);
    }
  }

  forget(): void {
    this.numbers.fill(-1);
    this.generation = this.column.generation;
  }
}

/** The rows that the kernel makes of spans, on their way into the columns of the table. */
export class SpanColumns {
  private readonly kernel: Kernel;
  private readonly scrubber: Scrubber;
  private readonly columns: Tables["otel_traces"]["columns"];
  private readonly names: NumberedWords;
  private readonly keys: NumberedWords;
  private readonly eventNames: NumberedWords;
  private readonly eventKeys: NumberedWords;
  private readonly layout: Kernel["layout"];
  /** The kernel's words as strings, by number. */
  private texts: string[] = [];
  private appended = 0;

  constructor(kernel: Kernel, tables: Tables, scrubber: Scrubber) {
    const { columns } = tables.otel_traces;
    this.kernel = kernel;
    this.scrubber = scrubber;
    this.columns = columns;
    const known = new Map<string, number>();
    this.layout = (name) => {
      let at = known.get(name);
      if (at === undefined) {
        at = kernel.layout(name);
        known.set(name, at);
      }
      return at;
    };
    const words = kernel.layout("MAX_WORDS");
    this.names = new NumberedWords(columns.SpanName, words);
    this.keys = new NumberedWords(columns.SpanAttributes.keys, words);
    this.eventNames = new NumberedWords(columns["Events.Name"].items, words);
    this.eventKeys = new NumberedWords(columns["Events.Attributes"].items.keys, words);
  }

  /** As `PointColumns.take`. */
  take(wire: Wire, end: number): number {
    const { kernel } = this;
    const { functions } = kernel;
    const before = this.appended + functions.spanRows();
    const droppedBefore = functions.droppedLabels();
    kernel.walk(functions.takeSpans, wire, end);
    for (let i = (functions.droppedLabels() - droppedBefore) >>> 0; i > 0; i--) this.scrubber.denied();
    const rows = this.appended + functions.spanRows() - before;
    kernel.rows += rows;
    return rows;
  }

  /** To be called before a row is written by anybody else. */
  flush(): void {
    const { functions } = this.kernel;
    const rows = functions.spanRows();
    if (rows > 0) {
      this.append(rows);
      this.appended += rows;
      functions.clearSpans();
    }
    if (functions.wordsFull(WORDS_PER_SPAN) !== 0) {
      functions.resetWords();
      this.texts = [];
      for (const words of [this.names, this.keys, this.eventNames, this.eventKeys]) words.forget();
    }
  }

  /** Forgets what waits. */
  clear(): void {
    this.kernel.functions.clearSpans();
  }

  private append(rows: number): void {
    const { columns } = this;
    const { functions, bytes } = this.kernel;
    const at = this.layout;
    const text = (column: Text, name: string, size: number, count = rows) =>
      column.appendRows(bytes, at(name), at(name) + size, count);
    const textOf = (word: number) => this.textOf(word);
    const words = (column: NumberedWords, name: string, count: number) =>
      column.append(new Uint32Array(bytes.buffer, at(name), count), textOf);
    columns.Timestamp.bytes.raw(bytes, at("SPAN_TIME"), at("SPAN_TIME") + 8 * rows);
    columns.Duration.bytes.raw(bytes, at("SPAN_DURATION"), at("SPAN_DURATION") + 8 * rows);
    text(columns.TraceId, "TRACE_ID", 33 * rows);
    text(columns.SpanId, "SPAN_ID", 17 * rows);
    text(columns.ParentSpanId, "PARENT_ID", functions.parentBytes());
    text(columns.TraceState, "TRACE_STATE", functions.stateBytes());
    text(columns.StatusMessage, "STATUS_MESSAGE", functions.messageBytes());
    words(this.names, "SPAN_NAME", rows);
    pushCodes(columns.SpanKind, KINDS, bytes, at("SPAN_KIND"), rows);
    pushCodes(columns.StatusCode, STATUSES, bytes, at("SPAN_STATUS"), rows);

    const labels = functions.labelItems();
    columns.SpanAttributes.appendEnds(bytes, at("LABELS_END"), rows);
    words(this.keys, "LABEL_KEYS", labels);
    text(columns.SpanAttributes.items, "LABEL_VALUES", functions.labelBytes(), labels);

    const events = functions.eventItems();
    for (const name of ["Events.Timestamp", "Events.Name", "Events.Attributes"] as const) {
      columns[name].appendEnds(bytes, at("EVENTS_END"), rows);
    }
    columns["Events.Timestamp"].items.bytes.raw(bytes, at("EVENT_TIME"), at("EVENT_TIME") + 8 * events);
    words(this.eventNames, "EVENT_NAME", events);
    const eventLabels = functions.eventLabelItems();
    const { items } = columns["Events.Attributes"];
    items.appendEnds(bytes, at("EVENT_LABELS_END"), events);
    words(this.eventKeys, "EVENT_LABEL_KEYS", eventLabels);
    text(items.items, "EVENT_LABEL_VALUES", functions.eventLabelBytes(), eventLabels);

    for (const name of ["Links.TraceId", "Links.SpanId", "Links.TraceState", "Links.Attributes"] as const) {
      for (let i = 0; i < rows; i++) columns[name].close();
    }
  }

  private textOf(word: number): string {
    let text = this.texts[word];
    if (text === undefined) {
      const { buffer } = this.kernel.bytes;
      const entry = new Uint32Array(buffer, this.layout("WORD_ENTRIES"), word + 1)[word]!;
      text = this.kernel.text(entry + WORD_TEXT, new Uint32Array(buffer, entry + WORD_LENGTH, 1)[0]!);
      this.texts[word] = text;
    }
    return text;
  }
}

function pushCodes(column: Words, names: readonly string[], bytes: Uint8Array, from: number, rows: number): void {
  column.reserve(rows);
  for (let i = 0; i < rows; i++) column.push(names[bytes[from + i]!]!);
}
