/**
 * `node test/bench/collector/build.mjs [directory]`: builds the stock Collector that `npm run bench:ingest -- --collector`
 * compares with, from its released Go modules (manifest.yaml) by the OpenTelemetry Collector Builder. Takes some minutes
 * and a Go of 1.25 or later; prints the binary's path as its last line.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BUILDER = "go.opentelemetry.io/collector/cmd/builder";
const manifest = readFileSync(new URL("manifest.yaml", import.meta.url), "utf8");
const version = /^ {2}version: (\S+)$/m.exec(manifest)[1];
const directory = resolve(process.argv[2] ?? join(tmpdir(), "tidemark-bench-collector"));
const output = join(directory, "build");

mkdirSync(directory, { recursive: true });
const file = join(directory, "manifest.yaml");
writeFileSync(file, manifest.replace(/^dist:$/m, `dist:\n  output_path: ${JSON.stringify(output)}`));
run("go", ["install", `${BUILDER}@v${version}`], { GOBIN: directory });
run(join(directory, "builder"), ["--config", file]);
console.log(join(output, "otelcol-clickhouse"));

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", 2, 2], env: { ...process.env, ...env } });
  if (status === 0) return;
  console.error(error === undefined ? `${command} ended with ${status}` : `${command}: ${error.message}`);
  process.exit(1);
}
