import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Releases of Node.js that `setup.mjs test` installs beside the one that runs the tests, where the registry has them for this machine. */
export const RELEASES = [22, 24].map((release) => {
  const folder = `nodes/node_modules/node${release}-${process.platform}-${process.arch}`;
  return { release, program: fileURLToPath(new URL(`${folder}/bin/node`, import.meta.url)) };
});

/** What is missing for the tests of a release; undefined where nothing is. @throws the same, in CI. */
export function missingFor(program: string): string | undefined {
  if (existsSync(program)) return undefined;
  const missing = "needs node services/tidemark/setup/setup.mjs test, on Linux";
  if (process.env.CI) throw new Error(missing);
  return missing;
}
