import type { Request } from "express";

const INTEGER = /^-?[0-9]{1,9}$/;
const SHOWN_CHARACTERS = 40;

/** A query or body value is outside its bounds: the client gets a 400 with the message. */
export class BadParameter extends Error {}

/**
 * The query parameter `name` as an integer, `fallback` when it is absent. The last one counts, as in Django.
 *
 * @throws BadParameter when the value is not a decimal integer from `lowest` to `highest`.
 */
export function boundedInteger(
  request: Request,
  name: string,
  fallback: number,
  lowest: number,
  highest: number,
): number {
  const given = request.query[name];
  if (given === undefined) return fallback;
  const text = String(Array.isArray(given) ? given.at(-1) : given);
  const value = Number(text);
  if (!INTEGER.test(text) || value < lowest || value > highest) {
    throw new BadParameter(`${name} must be an integer from ${lowest} to ${highest}, got '${shown(text)}'`);
  }
  return value;
}

/** `text` as an error message may repeat it: short and printable. */
export function shown(text: string): string {
  return Array.from(text)
    .slice(0, SHOWN_CHARACTERS)
    .map((character) => (character >= " " && character <= "~" ? character : "?"))
    .join("");
}
