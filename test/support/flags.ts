/** The number given for the flag `--name`. Throws a sentence unless it is positive. */
export function positive<Name extends string>(values: { readonly [flag in Name]?: string }, name: Name): number {
  const value = Number(values[name]);
  if (!(value > 0)) throw new Error(`--${name} ${values[name]} is not a positive number`);
  return value;
}
