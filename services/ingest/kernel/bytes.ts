const P1: u64 = 0x9e3779b185ebca87;
const P2: u64 = 0xc2b2ae3d27d4eb4f;
const P3: u64 = 0x165667b19e3779f9;

let seed: u64 = 0;

/** Makes the tables' hashes unpredictable to senders. */
export function setSeed(value: u64): void {
  seed = value;
}

/** Whether two runs of `length` bytes are equal. Reads up to 7 bytes past both ends. */
export function equal(a: u32, b: u32, length: u32): bool {
  const whole = length & ~7;
  let i: u32 = 0;
  for (; i < whole; i += 8) if (load<u64>(a + i) !== load<u64>(b + i)) return false;
  const rest = length & 7;
  if (rest === 0) return true;
  return (load<u64>(a + i) ^ load<u64>(b + i)) << ((8 - rest) << 3) === 0;
}

/** A 64-bit hash of a run of bytes: XXH64's rounds over words. Reads up to 7 bytes past the end. */
export function hashOf(at: u32, length: u32, salt: u32): u64 {
  let hash: u64 = seed ^ (<u64>length * P1 + <u64>salt * P3);
  const whole = length & ~7;
  let i: u32 = 0;
  for (; i < whole; i += 8) hash = rotl<u64>(hash ^ (rotl<u64>(load<u64>(at + i) * P2, 31) * P1), 27) * P1 + P3;
  const rest = length & 7;
  if (rest !== 0) {
    const last = load<u64>(at + i) << ((8 - rest) << 3);
    hash = rotl<u64>(hash ^ (rotl<u64>(last * P2, 31) * P1), 27) * P1 + P3;
  }
  hash = (hash ^ (hash >> 33)) * P2;
  hash = (hash ^ (hash >> 29)) * P3;
  return hash ^ (hash >> 32);
}

/** Copies `length` bytes in whole words: up to 7 more are written. */
export function copyWords(to: u32, from: u32, length: u32): void {
  for (let i: u32 = 0; i < length; i += 8) store<u64>(to + i, load<u64>(from + i));
}

/** The heap's pages up to `end` exist afterwards; false when there is no memory for them. */
export function reserve(end: u32): bool {
  const pages = <i32>((end + 0xffff) >> 16);
  const missing = pages - memory.size();
  return missing <= 0 || memory.grow(missing > 16 ? missing : 16) >= 0;
}
