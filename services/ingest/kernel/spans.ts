import { copyWords } from "./bytes";
import { makeValue, ruleOfKey, ruleOfName } from "./host";
import * as at from "./memory";
import { writeHex, writeInteger, writeText } from "./text";
import { CUT, DONE, FULL, ODD, stop, timely, valueAt, valueEnd, varint, varintEnd } from "./walk";
import { isWord, KEY_RULE, NAME_RULE, numberOf, word, wordsFull } from "./words";

/** What becomes of an attribute, by its key, and whether a span's name is stored as it is: 0 is not known yet. */
const KEEP: u32 = 1;
const DROP: u32 = 2;

const MAX_KIND: u32 = 5;
const MAX_STATUS: u32 = 2;
/** New words that one span may bring, so that it never fails for want of place in the middle. */
const WORDS_PER_SPAN: u32 = 256;
const FALSE_TEXT: u64 = 0x65736c616605;
const TRUE_TEXT: u64 = 0x6575727404;

let rows: u32 = 0;
let parents: u32 = at.PARENT_ID;
let states: u32 = at.TRACE_STATE;
let messages: u32 = at.STATUS_MESSAGE;
let labels: u32 = 0;
let values: u32 = at.LABEL_VALUES;
let events: u32 = 0;
let eventLabels: u32 = 0;
let eventValues: u32 = at.EVENT_LABEL_VALUES;
let dropped: u32 = 0;

export function spanRows(): u32 {
  return rows;
}
export function parentBytes(): u32 {
  return parents - at.PARENT_ID;
}
export function stateBytes(): u32 {
  return states - at.TRACE_STATE;
}
export function messageBytes(): u32 {
  return messages - at.STATUS_MESSAGE;
}
export function labelItems(): u32 {
  return labels;
}
export function labelBytes(): u32 {
  return values - at.LABEL_VALUES;
}
export function eventItems(): u32 {
  return events;
}
export function eventLabelItems(): u32 {
  return eventLabels;
}
export function eventLabelBytes(): u32 {
  return eventValues - at.EVENT_LABEL_VALUES;
}
/** Attributes that were left out, since the start. */
export function droppedLabels(): u32 {
  return dropped;
}
export function clearSpans(): void {
  rows = 0;
  parents = at.PARENT_ID;
  states = at.TRACE_STATE;
  messages = at.STATUS_MESSAGE;
  labels = 0;
  values = at.LABEL_VALUES;
  events = 0;
  eventLabels = 0;
  eventValues = at.EVENT_LABEL_VALUES;
}

/** The span that is read: all of it is tried before the first value is made by the caller, who counts what he makes. */
let spanFrom: u32 = 0;
let spanEnd: u32 = 0;
let making: bool = false;
let mustMake: bool = false;
let noRoom: bool = false;
let left: u32 = 0;
/** Where the values of the attributes that are read have to end. */
let room: u32 = 0;
let labelKept: bool = false;

/** As `takeNumbers`, for the spans of a scope. */
export function takeSpans(from: u32, end: u32, more: bool): u32 {
  let pos = from;
  stop(DONE);
  while (pos < end) {
    const tag = load<u8>(pos);
    const known = tag === 18 || tag === 10 || tag === 26;
    const body = known ? valueAt(pos + 1) : 0;
    const last = valueEnd();
    if (body === 0 || last > end) {
      stop(body !== 0 && more ? CUT : ODD);
      break;
    }
    if (tag === 18) {
      if (rows === at.MAX_ROWS || wordsFull(WORDS_PER_SPAN)) {
        stop(FULL);
        break;
      }
      spanFrom = body;
      spanEnd = last;
      making = false;
      mustMake = false;
      noRoom = false;
      let taken = readSpan(body, last);
      if (taken && mustMake) {
        making = true;
        taken = readSpan(body, last);
      }
      if (!taken) {
        stop(noRoom && rows > 0 ? FULL : ODD);
        break;
      }
    }
    pos = last;
  }
  return pos;
}

function readSpan(from: u32, last: u32): bool {
  let pos = from;
  let trace: u32 = 0;
  let id: u32 = 0;
  let parent: u32 = 0;
  let parentLength: u32 = 0;
  let state: u32 = 0;
  let stateLength: u32 = 0;
  let name: u32 = 0;
  let nameLength: u32 = 0;
  let kind: u32 = 0;
  let begin: u64 = 0;
  let finish: u64 = 0;
  let status: u32 = 0;
  let statusLast: u32 = 0;
  let label = labels;
  let value = values;
  let event = events;
  let index: u32 = 0;
  newEventLabels = eventLabels;
  newEventValues = eventValues;
  left = 0;
  while (pos < last) {
    const tag = load<u8>(pos);
    if (tag === 74) {
      const body = valueAt(pos + 1);
      pos = valueEnd();
      if (body === 0 || pos > last) return false;
      room = at.LABEL_VALUES + at.VALUES_BYTES;
      value = readLabel(body, pos, at.LABEL_KEYS + (label << 2), value, index++);
      if (value === 0) return false;
      if (labelKept) label++;
    } else if (tag === 10) {
      if (load<u8>(pos, 1) !== 16) return false;
      trace = pos + 2;
      pos += 18;
    } else if (tag === 18) {
      if (load<u8>(pos, 1) !== 8) return false;
      id = pos + 2;
      pos += 10;
    } else if (tag === 34) {
      parentLength = load<u8>(pos, 1);
      if (parentLength !== 0 && parentLength !== 8) return false;
      parent = pos + 2;
      pos += 2 + parentLength;
    } else if (tag === 42) {
      name = valueAt(pos + 1);
      if (name === 0) return false;
      pos = valueEnd();
      nameLength = pos - name;
    } else if (tag === 48) {
      kind = load<u8>(pos, 1);
      if (kind >= 0x80) return false;
      pos += 2;
    } else if (tag === 57) {
      begin = load<u64>(pos, 1);
      pos += 9;
    } else if (tag === 65) {
      finish = load<u64>(pos, 1);
      pos += 9;
    } else if (tag === 122) {
      if (status !== 0) return false;
      status = valueAt(pos + 1);
      if (status === 0) return false;
      pos = valueEnd();
      statusLast = pos;
    } else if (tag === 90) {
      const body = valueAt(pos + 1);
      pos = valueEnd();
      if (body === 0 || pos > last) return false;
      if (event === at.MAX_ROWS) {
        noRoom = true;
        return false;
      }
      if (!readEvent(body, pos, event)) return false;
      event++;
    } else if (tag === 26) {
      state = valueAt(pos + 1);
      if (state === 0) return false;
      pos = valueEnd();
      stateLength = pos - state;
    } else if (tag === 80 || tag === 96 || tag === 112) {
      if (load<u8>(pos, 1) >= 0x80) return false;
      pos += 2;
    } else if (tag === 133 && load<u8>(pos, 1) === 1) pos += 6;
    else return false;
  }
  if (pos !== last || trace === 0 || id === 0 || begin === 0 || !timely(begin)) return false;
  if ((load<u64>(trace) | load<u64>(trace, 8)) === 0 || load<u64>(id) === 0) return false;
  const nameEntry = word(name, nameLength);
  if (nameEntry === 0) return false;
  let rule = <u32>load<u8>(nameEntry, NAME_RULE);
  if (rule === 0) {
    rule = ruleOfName(name, nameLength);
    store<u8>(nameEntry, rule, NAME_RULE);
  }
  if (rule !== KEEP) return false;
  let code: u32 = 0;
  let message: u32 = 0;
  let messageLength: u32 = 0;
  pos = status;
  while (pos < statusLast) {
    const tag = load<u8>(pos);
    if (tag === 24) {
      code = load<u8>(pos, 1);
      if (code >= 0x80) return false;
      pos += 2;
    } else if (tag === 18) {
      message = valueAt(pos + 1);
      if (message === 0) return false;
      pos = valueEnd();
      messageLength = pos - message;
    } else return false;
  }
  if (pos !== statusLast) return false;
  const newStates = writeText(states, state, stateLength);
  const newMessages = writeText(messages, message, messageLength);
  if (newStates === 0 || newMessages === 0) return false;
  if (mustMake && !making) return true;

  const wide = rows << 3;
  store<u64>(at.SPAN_TIME + wide, begin);
  store<u64>(at.SPAN_DURATION + wide, finish > begin ? finish - begin : 0);
  store<u32>(at.SPAN_NAME + (rows << 2), numberOf(nameEntry));
  store<u8>(at.SPAN_KIND + rows, kind > MAX_KIND ? 0 : kind);
  store<u8>(at.SPAN_STATUS + rows, code > MAX_STATUS ? 0 : code);
  const traceTo = at.TRACE_ID + rows * 33;
  store<u8>(traceTo, 32);
  writeHex(traceTo + 1, trace, 16);
  const idTo = at.SPAN_ID + rows * 17;
  store<u8>(idTo, 16);
  writeHex(idTo + 1, id, 8);
  if (parentLength === 8 && load<u64>(parent) !== 0) {
    store<u8>(parents, 16);
    writeHex(parents + 1, parent, 8);
    parents += 17;
  } else store<u8>(parents++, 0);
  states = newStates;
  messages = newMessages;
  labels = label;
  values = value;
  events = event;
  eventLabels = newEventLabels;
  eventValues = newEventValues;
  dropped += left;
  store<u64>(at.LABELS_END + wide, labels);
  store<u64>(at.EVENTS_END + wide, events);
  rows++;
  return true;
}

let newEventLabels: u32 = 0;
let newEventValues: u32 = 0;

function readEvent(from: u32, last: u32, event: u32): bool {
  let pos = from;
  let time: u64 = 0;
  let name: u32 = 0;
  let nameLength: u32 = 0;
  while (pos < last) {
    const tag = load<u8>(pos);
    if (tag === 26) {
      const body = valueAt(pos + 1);
      pos = valueEnd();
      if (body === 0 || pos > last) return false;
      room = at.EVENT_LABEL_VALUES + at.VALUES_BYTES;
      const key = at.EVENT_LABEL_KEYS + (newEventLabels << 2);
      newEventValues = readLabel(body, pos, key, newEventValues, at.EXPECTED_COUNT);
      if (newEventValues === 0) return false;
      if (labelKept) newEventLabels++;
    } else if (tag === 9) {
      time = load<u64>(pos, 1);
      pos += 9;
    } else if (tag === 18) {
      name = valueAt(pos + 1);
      if (name === 0) return false;
      pos = valueEnd();
      nameLength = pos - name;
    } else if (tag === 32) {
      if (load<u8>(pos, 1) >= 0x80) return false;
      pos += 2;
    } else return false;
  }
  if (pos !== last) return false;
  const entry = word(name, nameLength);
  if (entry === 0) return false;
  store<u64>(at.EVENT_TIME + (event << 3), time);
  store<u32>(at.EVENT_NAME + (event << 2), numberOf(entry));
  store<u64>(at.EVENT_LABELS_END + (event << 3), newEventLabels);
  return true;
}

/**
 * Writes a `KeyValue`'s key and value where they belong, unless it is to be left out: `labelKept` says so. Returns where
 * the value ends; 0 for what the caller has to read. `index` is its number among the span's attributes: senders keep
 * their order, so the key is probably that of the last span.
 */
function readLabel(from: u32, last: u32, key: u32, value: u32, index: u32): u32 {
  if (load<u8>(from) !== 10) return 0;
  const keyLength = <u32>load<u8>(from, 1);
  if (keyLength >= 0x80) return 0;
  const keyAt = from + 2;
  let pos = keyAt + keyLength;
  if (pos > last) return 0;
  // Nothing behind the key is a value that is empty.
  if (pos < last) {
    if (load<u8>(pos) !== 18) return 0;
    pos = valueAt(pos + 1);
    if (pos === 0 || valueEnd() !== last) return 0;
  }
  const expectedAt = at.EXPECTED_WORDS + (index << 2);
  let entry = index < at.EXPECTED_COUNT ? load<u32>(expectedAt) : 0;
  if (entry === 0 || !isWord(entry, keyAt, keyLength)) {
    entry = word(keyAt, keyLength);
    if (entry === 0) return 0;
    if (index < at.EXPECTED_COUNT) store<u32>(expectedAt, entry);
  }
  let rule = <u32>load<u8>(entry, KEY_RULE);
  if (rule === 0) {
    rule = ruleOfKey(keyAt, keyLength);
    store<u8>(entry, rule, KEY_RULE);
  }
  if (rule === DROP) {
    labelKept = false;
    left++;
    return value;
  }
  labelKept = true;
  store<u32>(key, numberOf(entry));
  if (value + (last - pos) + 32 > room) {
    noRoom = true;
    return 0;
  }
  if (rule === KEEP) {
    if (pos === last) {
      store<u8>(value, 0);
      return value + 1;
    }
    const tag = load<u8>(pos);
    if (tag === 10) {
      const body = valueAt(pos + 1);
      return body === 0 || valueEnd() !== last ? 0 : writeText(value, body, last - body);
    }
    if (tag === 24) {
      const number = <i64>varint(pos + 1);
      return varintEnd() !== last ? 0 : writeInteger(value, number);
    }
    if (tag === 16) {
      const truth = varint(pos + 1);
      if (varintEnd() !== last) return 0;
      store<u64>(value, truth !== 0 ? TRUE_TEXT : FALSE_TEXT);
      return value + (truth !== 0 ? 5 : 6);
    }
  }
  if (!making) {
    mustMake = true;
    return value;
  }
  const length = makeValue(keyAt, keyLength, pos, last, spanFrom, spanEnd);
  if (length < 0) return 0;
  if (value + <u32>length + 32 > room) {
    noRoom = true;
    return 0;
  }
  copyWords(value, at.MADE, <u32>length);
  return value + <u32>length;
}
