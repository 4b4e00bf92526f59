/** `npm run chaos`: kill -9 under load, or ClickHouse away; what was acknowledged must be stored, once. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { broken, type CampaignResult, campaign, remove } from "../support/chaos/campaign.ts";
import { brokenOutage, isFlat, type OutageResult, outage } from "../support/chaos/outage.ts";
import { positive } from "../support/flags.ts";

const HELP = `npm run chaos -- [options]

Kills a real ingest and a real engine with SIGKILL at random moments while senders count what is acknowledged, then
compares every acknowledged row with what is stored, and every rollup with its base. Exit code 1 when a row is lost or
there twice, or when a rollup differs.

With --away the engine is killed once and stays away under load; then the same is compared, and the ingest's memory must not
have grown with what waits in its log.

  --kills N      how many kills (default 200)
  --seconds S    ends after this time even with fewer kills
  --senders N    senders at once (default 4); those with an even number send the same bytes again until answered
  --seed N       of the random moments (default: the time)
  --away S       ClickHouse is away for S seconds under load, instead of kills
  --keep         keeps the data directory
  --json         one last line of JSON: kills, lost, duplicated, rollup_mismatches, unanswered_stored, ...
`;

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    seconds: { type: "string" },
    away: { type: "string" },
    senders: { type: "string", default: "4" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const say = (line: string) => process.stderr.write(`${line}\n`);
const directory = mkdtempSync(join(tmpdir(), "tidemark-chaos-"));
const seed = positive(values, "seed");
say(`seed ${seed}, data in ${directory}`);
const [result, failures] = values.away === undefined ? await kill() : await away();
const { findings, ...figures } = result;
for (const [key, value] of Object.entries(figures)) {
  const shown = typeof value === "object" ? JSON.stringify(value) : value;
  process.stdout.write(`${key.padEnd(24)} ${shown}\n`);
}
for (const finding of findings) process.stdout.write(`  ${finding}\n`);
if (failures.length > 0) say(`BROKEN: ${failures.join(", ")}. The data stays in ${directory}; the seed was ${seed}.`);
if (failures.length === 0 && !values.keep) await remove(directory);
if (values.json) process.stdout.write(`${JSON.stringify({ ...figures, seed, ok: failures.length === 0 })}\n`);
process.exit(failures.length > 0 ? 1 : 0);

async function kill(): Promise<[CampaignResult, string[]]> {
  const seconds = values.seconds === undefined ? undefined : positive(values, "seconds");
  const result = await campaign({
    directory,
    kills: positive(values, "kills"),
    seconds,
    seed,
    senders: positive(values, "senders"),
    say,
  });
  return [result, broken(result)];
}

async function away(): Promise<[OutageResult & { memory_flat: boolean }, string[]]> {
  const result = await outage({ directory, seconds: positive(values, "away"), say });
  const memoryFlat = isFlat(result);
  return [{ ...result, memory_flat: memoryFlat }, [...brokenOutage(result), ...(memoryFlat ? [] : ["memory grows"])]];
}
