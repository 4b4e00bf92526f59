/** What the caller of the kernel decides or makes: `src/kernel/span-columns.ts`. */

/** 1 to keep an attribute with this key, 2 to leave it out, 3 to have its value made by `makeValue`. */
export declare function ruleOfKey(at: u32, length: u32): u32;

/** 1 when a span's name is stored as it is. */
export declare function ruleOfName(at: u32, length: u32): u32;

/**
 * Makes the text of an attribute's value (`at` to `end`) into MADE, its length in front, and returns how many bytes it
 * wrote; -1 when they do not fit. `span` to `spanEnd` is the span it belongs to.
 */
export declare function makeValue(key: u32, keyLength: u32, at: u32, end: u32, span: u32, spanEnd: u32): i32;
