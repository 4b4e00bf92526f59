const MAX_DIGITS = 9;
const MAX_EXACT = 2 ** 53;
const POWERS = Array.from({ length: MAX_DIGITS + 1 }, (_, digits) => 10 ** digits);

/** Exponent that says: the mantissa holds the bits of a Float64. */
export const RAW_BITS = 127;

/**
 * The exponent `e` in 0..-9 for which `round(value * 10^-e) / 10^-e` is the value again, exactly; RAW_BITS if there
 * is none. `hint` (0..9) is tried first, so that one series keeps one exponent and its column compresses.
 */
export function decimalExponent(value: number, hint: number): number {
  if (!Number.isFinite(value) || Object.is(value, -0)) return RAW_BITS;
  if (fits(value, hint)) return hint === 0 ? 0 : -hint;
  for (let digits = 0; digits <= MAX_DIGITS; digits++) if (fits(value, digits)) return digits === 0 ? 0 : -digits;
  return RAW_BITS;
}

export function mantissa(value: number, exponent: number): number {
  return Math.round(value * POWERS[-exponent]!);
}

function fits(value: number, digits: number): boolean {
  const scaled = Math.round(value * POWERS[digits]!);
  return scaled <= MAX_EXACT && scaled >= -MAX_EXACT && scaled / POWERS[digits]! === value;
}
