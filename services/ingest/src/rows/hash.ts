const MASK = (1n << 64n) - 1n;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;

/**
 * XXH64 with seed 0 of the UTF-8 bytes, equal to ClickHouse's `xxHash64(text)`. For what is seen the first time only:
 * the hot path looks identities up by `quickHash`. Source: the xxHash specification.
 */
export function xxHash64(input: string | Buffer): bigint {
  const bytes = typeof input === "string" ? Buffer.from(input) : input;
  const length = bytes.length;
  let pos = 0;
  let hash: bigint;
  if (length >= 32) {
    let a = (P1 + P2) & MASK;
    let b = P2;
    let c = 0n;
    let d = -P1 & MASK;
    for (; pos + 32 <= length; pos += 32) {
      a = round(a, bytes.readBigUInt64LE(pos));
      b = round(b, bytes.readBigUInt64LE(pos + 8));
      c = round(c, bytes.readBigUInt64LE(pos + 16));
      d = round(d, bytes.readBigUInt64LE(pos + 24));
    }
    hash = (rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n)) & MASK;
    for (const lane of [a, b, c, d]) hash = ((hash ^ round(0n, lane)) * P1 + P4) & MASK;
  } else hash = P5;
  hash = (hash + BigInt(length)) & MASK;
  for (; pos + 8 <= length; pos += 8) {
    hash = (rotate(hash ^ round(0n, bytes.readBigUInt64LE(pos)), 27n) * P1 + P4) & MASK;
  }
  if (pos + 4 <= length) {
    hash = (rotate(hash ^ ((BigInt(bytes.readUInt32LE(pos)) * P1) & MASK), 23n) * P2 + P3) & MASK;
    pos += 4;
  }
  for (; pos < length; pos++) hash = (rotate(hash ^ ((BigInt(bytes[pos]!) * P5) & MASK), 11n) * P1) & MASK;
  hash = ((hash ^ (hash >> 33n)) * P2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * P3) & MASK;
  return hash ^ (hash >> 32n);
}

function round(lane: bigint, input: bigint): bigint {
  return (rotate((lane + input * P2) & MASK, 31n) * P1) & MASK;
}

function rotate(value: bigint, by: bigint): bigint {
  return ((value << by) | (value >> (64n - by))) & MASK;
}

/** 53 bits of two 32-bit multiply-rotate lanes over the bytes: a table key, always confirmed by comparing the bytes. */
export function quickHash(bytes: Uint8Array, start: number, end: number): number {
  let a = 0x9e3779b1 | 0;
  let b = 0x85ebca77 | 0;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    a = Math.imul(a ^ k, 0x85ebca6b);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b + k, 0xc2b2ae35);
    b = (b << 15) | (b >>> 17);
  }
  for (; i < end; i++) {
    a = Math.imul(a ^ bytes[i]!, 0x01000193);
    b = Math.imul(b + bytes[i]!, 0x9e3779b1) ^ (b >>> 15);
  }
  a ^= end - start;
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b);
  a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 15), 0x27d4eb2f);
  b ^= b >>> 13;
  return ((a ^ (a >>> 16)) >>> 0) * 2097152 + ((b >>> 0) & 0x1fffff);
}
