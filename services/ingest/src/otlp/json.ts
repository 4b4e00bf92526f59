/** What a JSON field becomes on the wire. A nested message is named by its descriptor. */
type Kind = "string" | "bytes" | "hex" | "fixed64" | "sfixed64" | "int64" | "uint64" | "fixed32" | "uint32" | "int32";
type Scalar = Kind | "sint32" | "bool" | "double" | "enum";
type FieldKind = Scalar | { readonly message: () => Message } | { readonly packed: Scalar };
interface Field {
  readonly number: number;
  readonly kind: FieldKind;
  readonly repeated?: boolean;
}
type Message = ReadonlyMap<string, Field>;

/** The JSON is valid but does not have the shape of the OTLP message; `path` says where. */
export class WrongShape extends Error {
  readonly path: string;
  constructor(path: string, expected: string) {
    super(`${path || "the body"}: expected ${expected}`);
    this.path = path;
  }
}

const MAX_DEPTH = 100;

function message(fields: Record<string, [number, FieldKind, "repeated"?]>): Message {
  const map = new Map<string, Field>();
  for (const [name, [number, kind, repeated]] of Object.entries(fields)) {
    const field: Field = { number, kind, repeated: repeated === "repeated" };
    map.set(name, field);
    // OTLP/JSON is lowerCamelCase; Google's JSON mapping asks parsers to take the proto name too.
    map.set(
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      field,
    );
  }
  return map;
}

const anyValue: Message = message({
  stringValue: [1, "string"],
  boolValue: [2, "bool"],
  intValue: [3, "int64"],
  doubleValue: [4, "double"],
  arrayValue: [5, { message: () => arrayValue }],
  kvlistValue: [6, { message: () => keyValueList }],
  bytesValue: [7, "bytes"],
});
const arrayValue: Message = message({ values: [1, { message: () => anyValue }, "repeated"] });
const keyValue: Message = message({ key: [1, "string"], value: [2, { message: () => anyValue }] });
const keyValueList: Message = message({ values: [1, { message: () => keyValue }, "repeated"] });
const attributes: [FieldKind, "repeated"] = [{ message: () => keyValue }, "repeated"];
const resource = message({ attributes: [1, ...attributes], droppedAttributesCount: [2, "uint32"] });
const scope = message({ name: [1, "string"], version: [2, "string"], attributes: [3, ...attributes] });

const numberPoint = message({
  attributes: [7, ...attributes],
  startTimeUnixNano: [2, "fixed64"],
  timeUnixNano: [3, "fixed64"],
  asDouble: [4, "double"],
  asInt: [6, "sfixed64"],
  flags: [8, "uint32"],
});
const histogramPoint = message({
  attributes: [9, ...attributes],
  startTimeUnixNano: [2, "fixed64"],
  timeUnixNano: [3, "fixed64"],
  count: [4, "fixed64"],
  sum: [5, "double"],
  bucketCounts: [6, { packed: "fixed64" }, "repeated"],
  explicitBounds: [7, { packed: "double" }, "repeated"],
  flags: [10, "uint32"],
  min: [11, "double"],
  max: [12, "double"],
});
const exponentialBuckets = message({
  offset: [1, "sint32"],
  bucketCounts: [2, { packed: "uint64" }, "repeated"],
});
const exponentialPoint = message({
  attributes: [1, ...attributes],
  startTimeUnixNano: [2, "fixed64"],
  timeUnixNano: [3, "fixed64"],
  count: [4, "fixed64"],
  sum: [5, "double"],
  scale: [6, "sint32"],
  zeroCount: [7, "fixed64"],
  positive: [8, { message: () => exponentialBuckets }],
  negative: [9, { message: () => exponentialBuckets }],
  flags: [10, "uint32"],
  min: [12, "double"],
  max: [13, "double"],
  zeroThreshold: [14, "double"],
});
const quantileValue = message({ quantile: [1, "double"], value: [2, "double"] });
const summaryPoint = message({
  attributes: [7, ...attributes],
  startTimeUnixNano: [2, "fixed64"],
  timeUnixNano: [3, "fixed64"],
  count: [4, "fixed64"],
  sum: [5, "double"],
  quantileValues: [6, { message: () => quantileValue }, "repeated"],
  flags: [8, "uint32"],
});
const points = (of: Message): Record<string, [number, FieldKind, "repeated"?]> => ({
  dataPoints: [1, { message: () => of }, "repeated"],
});
const gauge = message(points(numberPoint));
const sum = message({ ...points(numberPoint), aggregationTemporality: [2, "enum"], isMonotonic: [3, "bool"] });
const histogram = message({ ...points(histogramPoint), aggregationTemporality: [2, "enum"] });
const exponentialHistogram = message({ ...points(exponentialPoint), aggregationTemporality: [2, "enum"] });
const summary = message(points(summaryPoint));
const metric = message({
  name: [1, "string"],
  description: [2, "string"],
  unit: [3, "string"],
  gauge: [5, { message: () => gauge }],
  sum: [7, { message: () => sum }],
  histogram: [9, { message: () => histogram }],
  exponentialHistogram: [10, { message: () => exponentialHistogram }],
  summary: [11, { message: () => summary }],
  metadata: [12, ...attributes],
});

const event = message({ timeUnixNano: [1, "fixed64"], name: [2, "string"], attributes: [3, ...attributes] });
const link = message({
  traceId: [1, "hex"],
  spanId: [2, "hex"],
  traceState: [3, "string"],
  attributes: [4, ...attributes],
  flags: [6, "fixed32"],
});
const status = message({ message: [2, "string"], code: [3, "enum"] });
const span = message({
  traceId: [1, "hex"],
  spanId: [2, "hex"],
  traceState: [3, "string"],
  parentSpanId: [4, "hex"],
  name: [5, "string"],
  kind: [6, "enum"],
  startTimeUnixNano: [7, "fixed64"],
  endTimeUnixNano: [8, "fixed64"],
  attributes: [9, ...attributes],
  events: [11, { message: () => event }, "repeated"],
  links: [13, { message: () => link }, "repeated"],
  status: [15, { message: () => status }],
  flags: [16, "fixed32"],
});
const logRecord = message({
  timeUnixNano: [1, "fixed64"],
  severityNumber: [2, "enum"],
  severityText: [3, "string"],
  body: [5, { message: () => anyValue }],
  attributes: [6, ...attributes],
  flags: [8, "fixed32"],
  traceId: [9, "hex"],
  spanId: [10, "hex"],
  observedTimeUnixNano: [11, "fixed64"],
  eventName: [12, "string"],
});

function request(root: string, scopes: string, records: string, of: Message): Message {
  const schemaUrl: [number, FieldKind] = [3, "string"];
  const scoped = message({
    scope: [1, { message: () => scope }],
    [records]: [2, { message: () => of }, "repeated"],
    schemaUrl,
  });
  const resourced = message({
    resource: [1, { message: () => resource }],
    [scopes]: [2, { message: () => scoped }, "repeated"],
    schemaUrl,
  });
  return message({ [root]: [1, { message: () => resourced }, "repeated"] });
}

export const REQUESTS = {
  metrics: request("resourceMetrics", "scopeMetrics", "metrics", metric),
  traces: request("resourceSpans", "scopeSpans", "spans", span),
  logs: request("resourceLogs", "scopeLogs", "logRecords", logRecord),
} as const;

/** Names of enum values that some senders write although OTLP/JSON asks for numbers. */
const ENUM_NAMES: Readonly<Record<string, number>> = {
  AGGREGATION_TEMPORALITY_UNSPECIFIED: 0,
  AGGREGATION_TEMPORALITY_DELTA: 1,
  AGGREGATION_TEMPORALITY_CUMULATIVE: 2,
  SPAN_KIND_UNSPECIFIED: 0,
  SPAN_KIND_INTERNAL: 1,
  SPAN_KIND_SERVER: 2,
  SPAN_KIND_CLIENT: 3,
  SPAN_KIND_PRODUCER: 4,
  SPAN_KIND_CONSUMER: 5,
  STATUS_CODE_UNSET: 0,
  STATUS_CODE_OK: 1,
  STATUS_CODE_ERROR: 2,
};
/** A field number no OTLP message uses: marks a metric with data of an unknown type for the walker. */
const UNKNOWN_DATA_TAG = Buffer.from([0xf2, 0x3f, 0]); // field 1022, empty

/**
 * OTLP/JSON to the same message in protocol-buffer bytes, so that both encodings share one walker and one meaning.
 *
 * Unknown fields are ignored, as OTLP asks. Throws SyntaxError when the text is no JSON, WrongShape when a field has
 * the wrong type. Source: opentelemetry.io, OTLP specification, "JSON Protobuf Encoding".
 */
export function jsonToProtobuf(body: Buffer, of: Message): Buffer {
  return encodeMessage(JSON.parse(withLongIntegersQuoted(body.toString("utf8"))), of, "", 0);
}

const LONG_INTEGER = /[:,[\s]-?\d{16}/;
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const INTEGER_BEYOND_DOUBLE = /^-?\d{16,}$/;

/** 64-bit integers may come as JSON numbers, which `JSON.parse` rounds beyond 2^53: as decimal text they stay exact. */
function withLongIntegersQuoted(text: string): string {
  if (!LONG_INTEGER.test(text)) return text;
  return text.replace(STRING_OR_NUMBER, (token) => (INTEGER_BEYOND_DOUBLE.test(token) ? `"${token}"` : token));
}

function encodeMessage(value: unknown, of: Message, path: string, depth: number): Buffer {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new WrongShape(path, "an object");
  if (depth > MAX_DEPTH) throw new WrongShape(path, `at most ${MAX_DEPTH} levels`);
  const out: Buffer[] = [];
  for (const [name, inner] of Object.entries(value)) {
    if (inner === null || inner === undefined) continue;
    const field = of.get(name);
    const at = path === "" ? name : `${path}.${name}`;
    if (field === undefined) {
      if (of === metric && typeof inner === "object" && "dataPoints" in inner) out.push(UNKNOWN_DATA_TAG);
      continue;
    }
    if (!field.repeated) encodeField(field.number, field.kind, inner, at, depth, out);
    else if (!Array.isArray(inner)) throw new WrongShape(at, "an array");
    else if (typeof field.kind === "object" && "packed" in field.kind) {
      const items: Buffer[] = [];
      for (const item of inner) items.push(encodeScalar(field.kind.packed, item, at));
      const packed = Buffer.concat(items);
      out.push(varint(field.number * 8 + 2), varint(packed.length), packed);
    } else {
      for (let i = 0; i < inner.length; i++) {
        encodeField(field.number, field.kind, inner[i], `${at}[${i}]`, depth, out);
      }
    }
  }
  return Buffer.concat(out);
}

const WIRE_TYPES: Readonly<Record<Scalar, number>> = {
  string: 2,
  bytes: 2,
  hex: 2,
  fixed64: 1,
  sfixed64: 1,
  double: 1,
  fixed32: 5,
  int64: 0,
  uint64: 0,
  uint32: 0,
  int32: 0,
  sint32: 0,
  bool: 0,
  enum: 0,
};

function encodeField(number: number, kind: FieldKind, value: unknown, at: string, depth: number, out: Buffer[]): void {
  if (typeof kind === "object") {
    if ("packed" in kind) return;
    const inner = encodeMessage(value, kind.message(), at, depth + 1);
    out.push(varint(number * 8 + 2), varint(inner.length), inner);
    return;
  }
  const bytes = encodeScalar(kind, value, at);
  const wireType = WIRE_TYPES[kind];
  if (wireType === 2) out.push(varint(number * 8 + 2), varint(bytes.length), bytes);
  else out.push(varint(number * 8 + wireType), bytes);
}

function encodeScalar(kind: Scalar, value: unknown, at: string): Buffer {
  switch (kind) {
    case "string":
      if (typeof value !== "string") throw new WrongShape(at, "a string");
      return Buffer.from(value);
    case "bytes":
      if (typeof value !== "string") throw new WrongShape(at, "base64");
      return Buffer.from(value, "base64");
    case "hex":
      if (typeof value !== "string" || !/^(?:[0-9a-f]{2})*$/i.test(value)) throw new WrongShape(at, "hexadecimal");
      return Buffer.from(value, "hex");
    case "bool":
      if (typeof value !== "boolean") throw new WrongShape(at, "true or false");
      return varint(value ? 1 : 0);
    case "double": {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(toDouble(value, at));
      return bytes;
    }
    case "enum":
      if (typeof value === "string" && Object.hasOwn(ENUM_NAMES, value)) return varint(ENUM_NAMES[value]!);
      return bigVarint(BigInt.asUintN(64, toInteger(value, at)));
    case "fixed64":
    case "sfixed64": {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt.asUintN(64, toInteger(value, at)));
      return bytes;
    }
    case "fixed32": {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(Number(BigInt.asUintN(32, toInteger(value, at))));
      return bytes;
    }
    case "sint32": {
      const signed = Number(BigInt.asIntN(32, toInteger(value, at)));
      return varint(((signed << 1) ^ (signed >> 31)) >>> 0);
    }
    default:
      return bigVarint(BigInt.asUintN(64, toInteger(value, at)));
  }
}

function toDouble(value: unknown, at: string): number {
  if (typeof value === "number") return value;
  if (value === "NaN") return Number.NaN;
  if (value === "Infinity") return Number.POSITIVE_INFINITY;
  if (value === "-Infinity") return Number.NEGATIVE_INFINITY;
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))) return Number(value);
  throw new WrongShape(at, "a number");
}

const LOWEST_INT64 = -(2n ** 63n);
const HIGHEST_UINT64 = 2n ** 64n - 1n;

function toInteger(value: unknown, at: string): bigint {
  const text = typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value;
  if (typeof text === "bigint" || (typeof text === "string" && /^-?\d{1,20}$/.test(text))) {
    const integer = BigInt(text);
    if (integer >= LOWEST_INT64 && integer <= HIGHEST_UINT64) return integer;
  }
  throw new WrongShape(at, "an integer of 64 bits or its decimal text");
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function bigVarint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
