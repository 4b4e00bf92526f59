import { copyWords } from "./bytes";
import * as at from "./memory";
import { areSeconds, digitsOf, dueOf, findSeries, idOf, setDigits } from "./series";
import {
  CUT,
  DONE,
  FULL,
  ODD,
  requestTime,
  stop,
  takenMs,
  takeTime,
  valueAt,
  valueEnd,
  varint,
  varintEnd,
} from "./walk";

const MAX_EXACT: f64 = 9007199254740992;
/** As in `src/rows/clock.ts`. */
const CLOCK_STEPS: f64 = 1073741824;
const MAX_DIGITS: u32 = 9;
const RAW_BITS: u32 = 127;
const NO_NUMBER: u64 = 0x7ff8000000000000;
const EXPONENT_BITS: u64 = 0x7ff0000000000000;
const POWERS = memory.data<f64>([1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]);

const LOWEST_SCALE: i32 = -10;
const HIGHEST_SCALE: i32 = 20;

/** Points whose sender says that they have no value: they become no row. */
let silent: u32 = 0;
let numbers: u32 = 0;
let histograms: u32 = 0;
let boundsEnd: u32 = 0;
let bucketsEnd: u32 = 0;
let exponentials: u32 = 0;
let positiveEnd: u32 = 0;
let negativeEnd: u32 = 0;

export function silentPoints(): u32 {
  return silent;
}
export function numberRows(): u32 {
  return numbers;
}
export function histogramRows(): u32 {
  return histograms;
}
export function exponentialRows(): u32 {
  return exponentials;
}
export function boundItems(): u32 {
  return boundsEnd;
}
export function bucketItems(): u32 {
  return bucketsEnd;
}
export function positiveItems(): u32 {
  return positiveEnd;
}
export function negativeItems(): u32 {
  return negativeEnd;
}
export function clearNumbers(): void {
  numbers = 0;
}
export function clearHistograms(): void {
  histograms = 0;
  boundsEnd = 0;
  bucketsEnd = 0;
}
export function clearExponentials(): void {
  exponentials = 0;
  positiveEnd = 0;
  negativeEnd = 0;
}

/**
 * Walks the data of a metric from `pos` on: the points that are there in full, of known series and with nothing unusual
 * about them become rows. Returns where it stopped; `whyStopped` says why. `end` is where the data or the window ends,
 * `more` says that the data goes on after the window.
 */
export function takeNumbers(from: u32, end: u32, more: bool): u32 {
  let pos = from;
  let row = numbers;
  stop(DONE);
  while (pos < end) {
    const start = pos;
    const body = load<u8>(pos) === 10 ? valueAt(pos + 1) : 0;
    const last = valueEnd();
    if (body === 0 || last > end) {
      stop(body !== 0 && more ? CUT : ODD);
      break;
    }
    if (row === at.MAX_ROWS) {
      stop(FULL);
      break;
    }
    pos = body;
    let attributes: u32 = 0;
    let attributesEnd: u32 = 0;
    let time: u64 = 0;
    let bits: u64 = 0;
    let form: u32 = 0;
    let flags: u32 = 0;
    while (pos < last) {
      const tag = load<u8>(pos);
      if (tag === 58) {
        if (attributes === 0) attributes = pos;
        else if (attributesEnd !== pos) break;
        if (valueAt(pos + 1) === 0) break;
        attributesEnd = valueEnd();
        pos = valueEnd();
      } else if (tag === 17) pos += 9;
      else if (tag === 25) {
        time = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 33) {
        bits = load<u64>(pos, 1);
        form = 1;
        pos += 9;
      } else if (tag === 49) {
        bits = load<u64>(pos, 1);
        form = 2;
        pos += 9;
      } else if (tag === 64) {
        flags = load<u8>(pos, 1);
        if (flags >= 0x80) break;
        pos += 2;
      } else if (tag === 42) {
        if (valueAt(pos + 1) === 0) break;
        pos = valueEnd();
      } else break;
    }
    if (pos !== last || form === 0 || (form === 1 && (bits & EXPONENT_BITS) === EXPONENT_BITS)) {
      pos = start;
      stop(ODD);
      break;
    }
    if ((flags & 1) !== 0) {
      silent++;
      continue;
    }
    const entry = takeTime(time) ? findSeries(attributes, attributesEnd - attributes) : 0;
    if (entry === 0 || !(requestTime() < dueOf(entry))) {
      pos = start;
      stop(ODD);
      break;
    }
    let exponent: u32 = 0;
    if (form === 1) {
      const value = reinterpret<f64>(bits);
      exponent = RAW_BITS;
      if (bits !== 0x8000000000000000) {
        let digits = digitsOf(entry);
        let scaled = roundHalfUp(value * load<f64>(POWERS + (digits << 3)));
        if (!exact(scaled, digits, value)) {
          for (digits = 0; digits <= MAX_DIGITS; digits++) {
            scaled = roundHalfUp(value * load<f64>(POWERS + (digits << 3)));
            if (exact(scaled, digits, value)) break;
          }
          if (digits <= MAX_DIGITS) setDigits(entry, digits);
        }
        if (digits <= MAX_DIGITS) {
          bits = <u64>(<i64>scaled);
          exponent = (0 - digits) & 0xff;
        }
      }
    }
    const wide = row << 3;
    store<u64>(at.NUMBER_SERIES + wide, idOf(entry));
    store<u64>(at.NUMBER_TIME + wide, takenMs());
    store<u64>(at.NUMBER_MANTISSA + wide, bits);
    store<u8>(at.NUMBER_EXPONENT + row, exponent);
    row++;
  }
  numbers = row;
  return pos;
}

/** What `Math.round` does. */
function roundHalfUp(value: f64): f64 {
  const up = Math.ceil(value);
  return up - 0.5 > value ? up - 1 : up;
}

function exact(scaled: f64, digits: u32, value: f64): bool {
  return scaled <= MAX_EXACT && scaled >= -MAX_EXACT && scaled / load<f64>(POWERS + (digits << 3)) === value;
}

/** As `takeNumbers`, for explicit histograms. Packed bounds and counts are copied as they lie in the message. */
export function takeHistograms(from: u32, end: u32, more: bool): u32 {
  let pos = from;
  let row = histograms;
  stop(DONE);
  while (pos < end) {
    const start = pos;
    const body = load<u8>(pos) === 10 ? valueAt(pos + 1) : 0;
    const last = valueEnd();
    if (body === 0 || last > end) {
      stop(body !== 0 && more ? CUT : ODD);
      break;
    }
    if (row === at.MAX_ROWS) {
      stop(FULL);
      break;
    }
    pos = body;
    let attributes: u32 = 0;
    let attributesEnd: u32 = 0;
    let time: u64 = 0;
    let count: u64 = 0;
    let sum = NO_NUMBER;
    let min = NO_NUMBER;
    let max = NO_NUMBER;
    let flags: u32 = 0;
    let bounds: u32 = 0;
    let boundBytes: u32 = 0;
    let buckets: u32 = 0;
    let bucketBytes: u32 = 0;
    while (pos < last) {
      const tag = load<u8>(pos);
      if (tag === 74) {
        if (attributes === 0) attributes = pos;
        else if (attributesEnd !== pos) break;
        if (valueAt(pos + 1) === 0) break;
        attributesEnd = valueEnd();
        pos = valueEnd();
      } else if (tag === 17) pos += 9;
      else if (tag === 25) {
        time = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 33) {
        count = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 41) {
        sum = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 50) {
        if (buckets !== 0) break;
        buckets = valueAt(pos + 1);
        if (buckets === 0) break;
        bucketBytes = valueEnd() - buckets;
        pos = valueEnd();
      } else if (tag === 58) {
        if (bounds !== 0) break;
        bounds = valueAt(pos + 1);
        if (bounds === 0) break;
        boundBytes = valueEnd() - bounds;
        pos = valueEnd();
      } else if (tag === 89) {
        min = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 97) {
        max = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 80) {
        flags = load<u8>(pos, 1);
        if (flags >= 0x80) break;
        pos += 2;
      } else if (tag === 66) {
        if (valueAt(pos + 1) === 0) break;
        pos = valueEnd();
      } else break;
    }
    if (pos !== last || !fit(bounds, boundBytes, bucketBytes)) {
      pos = start;
      stop(ODD);
      break;
    }
    if ((flags & 1) !== 0) {
      silent++;
      continue;
    }
    const entry = takeTime(time) ? findSeries(attributes, attributesEnd - attributes) : 0;
    if (entry === 0 || !(requestTime() < dueOf(entry))) {
      pos = start;
      stop(ODD);
      break;
    }
    const wide = row << 3;
    store<u64>(at.HISTOGRAM_SERIES + wide, idOf(entry));
    store<u64>(at.HISTOGRAM_TIME + wide, takenMs());
    store<u64>(at.HISTOGRAM_COUNT + wide, count);
    finite(sum, at.HISTOGRAM_SUM + wide, at.HISTOGRAM_NO_SUM + row);
    finite(min, at.HISTOGRAM_MIN + wide, at.HISTOGRAM_NO_MIN + row);
    finite(max, at.HISTOGRAM_MAX + wide, at.HISTOGRAM_NO_MAX + row);
    copyWords(at.HISTOGRAM_BOUNDS + (boundsEnd << 3), bounds, boundBytes);
    copyWords(at.HISTOGRAM_BUCKETS + (bucketsEnd << 3), buckets, bucketBytes);
    boundsEnd += boundBytes >> 3;
    bucketsEnd += bucketBytes >> 3;
    store<u64>(at.HISTOGRAM_BOUNDS_END + wide, boundsEnd);
    store<u64>(at.HISTOGRAM_BUCKETS_END + wide, bucketsEnd);
    row++;
  }
  histograms = row;
  return pos;
}

/** Whether there is one bucket more than bounds, or neither, and the bounds ascend from a finite one. */
function fit(bounds: u32, boundBytes: u32, bucketBytes: u32): bool {
  if (boundBytes === 0) return bucketBytes === 0 || bucketBytes === 8;
  if ((boundBytes & 7) !== 0 || bucketBytes !== boundBytes + 8) return false;
  let before = load<f64>(bounds);
  if (!(before - before === 0)) return false;
  for (let i: u32 = 8; i < boundBytes; i += 8) {
    const bound = load<f64>(bounds + i);
    if (!(bound > before)) return false;
    before = bound;
  }
  return true;
}

/** One row of a nullable float: NULL for what is no finite number; times in clock steps. */
function finite(bits: u64, to: u32, nullAt: u32): void {
  const none = (bits & EXPONENT_BITS) === EXPONENT_BITS;
  store<u64>(to, none ? 0 : areSeconds() ? clockSteps(bits) : bits);
  store<u8>(nullAt, none ? 1 : 0);
}

/** What `toClockSteps` does. */
function clockSteps(bits: u64): u64 {
  const scaled = reinterpret<f64>(bits) * CLOCK_STEPS;
  return Math.abs(scaled) <= MAX_EXACT ? reinterpret<u64>(roundHalfUp(scaled) / CLOCK_STEPS) : bits;
}

/** As `takeNumbers`, for exponential histograms: buckets that are not empty, with their indices. */
export function takeExponentials(from: u32, end: u32, more: bool): u32 {
  let pos = from;
  let row = exponentials;
  stop(DONE);
  while (pos < end) {
    const start = pos;
    const body = load<u8>(pos) === 10 ? valueAt(pos + 1) : 0;
    const last = valueEnd();
    if (body === 0 || last > end) {
      stop(body !== 0 && more ? CUT : ODD);
      break;
    }
    if (row === at.MAX_ROWS) {
      stop(FULL);
      break;
    }
    pos = body;
    let attributes: u32 = 0;
    let attributesEnd: u32 = 0;
    let time: u64 = 0;
    let count: u64 = 0;
    let zero: u64 = 0;
    let sum = NO_NUMBER;
    let min = NO_NUMBER;
    let max = NO_NUMBER;
    let flags: u32 = 0;
    let scale: i32 = 0;
    let positive: u32 = 0;
    let positiveStop: u32 = 0;
    let negative: u32 = 0;
    let negativeStop: u32 = 0;
    while (pos < last) {
      const tag = load<u8>(pos);
      if (tag === 10) {
        if (attributes === 0) attributes = pos;
        else if (attributesEnd !== pos) break;
        if (valueAt(pos + 1) === 0) break;
        attributesEnd = valueEnd();
        pos = valueEnd();
      } else if (tag === 17) pos += 9;
      else if (tag === 25) {
        time = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 33) {
        count = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 41) {
        sum = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 48) {
        const zigzag = <u32>load<u8>(pos, 1);
        if (zigzag >= 0x80) break;
        scale = <i32>(zigzag >> 1) ^ -(<i32>(zigzag & 1));
        pos += 2;
      } else if (tag === 57) {
        zero = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 66) {
        if (positive !== 0) break;
        positive = valueAt(pos + 1);
        if (positive === 0) break;
        positiveStop = valueEnd();
        pos = valueEnd();
      } else if (tag === 74) {
        if (negative !== 0) break;
        negative = valueAt(pos + 1);
        if (negative === 0) break;
        negativeStop = valueEnd();
        pos = valueEnd();
      } else if (tag === 97) {
        min = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 105) {
        max = load<u64>(pos, 1);
        pos += 9;
      } else if (tag === 113) pos += 9;
      else if (tag === 80) {
        flags = load<u8>(pos, 1);
        if (flags >= 0x80) break;
        pos += 2;
      } else if (tag === 90) {
        if (valueAt(pos + 1) === 0) break;
        pos = valueEnd();
      } else break;
    }
    if (pos !== last || scale < LOWEST_SCALE || scale > HIGHEST_SCALE) {
      pos = start;
      stop(ODD);
      break;
    }
    const positives = sparse(positive, positiveStop, at.POSITIVE_KEYS, at.POSITIVE_COUNTS, positiveEnd);
    const negatives = sparse(negative, negativeStop, at.NEGATIVE_KEYS, at.NEGATIVE_COUNTS, negativeEnd);
    if (positives < 0 || negatives < 0) {
      pos = start;
      stop(ODD);
      break;
    }
    if ((flags & 1) !== 0) {
      silent++;
      continue;
    }
    const entry = takeTime(time) ? findSeries(attributes, attributesEnd - attributes) : 0;
    if (entry === 0 || !(requestTime() < dueOf(entry))) {
      pos = start;
      stop(ODD);
      break;
    }
    const wide = row << 3;
    store<u64>(at.EXPONENTIAL_SERIES + wide, idOf(entry));
    store<u64>(at.EXPONENTIAL_TIME + wide, takenMs());
    store<u64>(at.EXPONENTIAL_COUNT + wide, count);
    finite(sum, at.EXPONENTIAL_SUM + wide, at.EXPONENTIAL_NO_SUM + row);
    finite(min, at.EXPONENTIAL_MIN + wide, at.EXPONENTIAL_NO_MIN + row);
    finite(max, at.EXPONENTIAL_MAX + wide, at.EXPONENTIAL_NO_MAX + row);
    store<u8>(at.EXPONENTIAL_SCALE + row, scale);
    store<u64>(at.EXPONENTIAL_ZERO + wide, zero);
    positiveEnd = <u32>positives;
    negativeEnd = <u32>negatives;
    store<u64>(at.POSITIVE_END + wide, positiveEnd);
    store<u64>(at.NEGATIVE_END + wide, negativeEnd);
    row++;
  }
  exponentials = row;
  return pos;
}

const CONTINUED: u64 = 0x8080808080808080;

/**
 * Writes the buckets that are not empty behind the `item`s that are there; the number of items then, or -1 for a
 * message that the caller has to read. Counts of one or two bytes, which nearly all are, are taken from a word without
 * a branch, because their lengths cannot be predicted.
 */
function sparse(start: u32, last: u32, keys: u32, counts: u32, item: u32): i32 {
  let index: i32 = 0;
  let packed: u32 = 0;
  let packedStop: u32 = 0;
  let pos = start;
  while (pos < last) {
    const tag = load<u8>(pos);
    if (tag === 8) {
      const zigzag = varint(pos + 1);
      if (varintEnd() === 0) return -1;
      index = <i32>(<u32>zigzag >> 1) ^ -(<i32>(<u32>zigzag & 1));
      pos = varintEnd();
    } else if (tag === 18) {
      if (packed !== 0) return -1;
      packed = valueAt(pos + 1);
      if (packed === 0) return -1;
      packedStop = valueEnd();
      pos = valueEnd();
    } else return -1;
  }
  if (pos !== last) return -1;
  let key = keys + (item << 2);
  let count = counts + (item << 3);
  pos = packed;
  while (pos + 8 <= packedStop) {
    let word = load<u64>(pos);
    const continued = word & CONTINUED;
    if (continued === 0) {
      if (word === 0) {
        pos += 8;
        index += 8;
        continue;
      }
      for (let i = 0; i < 8; i++) {
        const n = word & 0x7f;
        store<i32>(key, index);
        store<u64>(count, n);
        const kept = <u32>(n !== 0);
        key += kept << 2;
        count += kept << 3;
        index++;
        word >>= 8;
      }
      pos += 8;
      continue;
    }
    if ((continued & (continued >> 8)) !== 0) {
      const n = varint(pos);
      if (varintEnd() === 0 || varintEnd() > packedStop) return -1;
      store<i32>(key, index);
      store<u64>(count, n);
      const kept = <u32>(n !== 0);
      key += kept << 2;
      count += kept << 3;
      index++;
      pos = varintEnd();
      continue;
    }
    for (let i = 0; i < 4; i++) {
      const two = (word >> 7) & 1;
      const n = (word & 0x7f) | ((word >> 1) & 0x3f80 & (0 - two));
      store<i32>(key, index);
      store<u64>(count, n);
      const kept = <u32>(n !== 0);
      key += kept << 2;
      count += kept << 3;
      index++;
      word >>= 8 + (two << 3);
      pos += 1 + <u32>two;
    }
  }
  while (pos < packedStop) {
    const n = varint(pos);
    if (varintEnd() === 0 || varintEnd() > packedStop) return -1;
    store<i32>(key, index);
    store<u64>(count, n);
    const kept = <u32>(n !== 0);
    key += kept << 2;
    count += kept << 3;
    index++;
    pos = varintEnd();
  }
  return <i32>((key - keys) >> 2);
}
