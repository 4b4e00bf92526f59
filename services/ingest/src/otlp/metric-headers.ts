import { text } from "./attributes.ts";
import type { MetricHeader, MetricKind, Temporality } from "./point.ts";
import type { Wire } from "./wire.ts";

const DEFAULT_LIMIT = 20_000;
const LONGEST_REMEMBERED = 1024;

/** Where the texts of a metric lie in the body; an end of 0 for none. */
export class HeaderPlace {
  nameStart = 0;
  nameEnd = 0;
  descriptionStart = 0;
  descriptionEnd = 0;
  unitStart = 0;
  unitEnd = 0;

  clear(): void {
    this.nameStart = 0;
    this.nameEnd = 0;
    this.descriptionStart = 0;
    this.descriptionEnd = 0;
    this.unitStart = 0;
    this.unitEnd = 0;
  }
}

interface Remembered {
  readonly header: MetricHeader;
  readonly name: Uint8Array;
  readonly description: Uint8Array;
  readonly unit: Uint8Array;
}

/** Headers of metrics by their bytes: one that came before is the same object, and costs no string. */
export class MetricHeaders {
  /** By a hash of the bytes; of two with one hash the later one stays. */
  private readonly remembered = new Map<number, Remembered>();
  private readonly limit: number;

  /** Beyond `limit` headers all are forgotten. */
  constructor(limit = DEFAULT_LIMIT) {
    this.limit = limit;
  }

  read(wire: Wire, at: HeaderPlace, kind: MetricKind, temporality: Temporality, monotonic: boolean): MetricHeader {
    const { bytes } = wire;
    const size = at.nameEnd - at.nameStart + at.descriptionEnd - at.descriptionStart + at.unitEnd - at.unitStart;
    let hash = hashOf(bytes, at.nameStart, at.nameEnd, size);
    hash = hashOf(bytes, at.descriptionStart, at.descriptionEnd, hash);
    hash = hashOf(bytes, at.unitStart, at.unitEnd, hash);
    const known = this.remembered.get(hash);
    if (
      known !== undefined &&
      known.header.kind === kind &&
      known.header.temporality === temporality &&
      known.header.monotonic === monotonic &&
      same(known.name, bytes, at.nameStart, at.nameEnd) &&
      same(known.unit, bytes, at.unitStart, at.unitEnd) &&
      same(known.description, bytes, at.descriptionStart, at.descriptionEnd)
    ) {
      return known.header;
    }
    const header: MetricHeader = {
      name: text(wire, at.nameStart, at.nameEnd),
      description: text(wire, at.descriptionStart, at.descriptionEnd),
      unit: text(wire, at.unitStart, at.unitEnd),
      kind,
      temporality,
      monotonic,
    };
    if (size <= LONGEST_REMEMBERED) {
      if (this.remembered.size >= this.limit) this.remembered.clear();
      this.remembered.set(hash, {
        header,
        name: Uint8Array.from(bytes.subarray(at.nameStart, at.nameEnd)),
        description: Uint8Array.from(bytes.subarray(at.descriptionStart, at.descriptionEnd)),
        unit: Uint8Array.from(bytes.subarray(at.unitStart, at.unitEnd)),
      });
    }
    return header;
  }
}

/** FNV-1a, 32 bits. */
function hashOf(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

function same(raw: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const { length } = raw;
  if (length !== end - start) return false;
  for (let i = 0; i < length; i++) if (raw[i] !== bytes[start + i]) return false;
  return true;
}
