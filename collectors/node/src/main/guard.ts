import type { Control } from "../shared/control.ts";

/** Errors in one part of the agent after which the part is switched off. */
const MAX_ERRORS = 10;

/** Subscribers run inside the application's calls: an exception of ours would become the application's. */
export type Guard = <Arguments extends unknown[]>(
  body: (...arguments_: Arguments) => void,
) => (...arguments_: Arguments) => void;

/** Makes functions that never throw: errors are counted, and after ten the function does nothing any more. */
export function createGuard(control: Control): Guard {
  return (body) => {
    let errors = 0;
    return (...arguments_) => {
      if (errors >= MAX_ERRORS) return;
      try {
        body(...arguments_);
      } catch {
        errors += 1;
        control.countError();
      }
    };
  };
}
