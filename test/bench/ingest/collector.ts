import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { collect, Fatal, freePorts, until } from "../../support/tidemark.ts";
import type { Destination, Engine, Running } from "./processes.ts";

const DATABASE = "otel";
const START_MS = 60_000;

/** The table that gauges land in, as the exporter makes it. */
export const COLLECTOR_TABLE: Destination = { table: `${DATABASE}.otel_metrics_gauge`, metric: "MetricName" };

/**
 * A stock Collector before that engine: OTLP receiver, memory limiter first, batching in the exporter's queue, as the
 * Collector's and the exporter's pages advise. No compression, as both are on one machine.
 */
export async function startCollector(
  binary: string,
  engine: Engine & { directory: string },
): Promise<Running & { endpoint: string; version: string }> {
  const version = execFileSync(binary, ["--version"], { encoding: "utf8" }).trim();
  const [port] = (await freePorts(1)) as [number];
  const { username, password, host } = new URL(engine.url);
  const file = join(engine.directory, "collector.yaml");
  writeFileSync(
    file,
    stringify({
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
      processors: { memory_limiter: { check_interval: "1s", limit_percentage: 75, spike_limit_percentage: 15 } },
      exporters: {
        clickhouse: {
          endpoint: `http://${host}`,
          username,
          password,
          database: DATABASE,
          compress: "none",
          timeout: "60s",
          sending_queue: {
            queue_size: 1000,
            batch: { sizer: "items", min_size: 100_000, max_size: 500_000, flush_timeout: "1s" },
          },
        },
      },
      service: {
        telemetry: { metrics: { level: "none" } },
        pipelines: { metrics: { receivers: ["otlp"], processors: ["memory_limiter"], exporters: ["clickhouse"] } },
      },
    }),
  );
  await engine.query(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
  const child = spawn(binary, ["--config", file], { stdio: ["ignore", "pipe", "pipe"] });
  const output = collect(child);
  await until(
    () => `the Collector to be ready:\n${output()}`,
    async () => {
      if (child.exitCode !== null) throw new Fatal(`the Collector ended with ${child.exitCode}:\n${output()}`);
      return output().includes("Everything is ready");
    },
    START_MS,
  );
  return { process: child, pid: child.pid!, endpoint: `http://127.0.0.1:${port}`, version };
}
