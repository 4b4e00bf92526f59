import { copyWords, equal, hashOf } from "./bytes";
import * as at from "./memory";
import { validText } from "./text";

/**
 * Names and keys that many rows share, each with a number. An entry: hash u64, length u32, number u32, rule as a key u8,
 * rule as a name u8, then from byte 24 on the text.
 */
const LENGTH: usize = 8;
const NUMBER: usize = 12;
export const KEY_RULE: usize = 16;
export const NAME_RULE: usize = 17;
const RAW: u32 = 24;
const LONGEST: u32 = 256;
const SALT: u32 = 7;

let count: u32 = 0;
let top: u32 = at.WORD_HEAP;

/** Forgets all words: their numbers lose their meaning. */
export function resetWords(): void {
  count = 0;
  top = at.WORD_HEAP;
  memory.fill(at.WORD_SLOTS, 0, 4 * at.WORD_SLOT_COUNT);
  memory.fill(at.EXPECTED_WORDS, 0, 4 * at.EXPECTED_COUNT);
}

/** Whether there is no place for `more` words of any length: time to reset. */
export function wordsFull(more: u32): bool {
  return count + more > at.MAX_WORDS || top + more * (RAW + LONGEST + 16) > at.WORD_HEAP + at.WORD_HEAP_BYTES;
}

/** The entry of a word; 0 for one that is too long, is no UTF-8, or finds no place. */
export function word(from: u32, length: u32): u32 {
  if (length > LONGEST) return 0;
  const hash = hashOf(from, length, SALT);
  let slot = <u32>hash & (at.WORD_SLOT_COUNT - 1);
  let entry = load<u32>(at.WORD_SLOTS + (slot << 2));
  while (entry !== 0) {
    if (load<u64>(entry) === hash && isWord(entry, from, length)) return entry;
    slot = (slot + 1) & (at.WORD_SLOT_COUNT - 1);
    entry = load<u32>(at.WORD_SLOTS + (slot << 2));
  }
  if (wordsFull(1) || !validText(from, length)) return 0;
  entry = top;
  top += (RAW + length + 15) & ~7;
  store<u64>(entry, hash);
  store<u32>(entry, length, LENGTH);
  store<u32>(entry, count, NUMBER);
  store<u16>(entry, 0, KEY_RULE);
  copyWords(entry + RAW, from, length);
  store<u32>(at.WORD_SLOTS + (slot << 2), entry);
  store<u32>(at.WORD_ENTRIES + (count << 2), entry);
  count++;
  return entry;
}

export function isWord(entry: u32, from: u32, length: u32): bool {
  return load<u32>(entry, LENGTH) === length && equal(from, entry + RAW, length);
}

export function numberOf(entry: u32): u32 {
  return load<u32>(entry, NUMBER);
}
