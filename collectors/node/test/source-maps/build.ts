import { execFileSync } from "node:child_process";
import { cpSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { PRELOAD } from "../agent-process.ts";

const DRIVERS = createRequire(new URL("../drivers/", import.meta.url));
const REQUIRED = fileURLToPath(new URL("../../register.cjs", import.meta.url));
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

export interface Loaded {
  /** Folder of the service's sources. */
  readonly folder: string;
  readonly program: string;
  /** The agent, and what compiles files while it loads them. */
  readonly preload: string[];
}

/** Sets the service up to run from its sources by loaders that compile in memory. Answers them by name. */
export function load(folder: string): Readonly<Record<string, Loaded>> {
  const copy = (type: string) => {
    const to = join(folder, type);
    cpSync(APP, to, { recursive: true });
    writeFileSync(join(to, "package.json"), JSON.stringify({ type }));
    return { folder: to, program: join(to, "main.ts") };
  };
  const [commonjs, module] = [copy("commonjs"), copy("module")];
  const loader = (name: string) => ["--require", REQUIRED, "--require", DRIVERS.resolve(name)];
  return {
    "tsx, ES modules": { ...module, preload: [...PRELOAD, "--import", pathToFileURL(DRIVERS.resolve("tsx")).href] },
    "tsx, CommonJS": { ...commonjs, preload: loader("tsx/cjs") },
    "ts-node": { ...commonjs, preload: loader("ts-node/register/transpile-only") },
    "esbuild-register": { ...commonjs, preload: loader("esbuild-register") },
  };
}
