import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** Bundles the browser part into the folder given, else dist/public: app.js, app.css, index.html, icon.svg. */
const target = process.argv[2] ?? path("../dist/public");
await mkdir(target, { recursive: true });
await build({
  entryPoints: { app: path("../client/main.ts") },
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome109", "firefox115", "safari16"],
  legalComments: "none",
  logLevel: "warning",
  tsconfigRaw: {},
});
for (const file of ["index.html", "icon.svg"]) await copyFile(path(`../client/${file}`), `${target}/${file}`);
