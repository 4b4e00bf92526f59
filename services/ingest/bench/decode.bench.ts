import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine, writeTable } from "../../../test/support/benchmarks-page.ts";
import { buildGo, GoPdata, Ours } from "./contenders.ts";
import { payload, SHAPES } from "./payloads.ts";

const USAGE = `Usage: npm run bench:decode -- [options]

What it costs to decode OTLP requests: ours from bytes to Native blocks, beside the OpenTelemetry Collector's Go decoder
(pdata) from the same bytes to flat rows without building columns. Both are measured in CPU time of their whole process,
garbage collection included, in turns, so that a busy machine meets both; all kinds of requests go through one process.
Without Go only our side is measured, and the ratios are null.

  --rounds N   turns of each, medians of which count (default 9)
  --ms N       length of a turn in milliseconds (default 400)
  --write      put the table into docs/benchmarks.md
  --json       one last line of JSON: <kind>_per_core_second and <kind>_ratio of each kind
  --help       this text`;

const WARM_UP_MS = 1500;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    ms: { type: "string", default: "400" },
    write: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (flags.help) {
  console.log(USAGE);
  process.exit(0);
}
const rounds = Number(flags.rounds);
const turnMs = Number(flags.ms);
if (!Number.isInteger(rounds) || rounds < 1 || !(turnMs > 0)) {
  console.error("--rounds and --ms are numbers above 0");
  process.exit(2);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");
const thousands = (value: number) => whole(value / 1000);

const directory = mkdtempSync(join(tmpdir(), "tidemark-decode-"));
try {
  const at = Date.now();
  const payloads = new Map(SHAPES.map((shape) => [shape, payload(shape, at)]));
  for (const [shape, { body }] of payloads) writeFileSync(join(directory, `${shape}.bin`), body);
  const go = buildGo(directory);
  if (go === undefined) console.error("Go is not installed: only our side is measured, there are no ratios.");
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
  const lines = [
    "| payload | bytes | Tidemark: to Native blocks | Collector's pdata: to rows | ratio |",
    "|---|---|---|---|---|",
  ];
  for (const [shape, { ours, theirs }] of measured) {
    const { body, units } = payloads.get(shape)!;
    const mine = median(ours);
    const ratio = theirs.length === 0 ? null : mine / median(theirs);
    result[`${shape}_per_core_second`] = Math.round(mine);
    result[`${shape}_ratio`] = ratio === null ? null : Math.round(ratio * 100) / 100;
    const other = theirs.length === 0 ? "" : thousands(median(theirs));
    lines.push(
      `| ${whole(units)} ${shape.replace("_", " ")} | ${whole(body.length)} | ${thousands(mine)} | ${other} | ${ratio?.toFixed(1) ?? ""} |`,
    );
  }
  lines.push(
    "",
    `Thousands per second of CPU, medians of ${rounds} turns of ${turnMs} ms. ${machine()}, ${go?.version ?? "no Go"}.`,
  );
  console.log(lines.join("\n"));
  if (flags.write) writeTable("decode", lines);
  if (flags.json) console.log(JSON.stringify(result));
} finally {
  rmSync(directory, { recursive: true });
}
