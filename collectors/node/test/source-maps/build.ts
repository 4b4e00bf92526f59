import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const APP = fileURLToPath(new URL("app", import.meta.url));
const ENTRY = join(APP, "main.ts");
const TSC = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");

/** Compiles the service of `app` in the ways that services are compiled. Answers the programs, by how. */
export async function compile(folder: string): Promise<Readonly<Record<string, string>>> {
  const bundle = async (name: string, options: object) => {
    const outfile = join(folder, name, "server.mjs");
    await build({ entryPoints: [ENTRY], bundle: true, platform: "node", format: "esm", outfile, ...options });
    return outfile;
  };
  const compiled = join(folder, "tsc");
  const strict = ["--target", "es2022", "--module", "nodenext", "--rewriteRelativeImportExtensions", "--types", "node"];
  execFileSync(process.execPath, [TSC, ENTRY, "--outDir", compiled, "--sourceMap", "--ignoreConfig", ...strict], {
    cwd: dirname(APP),
  });
  writeFileSync(join(compiled, "package.json"), '{"type":"module"}');
  return {
    "esbuild's bundle": await bundle("bundle", { sourcemap: true }),
    "esbuild's minified bundle with its map inside": await bundle("minified", { sourcemap: "inline", minify: true }),
    "tsc's output": join(compiled, "main.js"),
  };
}
