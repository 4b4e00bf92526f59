import { equal, hashOf, reserve } from "./bytes";
import { HEAP } from "./memory";

/**
 * The series that rows need nothing but their id of, by metric context and the raw bytes of the attributes.
 *
 * An entry: hash u64, id u64, time in ms when its own row is due f64, following entry u32, context u32, length u32,
 * decimal digits u8, then the bytes. `next` is the entry that followed last time: senders keep the order of series.
 */
const ID: usize = 8;
const DUE: usize = 16;
const NEXT: usize = 24;
const CONTEXT: usize = 28;
const LENGTH: usize = 32;
const DIGITS: usize = 36;
const RAW: u32 = 40;
const FIRST_SLOTS: u32 = 4096;

let slots: u32 = 0;
let mask: u32 = 0;
let count: u32 = 0;
let top: u32 = 0;
let limit: u32 = 0;
let context: u32 = 0;
let inSeconds: bool = false;
/** The entry of the point before, 0 for none. */
let previous: u32 = 0;

/** Forgets all series; afterwards the table may take `bytes` of memory. False when there is no memory at all. */
export function resetSeries(bytes: u32): bool {
  slots = HEAP;
  mask = FIRST_SLOTS - 1;
  count = 0;
  top = HEAP + FIRST_SLOTS * 4;
  limit = HEAP + bytes;
  previous = 0;
  if (!reserve(top)) return false;
  memory.fill(slots, 0, FIRST_SLOTS * 4);
  return true;
}

/** Points that follow are of this metric of one resource and scope; `seconds` says that its unit is `s`. */
export function beginMetric(id: u32, seconds: bool): void {
  context = id;
  inSeconds = seconds;
  previous = 0;
}

/** Whether the metric's values are times in seconds. */
export function areSeconds(): bool {
  return inSeconds;
}

/** The entry of these attributes, 0 when there is none. */
export function findSeries(at: u32, length: u32): u32 {
  if (previous !== 0) {
    const expected = load<u32>(previous, NEXT);
    if (
      expected !== 0 &&
      load<u32>(expected, LENGTH) === length &&
      load<u32>(expected, CONTEXT) === context &&
      equal(at, expected + RAW, length)
    ) {
      previous = expected;
      return expected;
    }
  }
  const hash = hashOf(at, length, context);
  let slot = <u32>hash & mask;
  let entry = load<u32>(slots + (slot << 2));
  while (entry !== 0) {
    if (
      load<u64>(entry) === hash &&
      load<u32>(entry, CONTEXT) === context &&
      load<u32>(entry, LENGTH) === length &&
      equal(at, entry + RAW, length)
    ) {
      if (previous !== 0) store<u32>(previous, entry, NEXT);
      previous = entry;
      return entry;
    }
    slot = (slot + 1) & mask;
    entry = load<u32>(slots + (slot << 2));
  }
  return 0;
}

export function idOf(entry: u32): u64 {
  return load<u64>(entry, ID);
}
export function dueOf(entry: u32): f64 {
  return load<f64>(entry, DUE);
}
export function digitsOf(entry: u32): u32 {
  return load<u8>(entry, DIGITS);
}
export function setDigits(entry: u32, digits: u32): void {
  store<u8>(entry, digits, DIGITS);
}

/**
 * Remembers a series of the present context, or what is new about it. Returns its entry; 0 when the table is full, and
 * then everything should be forgotten.
 */
export function remember(at: u32, length: u32, idLo: u32, idHi: u32, due: f64, digits: u32): u32 {
  let entry = findSeries(at, length);
  if (entry === 0) {
    if (count * 2 > mask && !enlarge()) return 0;
    const size = (RAW + length + 15) & ~7;
    if (top + size > limit || !reserve(top + size)) return 0;
    entry = top;
    top += size;
    const hash = hashOf(at, length, context);
    store<u64>(entry, hash);
    store<u32>(entry, 0, NEXT);
    store<u32>(entry, context, CONTEXT);
    store<u32>(entry, length, LENGTH);
    memory.copy(entry + RAW, at, length);
    place(hash, entry);
    count++;
    if (previous !== 0) store<u32>(previous, entry, NEXT);
    previous = entry;
  }
  store<u64>(entry, ((<u64>idHi) << 32) | <u64>idLo, ID);
  store<f64>(entry, due, DUE);
  store<u8>(entry, digits, DIGITS);
  return entry;
}

/** The series' own row has to be written again. */
export function expire(entry: u32): void {
  store<f64>(entry, 0, DUE);
}

function place(hash: u64, entry: u32): void {
  let slot = <u32>hash & mask;
  while (load<u32>(slots + (slot << 2)) !== 0) slot = (slot + 1) & mask;
  store<u32>(slots + (slot << 2), entry);
}

/** Four times the slots, behind the entries; the old ones' place is lost. */
function enlarge(): bool {
  const before = slots;
  const beforeCount = mask + 1;
  const bytes = beforeCount * 16;
  if (top + bytes > limit || !reserve(top + bytes)) return false;
  slots = top;
  mask = beforeCount * 4 - 1;
  top += bytes;
  memory.fill(slots, 0, bytes);
  for (let i: u32 = 0; i < beforeCount; i++) {
    const entry = load<u32>(before + (i << 2));
    if (entry !== 0) place(load<u64>(entry), entry);
  }
  return true;
}
