import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { createStoreClient, migrate, type StoreClient } from "@tidemark/store";
import { machine, writeTable } from "../support/benchmarks-page.ts";
import { entryOf } from "../support/tidemark.ts";
import {
  EXPORT_SECONDS,
  fillStatements,
  type Plan,
  POINTS_PER_EXPORT,
  planOf,
  pointsSql,
  SERVICES,
} from "./query-data.ts";
import { type Asked, panelQueries, VARIANTS } from "./query-panels.ts";

const USAGE = `Usage: npm run bench:query -- [options]

Fills a fresh embedded engine with a day of what the agents of ${SERVICES} services send, then runs every query of every
bundled panel over these 24 hours as Grafana does (read-only user, HTTP, Native format, gzip accepted), each 7 times.

  --points N    OTLP metric points to fill (default 5000000)
  --keep DIR    keep the data in DIR, and use what is there already
  --panels TEXT only queries whose name contains TEXT
  --write       put the table into docs/benchmarks.md
  --json        one last line of JSON: points, panels, slowest_ms
  --help        this text`;

const RUNS = 7;
const SLOWEST_SHOWN = 10;
const PASSWORD = "bench-writer";
const DATABASE = "tidemark";
const DAY_MS = 86_400_000;
const BAR_MS = 100;

const { values: flags } = parseArgs({
  options: {
    points: { type: "string", default: "5000000" },
    keep: { type: "string" },
    panels: { type: "string" },
    write: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (flags.help) {
  console.log(USAGE);
  process.exit(0);
}
const wanted = Number(flags.points);
if (!Number.isInteger(wanted) || wanted < 1) {
  console.error(`--points is ${flags.points}: expected a whole number above 0`);
  process.exit(2);
}

const note = (text: string): void => void process.stderr.write(`${text}\n`);

/** Where a bench's data begins, and how much of it there is: what `--keep` needs to use it again. */
interface Kept {
  readonly points: number;
  readonly start: number;
}

const directory = flags.keep ?? mkdtempSync(join(tmpdir(), "tidemark-bench-query-"));
mkdirSync(directory, { recursive: true });
const keptFile = join(directory, "bench-query.json");
const kept = existsSync(keptFile) ? (JSON.parse(readFileSync(keptFile, "utf8")) as Kept) : undefined;
if (kept !== undefined && kept.points !== wanted) {
  console.error(`${directory} holds a bench of ${kept.points} points: remove it or ask for as many.`);
  process.exit(2);
}

const engine = spawn(process.execPath, [entryOf("engine")], {
  env: {
    ...process.env,
    TIDEMARK_DATA_DIR: directory,
    TIDEMARK_CLICKHOUSE_PORT: "0",
    TIDEMARK_ENGINE_WRITER_PASSWORD: PASSWORD,
    TIDEMARK_LOG_LEVEL: "info",
  },
  stdio: ["ignore", "pipe", "inherit"],
});
const exited = once(engine, "exit");
try {
  await main(await listening());
} finally {
  engine.kill("SIGTERM");
  await exited;
  if (flags.keep === undefined) rmSync(directory, { recursive: true, force: true });
}

async function main(url: string): Promise<void> {
  const writer = `${url.replace("//", `//tidemark:${PASSWORD}@`)}/${DATABASE}`;
  await migrate(writer);
  const client = createStoreClient(writer);
  try {
    // The day ends with a whole hour that is over, so that a second run of the same data asks the same.
    const start = kept?.start ?? Math.floor(Date.now() / 3_600_000) * 3_600_000 - DAY_MS;
    const plan = planOf(wanted, start);
    if (kept === undefined) {
      await fill(client, plan);
      writeFileSync(keptFile, JSON.stringify({ points: wanted, start } satisfies Kept));
    }
    await merged(client);
    const [{ points } = { points: 0 }] = await rows<{ points: number }>(client, pointsSql());
    note(`${points} points of ${plan.processes} processes of ${plan.services} services in the tables`);
    const asked = panelQueries({ from: new Date(start), to: new Date(start + DAY_MS) }, plan.someService);
    const chosen = asked.filter(({ name }) => flags.panels === undefined || name.includes(flags.panels));
    const figures = await measure(url, chosen);
    report(Number(points), plan, figures);
  } finally {
    await client.close();
  }
}

async function fill(client: StoreClient, plan: Plan): Promise<void> {
  const statements = fillStatements(plan);
  const began = performance.now();
  let shown = 0;
  for (const [i, { sql }] of statements.entries()) {
    await client.command({
      query: sql,
      clickhouse_settings: { max_insert_threads: "1", max_partitions_per_insert_block: "1000" },
    });
    const seconds = (performance.now() - began) / 1000;
    if (seconds - shown < 5 && i + 1 < statements.length) continue;
    shown = seconds;
    note(`filled ${Math.round((100 * (i + 1)) / statements.length)} % in ${seconds.toFixed(0)} s`);
  }
}

/** Waits until the merges that the filling caused have come to rest, as they have on a server where a day took a day. */
async function merged(client: StoreClient): Promise<void> {
  const deadline = Date.now() + 600_000;
  for (let calm = 0; calm < 5; ) {
    const [{ n } = { n: 0 }] = await rows<{ n: number }>(client, "SELECT toUInt32(count()) AS n FROM system.merges");
    calm = n === 0 ? calm + 1 : 0;
    if (Date.now() > deadline) throw new Error("merges did not come to rest within 10 minutes");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

interface Figure {
  readonly asked: Asked;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly rows: number;
}

/** Medians with a warm cache: one run of everything is not counted, then rounds of one run each, so that a busy moment hits all alike. */
async function measure(url: string, asked: readonly Asked[]): Promise<Figure[]> {
  const times = asked.map((): number[] => []);
  const counts = asked.map(() => 0);
  for (let round = 0; round <= RUNS; round++) {
    note(round === 0 ? `warming up ${asked.length} queries` : `round ${round} of ${RUNS}`);
    for (const [i, query] of asked.entries()) {
      const began = performance.now();
      for (const sql of query.sql) counts[i] = await ask(url, sql, query.name);
      if (round > 0) times[i]?.push(performance.now() - began);
    }
  }
  return asked.map((query, i) => {
    const sorted = (times[i] ?? []).toSorted((a, b) => a - b);
    return {
      asked: query,
      medianMs: sorted[RUNS >> 1] ?? Number.NaN,
      worstMs: sorted.at(-1) ?? Number.NaN,
      rows: counts[i] ?? 0,
    };
  });
}

/** Runs one query to the last byte of its answer; gives the answer's rows. */
async function ask(url: string, sql: string, name: string): Promise<number> {
  const response = await fetch(`${url}/?database=${DATABASE}&default_format=Native`, { method: "POST", body: sql });
  const bytes = await response.arrayBuffer();
  if (!response.ok) throw new Error(`${name}: ${Buffer.from(bytes).toString("utf8").slice(0, 2000)}\n${sql}`);
  const summary = JSON.parse(response.headers.get("x-clickhouse-summary") ?? "{}") as { result_rows?: string };
  return Number(summary.result_rows ?? 0);
}

function report(points: number, plan: Plan, figures: readonly Figure[]): void {
  const slowest = figures.toSorted((a, b) => b.medianMs - a.medianMs);
  const lines = slowest.map(({ asked, medianMs, worstMs, rows: n }) => [
    asked.name,
    medianMs.toFixed(1),
    worstMs.toFixed(1),
    String(n),
  ]);
  const panels = new Set(figures.map(({ asked }) => asked.panel)).size;
  const over = slowest.filter(({ medianMs }) => medianMs >= BAR_MS).length;
  const head = `${points} points: ${plan.processes} processes of ${plan.services} services export each ${EXPORT_SECONDS} s for 24 h (${POINTS_PER_EXPORT} points an export). ${panels} panels, ${figures.length} queries (${VARIANTS.join(", ")}), median of ${RUNS}, warm cache.`;
  console.log(head);
  console.log(`${over} of ${figures.length} at ${BAR_MS} ms or more`);
  for (const [name = "", median = "", worst = "", n = ""] of lines)
    console.log(`${median.padStart(8)} ms  max ${worst.padStart(8)}  ${n.padStart(6)} rows  ${name}`);
  if (flags.write) {
    if (flags.panels !== undefined) throw new Error("--write needs every panel: leave --panels out");
    const table = lines
      .slice(0, SLOWEST_SHOWN)
      .map(([name = "", median, worst]) => `| ${name.replaceAll("|", "\\|")} | ${median} | ${worst} |`);
    const rest = `The other ${figures.length - table.length} are faster; the one in the middle takes ${slowest[slowest.length >> 1]?.medianMs.toFixed(1)} ms.`;
    writeTable("query", [
      head,
      "",
      "| slowest | median, ms | largest, ms |",
      "|---|---|---|",
      ...table,
      "",
      rest,
      "",
      machine(),
    ]);
  }
  if (flags.json) {
    console.log(
      JSON.stringify({
        points,
        panels,
        queries: figures.length,
        slowest_ms: Number(lines[0]?.[1] ?? Number.NaN),
        slowest: lines.slice(0, SLOWEST_SHOWN).map(([name, median]) => ({ name, ms: Number(median) })),
        median_ms: Number((slowest[slowest.length >> 1]?.medianMs ?? Number.NaN).toFixed(1)),
        over_bar: over,
      }),
    );
  }
}

async function rows<T>(client: StoreClient, query: string): Promise<T[]> {
  return (
    await client.query({
      query,
      format: "JSONEachRow",
      clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
    })
  ).json<T>();
}

async function listening(): Promise<string> {
  for await (const line of createInterface({ input: engine.stdout })) {
    const { url } = JSON.parse(line) as { url?: string };
    if (url === undefined) continue;
    engine.stdout.resume();
    return url;
  }
  throw new Error("the engine did not start");
}
