/** The text of `src/kernel/module.ts`. Throws with the compiler's words. */
export function compiled(): Promise<string>;
