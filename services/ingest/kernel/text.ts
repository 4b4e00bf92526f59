const HIGH: u64 = 0x8080808080808080;

/**
 * Writes a text as a block has it, its length and its bytes, and returns where it ends; 0 for one that is not UTF-8.
 * Copies whole words: up to 7 bytes more are read and written.
 */
export function writeText(to: u32, from: u32, length: u32): u32 {
  let out = to;
  if (length < 0x80) store<u8>(out++, length);
  else {
    store<u8>(out++, (length & 0x7f) | 0x80);
    if (length < 0x4000) store<u8>(out++, length >> 7);
    else {
      store<u8>(out++, ((length >> 7) & 0x7f) | 0x80);
      store<u8>(out++, length >> 14);
    }
  }
  let bits: u64 = 0;
  const whole = length & ~7;
  let i: u32 = 0;
  for (; i < whole; i += 8) {
    const eight = load<u64>(from + i);
    store<u64>(out + i, eight);
    bits |= eight;
  }
  const rest = length & 7;
  if (rest !== 0) {
    const eight = load<u64>(from + i);
    store<u64>(out + i, eight);
    bits |= eight << ((8 - rest) << 3);
  }
  if ((bits & HIGH) !== 0 && !validText(from, length)) return 0;
  return out + length;
}

/** Whether the bytes are UTF-8. Source: RFC 3629, section 4. */
export function validText(from: u32, length: u32): bool {
  const end = from + length;
  let pos = from;
  while (pos < end) {
    const first = <u32>load<u8>(pos);
    if (first < 0x80) {
      pos++;
      continue;
    }
    if (first < 0xc2 || first > 0xf4) return false;
    const second = <u32>load<u8>(pos, 1);
    const size: u32 = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (pos + size > end) return false;
    const lowest: u32 = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const highest: u32 = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < lowest || second > highest) return false;
    if (size > 2 && (load<u8>(pos, 2) & 0xc0) !== 0x80) return false;
    if (size > 3 && (load<u8>(pos, 3) & 0xc0) !== 0x80) return false;
    pos += size;
  }
  return true;
}

/** Writes a whole number in decimal, its length in front. Returns where it ends. */
export function writeInteger(to: u32, value: i64): u32 {
  let rest: u64 = value < 0 ? 0 - <u64>value : <u64>value;
  let digits: u32 = 1;
  for (let bound: u64 = 10; digits < 20 && rest >= bound; bound *= 10) {
    digits++;
    if (digits === 20) break;
  }
  const minus: u32 = value < 0 ? 1 : 0;
  const length = digits + minus;
  store<u8>(to, length);
  if (minus !== 0) store<u8>(to, 45, 1);
  let out = to + length;
  const end = out + 1;
  for (let i: u32 = 0; i < digits; i++) {
    store<u8>(out--, 48 + <u32>(rest % 10));
    rest /= 10;
  }
  return end;
}

/** Writes bytes (a multiple of 4) as lower-case hexadecimal, 8 digits at a time. */
export function writeHex(to: u32, from: u32, length: u32): void {
  for (let i: u32 = 0; i < length; i += 4) {
    let x: u64 = load<u32>(from + i);
    x = (x | (x << 16)) & 0x0000ffff0000ffff;
    x = (x | (x << 8)) & 0x00ff00ff00ff00ff;
    x = ((x >> 4) & 0x000f000f000f000f) | ((x & 0x000f000f000f000f) << 8);
    const letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;
    store<u64>(to + (i << 1), x + 0x3030303030303030 + letters * 39);
  }
}
