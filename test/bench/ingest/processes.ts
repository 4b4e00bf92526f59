import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { migrate } from "@tidemark/store";
import { entryOf, stop, until } from "../../support/tidemark.ts";
import { METRIC } from "./payload.ts";

const WRITER_PASSWORD = "bench-writer";
const TICKS_PER_S = 100;
const SAMPLE_EVERY_MS = 50;
const PAGE_BYTES = 4096;
const SETTLE_MS = 60_000;
const POLL_MS = 100;

/** A process of the path under test, with its own data directory. */
export interface Running {
  readonly process: ChildProcess;
  readonly pid: number;
}

export interface Engine extends Running {
  /** With the writer's name and password, without a database. */
  readonly url: string;
  /** Text of a query's answer, as the writer. */
  query(sql: string): Promise<string>;
}

/** A directory for one engine and what stands before it, and the engine in it; `close` ends and removes both. */
export async function startEngine(): Promise<Engine & { directory: string; close(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-bench-"));
  const { child, line } = await service("engine", "engine ready", {
    TIDEMARK_CLICKHOUSE_PORT: "0",
    TIDEMARK_DATA_DIR: directory,
    TIDEMARK_ENGINE_WRITER_PASSWORD: WRITER_PASSWORD,
  });
  const url = String(line.url).replace("http://", `http://tidemark:${WRITER_PASSWORD}@`);
  return {
    process: child,
    pid: child.pid!,
    url,
    directory,
    async query(sql) {
      const response = await fetch(String(line.url), {
        method: "POST",
        body: sql,
        headers: { "x-clickhouse-user": "tidemark", "x-clickhouse-key": WRITER_PASSWORD },
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${sql}: ${text}`);
      return text.trim();
    },
    async close() {
      await stop(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Our ingest in front of that engine, its tables made. */
export async function startIngest(engine: Engine & { directory: string }): Promise<Running & { endpoint: string }> {
  const url = `${engine.url}/tidemark`;
  await migrate(url);
  const { child, line } = await service("ingest", "ready", {
    TIDEMARK_OTLP_PORT: "0",
    TIDEMARK_DATA_DIR: engine.directory,
    TIDEMARK_CLICKHOUSE_URL: url,
  });
  return { process: child, pid: child.pid!, endpoint: `http://127.0.0.1:${line.port}` };
}

async function service(name: string, ready: string, variables: Record<string, string>) {
  const child = spawn(process.execPath, [...profileFlags(name), entryOf(name)], {
    env: { PATH: process.env.PATH ?? "", ...variables },
    stdio: ["ignore", "pipe", 2],
  });
  for await (const text of createInterface({ input: child.stdout! })) {
    const line = JSON.parse(text) as { msg: string; url?: string; port?: number };
    if (line.msg === ready) return { child, line };
  }
  throw new Error(`services/${name} ended before it was ready`);
}

/** `BENCH_CPU_PROFILE=<directory>` writes a V8 CPU profile of each service there when it ends. */
function profileFlags(name: string): string[] {
  const directory = process.env.BENCH_CPU_PROFILE;
  return directory === undefined
    ? []
    : ["--cpu-prof", `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${name}.cpuprofile`];
}

/** Where the load's points end up: a table, and the column that holds the metric's name. */
export interface Destination {
  readonly table: string;
  readonly metric: string;
}

/** Waits until SQL counts exactly `points` of the load and no merge runs; throws with the count when it never does. */
export async function settled(engine: Engine, { table, metric }: Destination, points: number): Promise<void> {
  const load = `SELECT count() FROM ${table} WHERE ${metric} = '${METRIC}'`;
  let stored = 0;
  await until(
    () => `${points} acknowledged points to be queryable, ${stored} are`,
    async () => {
      // The count of all rows costs nothing; the ingest's own metrics are among them, so what it says is only "soon".
      if (Number(await engine.query(`SELECT count() FROM ${table}`)) < points) return false;
      stored = Number(await engine.query(load));
      return stored >= points;
    },
    SETTLE_MS,
    POLL_MS,
  );
  if (stored !== points) throw new Error(`${points} points were acknowledged, ${stored} are stored`);
  await until(
    "the merges to end",
    async () => (await engine.query("SELECT count() FROM system.merges")) === "0",
    SETTLE_MS,
    POLL_MS,
  );
}

/** CPU time of all threads of processes, user and system, s. Source: proc(5), fields 14 and 15 of stat. */
export function cpuSeconds(...pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_S;
}

/** Watches the resident memory of processes; `peak` gives the highest sum seen, bytes, and what each held then. */
export function watchMemory(...pids: readonly number[]): { peak(): { sum: number; each: number[] } } {
  let peak = { sum: 0, each: pids.map(() => 0) };
  const timer = setInterval(() => {
    try {
      const each = pids.map((pid) => Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES);
      const sum = each.reduce((a, b) => a + b, 0);
      if (sum > peak.sum) peak = { sum, each };
    } catch {
      // A process ended: its last peak stays.
    }
  }, SAMPLE_EVERY_MS);
  // A bench that failed must end.
  timer.unref();
  return {
    peak: () => {
      clearInterval(timer);
      return peak;
    },
  };
}
