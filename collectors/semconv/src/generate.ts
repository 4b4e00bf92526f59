/** Writes the Python constants and the reference page from the registry. `--check` exits 1 where they differ. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pythonModule, referencePage } from "./render.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const outputs = [
  { path: `${root}collectors/django/src/tidemark_django/semconv.py`, text: pythonModule() },
  { path: `${root}docs/metrics.md`, text: referencePage() },
];

let stale = 0;
for (const { path, text } of outputs) {
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (readFileSync(path, "utf8") !== text) {
    stale += 1;
    console.error(`${path} is out of date: run npm run generate -w @tidemark/semconv`);
  }
}
process.exitCode = stale > 0 ? 1 : 0;
