import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** Bundles the browser part into dist/public: app.js, app.css, index.html, icon.svg. */
await mkdir(path("../dist/public"), { recursive: true });
await build({
  entryPoints: { app: path("../client/main.ts") },
  outdir: path("../dist/public"),
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome109", "firefox115", "safari16"],
  legalComments: "none",
  logLevel: "warning",
  tsconfigRaw: {},
});
for (const file of ["index.html", "icon.svg"])
  await copyFile(path(`../client/${file}`), path(`../dist/public/${file}`));
