/** `npm run fuzz`: mutated OTLP bodies against a real ingest; each must be answered, and none may harm the others. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { remove } from "../support/chaos/campaign.ts";
import { positive } from "../support/flags.ts";
import { fuzz, isFlat, wrong } from "../support/fuzz/campaign.ts";

const HELP = `npm run fuzz -- [options]

Sends mutated OTLP requests (three signals, protobuf and JSON, plain and compressed) to a real ingest in front of a real
engine. Every answer must be 2xx or 4xx within 20 s; after every 1,000 bodies a good one of each kind must be accepted; in
the end every good one must be stored once, and memory must be flat: in the last third of the run at most 15 % above the
middle third (medians), the first third being the warm-up. Exit code 1 otherwise.

  --bodies N         how many bodies (default 100000)
  --connections N    requests at once (default 16)
  --seed N           of the mutations (default: the time)
  --failures DIR     where failing bodies are written (default: a folder of its own below the system's temporary one)
  --json             one last line of JSON: bodies, crashes, server_errors, hangs, ...
`;

const { values } = parseArgs({
  options: {
    bodies: { type: "string", default: "100000" },
    connections: { type: "string", default: "16" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    failures: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const say = (line: string) => process.stderr.write(`${line}\n`);
const directory = mkdtempSync(join(tmpdir(), "tidemark-fuzz-"));
const failures = values.failures ?? `${directory}-failures`;
const seed = positive(values, "seed");
say(`seed ${seed}`);
const result = await fuzz({
  directory,
  bodies: positive(values, "bodies"),
  seed,
  connections: positive(values, "connections"),
  failures,
  say,
});
await remove(directory);
for (const [key, value] of Object.entries(result)) {
  process.stdout.write(`${key.padEnd(24)} ${typeof value === "object" ? JSON.stringify(value) : value}\n`);
}
const sentences = wrong(result);
if (sentences.length > 0)
  say(`WRONG: ${sentences.join(", ")}. The seed was ${seed}; failing bodies are in ${failures}.`);
if (values.json) {
  process.stdout.write(
    `${JSON.stringify({ ...result, memory_flat: isFlat(result), seed, ok: sentences.length === 0 })}\n`,
  );
}
process.exit(sentences.length > 0 ? 1 : 0);
