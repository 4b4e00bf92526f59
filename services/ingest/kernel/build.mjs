import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

/**
 * Compiles this folder to WebAssembly and writes it, in base64, into `src/kernel/module.ts`: a source file like any
 * other, so that neither the build nor the image has a file more to carry. `--check` only says whether it is current.
 *
 * `npm run generate -w @tidemark/ingest`.
 */
const here = fileURLToPath(new URL(".", import.meta.url));
const target = fileURLToPath(new URL("../src/kernel/module.ts", import.meta.url));
const LINE = 110;

/** The text of `src/kernel/module.ts`. Throws with the compiler's words. */
export async function compiled() {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-kernel-"));
  try {
    const out = join(directory, "kernel.wasm");
    const flags = ["-O3", "--runtime", "stub", "--noAssert", "--lowMemoryLimit", "--enable", "bulk-memory"];
    const { error, stderr } = await asc.main(["index.ts", "--baseDir", here, "--outFile", out, ...flags]);
    if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
    const lines = readFileSync(out)
      .toString("base64")
      .match(new RegExp(`.{1,${LINE}}`, "g"));
    return [
      "/** Generated from services/ingest/kernel by `npm run generate -w @tidemark/ingest`; do not edit. */",
      "export const MODULE_BASE64 =",
      `${lines.map((line) => `  "${line}"`).join(" +\n")};`,
      "",
    ].join("\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await compiled();
  const current = (() => {
    try {
      return readFileSync(target, "utf8");
    } catch {
      return "";
    }
  })();
  if (!process.argv.includes("--check")) writeFileSync(target, text);
  else if (current !== text) {
    console.error("src/kernel/module.ts is not what kernel/ compiles to: npm run generate -w @tidemark/ingest");
    process.exitCode = 1;
  }
}
