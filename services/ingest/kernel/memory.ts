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

/** Series and words, growing to the end of the memory. */
export const HEAP: u32 = (AFTER_EXPONENTIAL + 15) & ~15;
