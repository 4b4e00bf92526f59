/**
 * Where everything lies in the kernel's linear memory, in bytes.
 *
 * One window of the request is copied to INPUT and read there; every row that comes of it is written to the columns
 * between INPUT and the heap, which the caller empties before it brings the next window. That bounds each column by
 * what one window can hold. Behind every region lie SLACK bytes: copies run in whole words past the end.
 */
export const WINDOW_BYTES: u32 = 0x20000;
/** Rows, and events of spans, that one window may give before the caller is asked to empty the columns. */
export const MAX_ROWS: u32 = 8192;
const SLACK: u32 = 64;
const WIDE: u32 = MAX_ROWS * 8 + SLACK;
const NARROW: u32 = MAX_ROWS + SLACK;

export const INPUT: u32 = 0x4000;
const AFTER_INPUT: u32 = INPUT + WINDOW_BYTES + SLACK;

/** Number points. */
export const NUMBER_SERIES: u32 = AFTER_INPUT;
export const NUMBER_TIME: u32 = NUMBER_SERIES + WIDE;
export const NUMBER_MANTISSA: u32 = NUMBER_TIME + WIDE;
export const NUMBER_EXPONENT: u32 = NUMBER_MANTISSA + WIDE;
const AFTER_NUMBERS: u32 = NUMBER_EXPONENT + NARROW;

/** Explicit histograms; lists are given by where each row's items end. */
export const HISTOGRAM_SERIES: u32 = AFTER_NUMBERS;
export const HISTOGRAM_TIME: u32 = HISTOGRAM_SERIES + WIDE;
export const HISTOGRAM_COUNT: u32 = HISTOGRAM_TIME + WIDE;
export const HISTOGRAM_SUM: u32 = HISTOGRAM_COUNT + WIDE;
export const HISTOGRAM_MIN: u32 = HISTOGRAM_SUM + WIDE;
export const HISTOGRAM_MAX: u32 = HISTOGRAM_MIN + WIDE;
export const HISTOGRAM_NO_SUM: u32 = HISTOGRAM_MAX + WIDE;
export const HISTOGRAM_NO_MIN: u32 = HISTOGRAM_NO_SUM + NARROW;
export const HISTOGRAM_NO_MAX: u32 = HISTOGRAM_NO_MIN + NARROW;
export const HISTOGRAM_BOUNDS_END: u32 = HISTOGRAM_NO_MAX + NARROW;
export const HISTOGRAM_BUCKETS_END: u32 = HISTOGRAM_BOUNDS_END + WIDE;
export const HISTOGRAM_BOUNDS: u32 = HISTOGRAM_BUCKETS_END + WIDE;
export const HISTOGRAM_BUCKETS: u32 = HISTOGRAM_BOUNDS + WINDOW_BYTES + SLACK;
const AFTER_HISTOGRAMS: u32 = HISTOGRAM_BUCKETS + WINDOW_BYTES + SLACK;

/** Exponential histograms. A bucket takes at least one byte of the window and becomes a key of 4 and a count of 8. */
export const EXPONENTIAL_SERIES: u32 = AFTER_HISTOGRAMS;
export const EXPONENTIAL_TIME: u32 = EXPONENTIAL_SERIES + WIDE;
export const EXPONENTIAL_COUNT: u32 = EXPONENTIAL_TIME + WIDE;
export const EXPONENTIAL_SUM: u32 = EXPONENTIAL_COUNT + WIDE;
export const EXPONENTIAL_MIN: u32 = EXPONENTIAL_SUM + WIDE;
export const EXPONENTIAL_MAX: u32 = EXPONENTIAL_MIN + WIDE;
export const EXPONENTIAL_NO_SUM: u32 = EXPONENTIAL_MAX + WIDE;
export const EXPONENTIAL_NO_MIN: u32 = EXPONENTIAL_NO_SUM + NARROW;
export const EXPONENTIAL_NO_MAX: u32 = EXPONENTIAL_NO_MIN + NARROW;
export const EXPONENTIAL_SCALE: u32 = EXPONENTIAL_NO_MAX + NARROW;
export const EXPONENTIAL_ZERO: u32 = EXPONENTIAL_SCALE + NARROW;
export const POSITIVE_END: u32 = EXPONENTIAL_ZERO + WIDE;
export const NEGATIVE_END: u32 = POSITIVE_END + WIDE;
export const POSITIVE_KEYS: u32 = NEGATIVE_END + WIDE;
export const POSITIVE_COUNTS: u32 = POSITIVE_KEYS + 4 * WINDOW_BYTES + SLACK;
export const NEGATIVE_KEYS: u32 = POSITIVE_COUNTS + 8 * WINDOW_BYTES + SLACK;
export const NEGATIVE_COUNTS: u32 = NEGATIVE_KEYS + 4 * WINDOW_BYTES + SLACK;
const AFTER_EXPONENTIAL: u32 = NEGATIVE_COUNTS + 8 * WINDOW_BYTES + SLACK;

/** Spans. Texts are a length and bytes, as in a block; each takes at least its own length of the window. */
const TEXTS: u32 = WINDOW_BYTES + 4 * MAX_ROWS + SLACK;
/** Values that are made into text may be longer than what they came from: it is looked after that they fit. */
export const VALUES_BYTES: u32 = 4 * WINDOW_BYTES;
export const SPAN_TIME: u32 = AFTER_EXPONENTIAL;
export const SPAN_DURATION: u32 = SPAN_TIME + WIDE;
export const SPAN_NAME: u32 = SPAN_DURATION + WIDE;
export const SPAN_KIND: u32 = SPAN_NAME + WIDE;
export const SPAN_STATUS: u32 = SPAN_KIND + NARROW;
export const TRACE_ID: u32 = SPAN_STATUS + NARROW;
export const SPAN_ID: u32 = TRACE_ID + 33 * MAX_ROWS + SLACK;
export const PARENT_ID: u32 = SPAN_ID + 17 * MAX_ROWS + SLACK;
export const TRACE_STATE: u32 = PARENT_ID + 17 * MAX_ROWS + SLACK;
export const STATUS_MESSAGE: u32 = TRACE_STATE + TEXTS;
export const LABELS_END: u32 = STATUS_MESSAGE + TEXTS;
export const LABEL_KEYS: u32 = LABELS_END + WIDE;
export const LABEL_VALUES: u32 = LABEL_KEYS + WINDOW_BYTES + SLACK;
export const EVENTS_END: u32 = LABEL_VALUES + VALUES_BYTES + SLACK;
export const EVENT_TIME: u32 = EVENTS_END + WIDE;
export const EVENT_NAME: u32 = EVENT_TIME + WIDE;
export const EVENT_LABELS_END: u32 = EVENT_NAME + WIDE;
export const EVENT_LABEL_KEYS: u32 = EVENT_LABELS_END + WIDE;
export const EVENT_LABEL_VALUES: u32 = EVENT_LABEL_KEYS + WINDOW_BYTES + SLACK;
const AFTER_SPANS: u32 = EVENT_LABEL_VALUES + VALUES_BYTES + SLACK;

/** Words: names and keys, by number. */
export const MAX_WORDS: u32 = 4096;
export const WORD_SLOTS: u32 = (AFTER_SPANS + 15) & ~15;
export const WORD_SLOT_COUNT: u32 = 4 * MAX_WORDS;
/** Where the entry of each word lies. */
export const WORD_ENTRIES: u32 = WORD_SLOTS + 4 * WORD_SLOT_COUNT;
export const WORD_HEAP: u32 = WORD_ENTRIES + 4 * MAX_WORDS;
export const WORD_HEAP_BYTES: u32 = 0x80000;
/** The words that the last span's attributes had for keys, in their order. */
export const EXPECTED_WORDS: u32 = WORD_HEAP + WORD_HEAP_BYTES + SLACK;
export const EXPECTED_COUNT: u32 = 64;
/** What the caller made of a value. */
export const MADE: u32 = EXPECTED_WORDS + 4 * EXPECTED_COUNT + SLACK;
export const MADE_BYTES: u32 = 0x10000;

/** Series, growing to the end of the memory. */
export const HEAP: u32 = (MADE + MADE_BYTES + SLACK + 15) & ~15;
