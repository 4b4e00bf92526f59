import { describe, expect, test } from "vitest";
import { Decoder } from "../../src/rows/decoder.ts";
import { TABLE_ORDER } from "../../src/rows/tables.ts";
import { encode, nanos, TRACES } from "../otlp-messages.ts";
import { randomSource } from "../random.ts";
import { rewrite } from "../random-requests.ts";

const NOW = 1_700_500_000_000;
const WINDOW_BYTES = 0x20000;

/** See `points.test.ts`: the same, for spans. */
class Pair {
  private readonly options = { retentionDays: 15, maxSeries: 1000, now: () => NOW, denyAttributes: ["secret.*"] };
  private readonly short = new Decoder(this.options);
  private readonly long = new Decoder({ ...this.options, kernel: false });

  decode(body: Buffer, label: string): number {
    const before = this.short.kernelRows;
    const { undo: _undo, ...short } = this.short.decode("traces", "protobuf", body);
    const { undo: _other, ...long } = this.long.decode("traces", "protobuf", body);
    for (const [i, block] of long.blocks.entries()) {
      expect(short.blocks[i]?.bytes.equals(block.bytes), `${label}, block of ${TABLE_ORDER[block.table]}`).toBe(true);
    }
    expect({ ...short, blocks: short.blocks.length }, label).toEqual({ ...long, blocks: long.blocks.length });
    return this.short.kernelRows - before;
  }

  /** What either makes of bytes that may not be a request. */
  outcomes(body: Buffer): [unknown, unknown] {
    const outcome = (decoder: Decoder) => {
      try {
        const { blocks, rejected } = decoder.decode("traces", "protobuf", body);
        return [rejected, ...blocks.map((block) => block.bytes.toString("latin1"))];
      } catch (error) {
        return String(error);
      }
    };
    return [outcome(this.short), outcome(this.long)];
  }
}

const KEYS = ["http.route", "größe", "k", "db.system.name", "x".repeat(120)];
const CLEANED = ["db.query.text", "url.full", "http.url", "url.query", "db.statement"];
const LEFT_OUT = ["secret.a", "user.password", "authorization"];

/** Spans as SDKs send them; `odd` is the share of what is not usual about them. */
function request(random: () => number, count: number, odd = 0.02, textBytes = 40): object {
  const below = (n: number) => Math.floor(random() * n);
  const times = <T>(n: number, make: (i: number) => T) => Array.from({ length: below(n + 1) }, (_, i) => make(i));
  const word = () => ["", "plain", "größe", "\u{1F600}", "a\nb", "z".repeat(below(textBytes * 5))][below(6)]!;
  const id = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => 1 + below(255)));
  const integer = () => ["0", "7", "-1", "200", "9223372036854775807", "-9223372036854775808", "1000000"][below(7)]!;
  const value = (depth = 0): object =>
    [
      { stringValue: word() },
      { stringValue: "SELECT * FROM users WHERE id = 42 AND name = 'x'" },
      { intValue: integer() },
      { boolValue: random() < 0.5 },
      { doubleValue: random() * 100 },
      { bytesValue: id(below(9)) },
      depth < 3 ? { arrayValue: { values: times(3, () => value(depth + 1)) } } : {},
      depth < 3 ? { kvlistValue: { values: times(3, () => ({ key: key(), value: value(depth + 1) })) } } : {},
      {},
    ][random() < 0.6 ? below(3) : below(9)]!;
  const key = () => {
    const kind = random();
    if (random() < odd / 10) return "y".repeat(200);
    const keys = kind < 0.85 ? KEYS : kind < 0.93 ? CLEANED : LEFT_OUT;
    return keys[below(keys.length)]!;
  };
  const attributes = () => times(6, () => ({ key: key(), value: random() < 0.97 ? value() : undefined }));
  const span = (i: number) => ({
    traceId: random() < odd ? Buffer.alloc(16 * below(2)) : id(16),
    spanId: random() < odd ? id(below(9)) : id(8),
    parentSpanId: [Buffer.alloc(0), Buffer.alloc(8), id(8), random() < odd ? id(3) : id(8)][below(4)],
    traceState: random() < 0.1 ? word() : "",
    name: random() < odd ? "SELECT a FROM b WHERE c = 'd'" : `GET /${i % 7}/größe`,
    kind: below(7),
    startTimeUnixNano: random() < odd ? ["0", "5", nanos(NOW * 2)][below(3)] : nanos(NOW - i, i),
    endTimeUnixNano: random() < 0.1 ? nanos(NOW - i) : nanos(NOW - i + below(1000), i),
    attributes: attributes(),
    droppedAttributesCount: random() < 0.1 ? below(130) : undefined,
    events: times(3, () => ({ timeUnixNano: nanos(NOW), name: word(), attributes: attributes() })),
    links: random() < odd ? [{ traceId: id(16), spanId: id(8), traceState: word(), attributes: attributes() }] : [],
    status: [undefined, {}, { code: below(4) }, { code: 2, message: word() }][below(4)],
  });
  return {
    resourceSpans: Array.from({ length: 2 }, (_, r) => ({
      resource: { attributes: [{ key: "service.name", value: { stringValue: `s${r}` } }, ...attributes()] },
      schemaUrl: word(),
      scopeSpans: [
        {
          scope: { name: `größe${r}`, version: "1" },
          schemaUrl: word(),
          spans: Array.from({ length: count }, (_, i) => span(i)),
        },
        { spans: [] },
      ],
    })),
  };
}

describe("the kernel", () => {
  test("makes the rows that the walkers make, of spans as SDKs send them", () => {
    const pair = new Pair();
    let rows = 0;
    for (let seed = 1; seed <= 60; seed++)
      rows += pair.decode(encode(TRACES, request(randomSource(seed), 40)), `${seed}`);
    expect(rows).toBeGreaterThan(60 * 2 * 40 * 0.6);
  });

  test("makes the rows that the walkers make, in every legal encoding of random messages", () => {
    const pair = new Pair();
    let rows = 0;
    for (let seed = 1; seed <= 120; seed++) {
      const random = randomSource(seed);
      const plain = encode(TRACES, request(random, 6));
      rows += pair.decode(plain, `seed ${seed}`);
      rows += pair.decode(rewrite(plain, "traces", random), `seed ${seed}, rewritten`);
    }
    expect(rows).toBeGreaterThan(800);
  });

  test("reads on where its window ends, and leaves what is longer than the window to the walkers", () => {
    const pair = new Pair();
    for (const [spans, textBytes] of [
      [1500, 20],
      [60, 8000],
      [2, WINDOW_BYTES],
    ] as const) {
      const body = encode(TRACES, request(randomSource(spans), spans, 0, textBytes));
      expect(body.length).toBeGreaterThan(2 * WINDOW_BYTES);
      const rows = pair.decode(body, `${spans} spans`);
      if (textBytes < 1000) expect(rows).toBeGreaterThan(spans);
    }
  });

  test("empties its columns when a window holds more spans or events than they do", () => {
    const span = { traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 2), startTimeUnixNano: nanos(NOW) };
    const wrap = (spans: object[]) => encode(TRACES, { resourceSpans: [{ scopeSpans: [{ spans }] }] });
    const pair = new Pair();
    const events = Array.from({ length: 3000 }, () => ({ name: "e" }));
    expect(pair.decode(wrap(Array.from({ length: 5 }, () => ({ ...span, events }))), "events")).toBe(5);
    const many = Array.from({ length: 9000 }, () => ({ name: "e" }));
    expect(pair.decode(wrap([span, { ...span, events: many }, span]), "too many events")).toBe(2);
    expect(pair.decode(wrap(Array.from({ length: 20_000 }, () => span)), "spans")).toBe(20_000);
  });

  test("forgets its words when they are too many, and numbers them anew in every block", () => {
    const spans = Array.from({ length: 6000 }, (_, i) => ({
      traceId: Buffer.alloc(16, 1),
      spanId: Buffer.alloc(8, 2),
      name: `name ${i % 5000}`,
      startTimeUnixNano: nanos(NOW),
      attributes: [{ key: `key ${i % 4500}`, value: { stringValue: "v" } }],
    }));
    const body = encode(TRACES, { resourceSpans: [{ scopeSpans: [{ spans }] }] });
    const pair = new Pair();
    for (let i = 0; i < 3; i++) expect(pair.decode(body, `${i}`)).toBe(6000);
    for (let seed = 1; seed <= 5; seed++) pair.decode(encode(TRACES, request(randomSource(seed), 40)), `${seed}`);
  });

  test("replaces bytes that are not UTF-8 as the walkers do, wherever they are, and keeps what is", () => {
    const bodies: Buffer[] = [];
    // Every boundary of RFC 3629, alone and behind a word's length of plain text.
    const sequences = [
      [0xc3, 0xa9],
      [0xe2, 0x82, 0xac],
      [0xf0, 0x9f, 0x98, 0x80],
      [0xf4, 0x8f, 0xbf, 0xbf],
      [0xed, 0x9f, 0xbf],
      [0xee, 0x80, 0x80],
      [0xe0, 0xa0, 0x80],
      [0xf0, 0x90, 0x80, 0x80],
      [0x80],
      [0xc0, 0xaf],
      [0xc1, 0xbf],
      [0xc3],
      [0xe2, 0x82],
      [0xe0, 0x9f, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf0, 0x8f, 0x80, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
      [0xf0, 0x9f, 0x98],
      [0xff],
      [0xe2, 0x28, 0xa1],
      [0xf0, 0x28, 0x8c, 0xbc],
    ];
    for (const sequence of sequences) {
      for (const before of [0, 1, 7, 8, 15]) {
        const text = Buffer.concat([Buffer.alloc(before, 97), Buffer.from(sequence)]);
        const field = (number: number, bytes: Buffer) =>
          Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
        const pair = Buffer.concat([field(1, text), field(2, field(1, text))]);
        const span = Buffer.concat([
          field(1, Buffer.alloc(16, 1)),
          field(2, Buffer.alloc(8, 2)),
          field(3, text),
          field(5, text),
          Buffer.from([57]),
          nanosBytes(NOW),
          field(9, pair),
          field(11, Buffer.concat([field(2, text), field(3, pair)])),
          field(15, field(2, text)),
        ]);
        bodies.push(wrapLong(1, wrapLong(2, wrapLong(2, span))));
      }
    }
    const pair = new Pair();
    let rows = 0;
    for (const [i, body] of bodies.entries()) rows += pair.decode(body, `${i}`);
    expect(rows).toBe(8 * 5);
  });

  test("refuses what the walkers refuse: truncated at every length, and with any byte changed", () => {
    const body = encode(TRACES, request(randomSource(4), 3));
    const pair = new Pair();
    for (let length = 0; length <= body.length; length++) {
      const [short, long] = pair.outcomes(body.subarray(0, length));
      expect(short, `length ${length}`).toEqual(long);
    }
    const random = randomSource(5);
    for (let i = 0; i < 4000; i++) {
      const mutated = Buffer.from(body);
      mutated[Math.floor(random() * body.length)] = Math.floor(random() * 256);
      const [short, long] = pair.outcomes(mutated);
      expect(short, `mutation ${i}`).toEqual(long);
    }
  });
});

function nanosBytes(ms: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(nanos(ms)));
  return bytes;
}

function wrapLong(field: number, inner: Buffer): Buffer {
  return Buffer.concat([Buffer.from([field * 8 + 2, (inner.length & 0x7f) | 0x80, inner.length >> 7]), inner]);
}
