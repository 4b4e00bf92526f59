// What `prisma generate` makes of the schema in the JSON file, less its types: the generator itself would be 200 MB more.
import { readFileSync } from "node:fs";
import { getPrismaClient } from "@prisma/client/runtime/client";

export const PrismaClient = getPrismaClient({
  ...JSON.parse(readFileSync(new URL("prisma-client.json", import.meta.url), "utf8")),
  previewFeatures: [],
  clientVersion: "7.10.0",
  engineVersion: "7.10.0",
  activeProvider: "postgresql",
  compilerWasm: {
    getRuntime: () => import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs"),
    async getQueryCompilerWasmModule() {
      const { wasm } = await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs");
      return new WebAssembly.Module(Buffer.from(wasm, "base64"));
    },
    importName: "./query_compiler_fast_bg.js",
  },
});
