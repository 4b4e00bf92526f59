import type { Control } from "../shared/control.ts";

/** Errors in one part of the agent after which the part is switched off. */
const MAX_ERRORS = 10;

/**
 * Subscribers run inside the application's calls: an exception of ours would become the application's. Two
 * parameters are enough for all of them, and cost less on each request than a list would.
 */
export type Guard = <First, Second>(
  body: (first: First, second: Second) => void,
) => (first: First, second?: Second) => void;

/** Makes functions that never throw: errors are counted, and after ten the function does nothing any more. */
export function createGuard(control: Control): Guard {
  return (body) => {
    let errors = 0;
    return (first, second?) => {
      if (errors >= MAX_ERRORS) return;
      try {
        body(first, second as Parameters<typeof body>[1]);
      } catch {
        errors += 1;
        control.countError();
      }
    };
  };
}
