import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Decoder } from "../src/rows/decoder.ts";
import { type Payload, payload, type Shape } from "./payloads.ts";

/**
 * What it costs to decode OTLP requests: ours from bytes to `Native` blocks, beside the OpenTelemetry Collector's Go
 * decoder (pdata) from the same bytes to flat rows without building columns. Both are measured in CPU time of their whole
 * process, garbage collection included, in turns, so that a busy machine meets both; medians of `--rounds` turns.
 *
 * `npm run bench:decode -w @tidemark/ingest -- [--json] [--rounds 9] [--ms 400]`. Without Go only our side is measured,
 * and the ratios are null.
 */
const SHAPES: readonly Shape[] = ["numbers", "histograms", "exponential_histograms", "spans"];
const WARM_UP_MS = 1500;

const option = (name: string, fallback: number) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const rounds = option("rounds", 9);
const turnMs = option("ms", 400);

interface Contender {
  /** Decodes one shape again and again for `ms`; returns units per second of CPU. */
  rate(shape: Shape, ms: number): Promise<number>;
}

class Ours implements Contender {
  private readonly decoder: Decoder;
  private readonly payloads: ReadonlyMap<Shape, Payload>;

  constructor(payloads: ReadonlyMap<Shape, Payload>, at: number) {
    this.payloads = payloads;
    this.decoder = new Decoder({ retentionDays: 15, maxSeries: 1e6, now: () => at });
  }

  async rate(shape: Shape, ms: number): Promise<number> {
    const { signal, body, units } = this.payloads.get(shape)!;
    const before = process.cpuUsage();
    const until = performance.now() + ms;
    let done = 0;
    while (performance.now() < until) {
      const { points } = this.decoder.decode(signal, "protobuf", body);
      if (points !== units) throw new Error(`${shape}: ${points} of ${units} were taken`);
      done += points;
    }
    const { user, system } = process.cpuUsage(before);
    return done / ((user + system) / 1e6);
  }
}

class GoPdata implements Contender {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(binary: string, directory: string) {
    this.child = spawn(binary, [directory], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env.PATH ?? "", GOMAXPROCS: "1" },
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async rate(shape: Shape, ms: number): Promise<number> {
    this.child.stdin!.write(`${shape} ${ms}\n`);
    const line = await this.lines.next();
    if (line.done) throw new Error("the Go decoder ended");
    const [units, seconds] = line.value.split(" ").map(Number);
    return units! / seconds!;
  }

  end(): void {
    this.child.stdin!.end();
  }
}

function buildGo(directory: string): { binary: string; version: string } | undefined {
  const found = spawnSync("go", ["version"], { encoding: "utf8" });
  if (found.status !== 0) return undefined;
  const binary = join(directory, "go-pdata");
  const source = fileURLToPath(new URL("../bench/go-pdata", import.meta.url));
  execFileSync("go", ["build", "-o", binary, "."], { cwd: source, stdio: ["ignore", "inherit", "inherit"] });
  const list = execFileSync("go", ["list", "-m", "go.opentelemetry.io/collector/pdata"], { cwd: source });
  const [, , goVersion] = found.stdout.split(" ");
  return { binary, version: `${goVersion}, ${list.toString().trim().split("/").at(-1)}` };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const directory = mkdtempSync(join(tmpdir(), "tidemark-decode-"));
try {
  const at = Date.now();
  const payloads = new Map(SHAPES.map((shape) => [shape, payload(shape, at)]));
  for (const [shape, { body }] of payloads) writeFileSync(join(directory, `${shape}.bin`), body);
  const go = buildGo(directory);
  if (go === undefined) console.log("Go is not installed: only our side is measured, there are no ratios.");
  const ours = new Ours(payloads, at);
  const theirs = go === undefined ? undefined : new GoPdata(go.binary, directory);
  const measured = new Map(SHAPES.map((shape) => [shape, { ours: [] as number[], theirs: [] as number[] }]));
  for (const shape of SHAPES) {
    await ours.rate(shape, WARM_UP_MS);
    await theirs?.rate(shape, turnMs);
  }
  for (let round = 0; round < rounds; round++) {
    for (const [shape, rates] of measured) {
      rates.ours.push(await ours.rate(shape, turnMs));
      if (theirs !== undefined) rates.theirs.push(await theirs.rate(shape, turnMs));
    }
  }
  theirs?.end();

  const result: Record<string, number | null> = {};
  const thousands = (value: number) => Math.round(value / 1000).toLocaleString("en-US");
  console.log(
    `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}, Node ${process.version}, ${go?.version ?? "no Go"};`,
  );
  console.log(`thousands per second of CPU, medians of ${rounds} turns of ${turnMs} ms\n`);
  console.log("| payload | bytes | Tidemark: to Native blocks | Collector's pdata: to rows | ratio |");
  console.log("|---|---|---|---|---|");
  for (const [shape, { ours, theirs }] of measured) {
    const { body, units } = payloads.get(shape)!;
    const mine = median(ours);
    const ratio = theirs.length === 0 ? null : mine / median(theirs);
    result[`${shape}_per_core_second`] = Math.round(mine);
    result[`${shape}_ratio`] = ratio === null ? null : Math.round(ratio * 100) / 100;
    const name = `${units.toLocaleString("en-US")} ${shape.replace("_", " ")}`;
    const other = theirs.length === 0 ? "" : thousands(median(theirs));
    console.log(
      `| ${name} | ${body.length.toLocaleString("en-US")} | ${thousands(mine)} | ${other} | ${ratio?.toFixed(1) ?? ""} |`,
    );
  }
  if (process.argv.includes("--json")) console.log(JSON.stringify(result));
} finally {
  rmSync(directory, { recursive: true });
}
