/**
 * `node test/bench/run.mjs NAME [flags]`: sets up what is missing, then runs the bench or campaign `NAME.ts` of this folder.
 * What it installs and builds is told on stderr, so that stdout is the bench's own and its last line the JSON of `--json`.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");
const [name = "", ...flags] = process.argv.slice(2);
const source = join(here, `${name}.ts`);
if (!/^[a-z-]+$/.test(name) || !existsSync(source)) {
  console.error(`test/bench has no '${name}': see the scripts of package.json.`);
  process.exit(2);
}

const setup = spawnSync(process.execPath, [join(root, "services", "tidemark", "setup", "setup.mjs"), "start"], {
  cwd: root,
  stdio: ["ignore", 2, 2],
});
if (setup.status !== 0) process.exit(setup.status ?? 1);

const { build } = await import("esbuild");
// Beside the source, so that import.meta.url means the same before and after the bundling.
const outfile = join(here, `.${name}.bundle.mjs`);
await build({
  entryPoints: [source],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  logLevel: "warning",
});
const child = spawn(process.execPath, [outfile, ...flags], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
