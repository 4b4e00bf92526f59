import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ROOT } from "./support/tidemark.ts";

/** A tenth of what one core of a quiet laptop does: only a path that has become slow falls below it. */
const LEAST_POINTS_PER_CORE_SECOND = 75_000;
const MOST_RSS_BYTES = 1.5e9;

it("stores every point it acknowledges under full load, and says what a point costs", async () => {
  const flags = ["--seconds", "3", "--rounds", "1", "--json"];
  const bench = spawn(process.execPath, [join(ROOT, "test", "bench", "run.mjs"), "ingest", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  bench.stdout.on("data", (data) => {
    stdout += data;
  });
  bench.stderr.on("data", (data) => {
    stderr += data;
  });
  const code = await new Promise((resolve) => bench.once("close", resolve));
  // It ends with an error where SQL does not count exactly the points that were acknowledged.
  expect(code, stderr).toBe(0);
  const result = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
  console.log(result);
  expect(result).toMatchObject({ collector_cpu_ratio: null, collector: expect.stringContaining("--collector") });
  expect(result.points).toBeGreaterThan(0);
  expect(result.points_per_core_second).toBeGreaterThan(LEAST_POINTS_PER_CORE_SECOND);
  expect(result.ack_p99_ms).toBeGreaterThan(0);
  expect(result.rss_bytes).toBeLessThan(MOST_RSS_BYTES);
});
