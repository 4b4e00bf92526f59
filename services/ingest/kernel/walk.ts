/** Why a walk stopped: at its end, at a field that the caller has to read, past the window, with full columns. */
export const DONE: u32 = 0;
export const ODD: u32 = 1;
export const CUT: u32 = 2;
export const FULL: u32 = 3;

const NS_PER_MS: u64 = 1000000;

let stopped: u32 = DONE;
let now: f64 = 0;
let nowMs: u64 = 0;
let earliestNs: u64 = 0;
let latestNs: u64 = 0;
/** The time that was taken last, in both units. */
let lastNs: u64 = 0;
let lastMs: u64 = 0;

export function whyStopped(): u32 {
  return stopped;
}
export function stop(why: u32): void {
  stopped = why;
}

/** A request begins: its time, and the times that are taken (`latest` included), in ms since 1970. */
export function beginRequest(time: f64, earliest: f64, latest: f64): void {
  now = time;
  nowMs = <u64>time;
  earliestNs = <u64>earliest * NS_PER_MS;
  latestNs = (<u64>latest + 1) * NS_PER_MS - 1;
  lastNs = 0;
  lastMs = nowMs;
}

/** The request's time, in ms. */
export function requestTime(): f64 {
  return now;
}

/** Whether a time is taken. No time is now. */
export function takeTime(ns: u64): bool {
  if (ns === lastNs) return true;
  if (ns === 0) lastMs = nowMs;
  else {
    if (ns < earliestNs || ns > latestNs) return false;
    lastMs = ns / NS_PER_MS;
  }
  lastNs = ns;
  return true;
}

/** The time that was taken last, in ms. */
export function takenMs(): u64 {
  return lastMs;
}

/** Whether a time in nanoseconds is one of those that are taken. */
export function timely(ns: u64): bool {
  return ns >= earliestNs && ns <= latestNs;
}

let end: u32 = 0;

/** Where the value that `valueAt` found ends. */
export function valueEnd(): u32 {
  return end;
}

/** Reads a length of at most three bytes: the value's first byte, and `valueEnd`. 0 for a longer one. */
export function valueAt(pos: u32): u32 {
  const first = <u32>load<u8>(pos);
  if (first < 0x80) {
    end = pos + 1 + first;
    return pos + 1;
  }
  const second = <u32>load<u8>(pos + 1);
  if (second < 0x80) {
    end = pos + 2 + ((first & 0x7f) | (second << 7));
    return pos + 2;
  }
  const third = <u32>load<u8>(pos + 2);
  if (third >= 0x80) return 0;
  end = pos + 3 + ((first & 0x7f) | ((second & 0x7f) << 7) | (third << 14));
  return pos + 3;
}

let varintStop: u32 = 0;

/** Where the number that `varint` read ends; 0 for one that does not. */
export function varintEnd(): u32 {
  return varintStop;
}

/** A varint of at most 10 bytes, and `varintEnd`. */
export function varint(at: u32): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < 10; i++) {
    const byte = <u64>load<u8>(at + i);
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      varintStop = at + i + 1;
      return value;
    }
  }
  varintStop = 0;
  return 0;
}
