import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { renderFiles } from "./render.ts";

/** Writes every generated file into the repository; run by `npm run generate -w @tidemark/dashboards`. */
const root = fileURLToPath(new URL("../../", import.meta.url));
for (const [path, content] of renderFiles()) {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  console.log(`wrote ${path}`);
}
