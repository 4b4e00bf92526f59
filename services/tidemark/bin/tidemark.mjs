#!/usr/bin/env node
// A file that is there before the build, so that npm can link it.
import { existsSync } from "node:fs";

const main = new URL("../dist/main.js", import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write(
    "tidemark: not built yet; `npm start` in the repository's root installs, builds and starts it.\n",
  );
  process.exitCode = 1;
}
