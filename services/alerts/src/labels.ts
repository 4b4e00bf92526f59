import { createHash } from "node:crypto";

export type Labels = Readonly<Record<string, string>>;

/** Stable name of a label set: 16 hexadecimal digits, the same for any order of the labels. */
export function fingerprint(labels: Labels): string {
  const hash = createHash("sha256");
  for (const key of Object.keys(labels).sort()) hash.update(`${key}\u0000${labels[key]}\u0000`);
  return hash.digest("hex").slice(0, 16);
}
