import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { remove } from "./support/chaos/campaign.ts";
import { fuzz } from "./support/fuzz/campaign.ts";

const BODIES = 4_000;
const SEED = 20_261;

it(`${BODIES} mutated OTLP bodies are answered without a crash, a 5xx or a hang, and harm no good one`, async () => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-fuzz-"));
  try {
    const result = await fuzz({
      directory,
      bodies: BODIES,
      seed: SEED,
      connections: 8,
      failures: `${directory}-failures`,
      say: (line) => console.log(line),
    });
    console.log(JSON.stringify(result));
    expect(result).toMatchObject({
      bodies: BODIES,
      crashes: 0,
      server_errors: 0,
      hangs: 0,
      good_refused: 0,
      good_not_stored: 0,
      set_aside: 0,
    });
    // Mutants must reach beyond the first look at them: some are legal still.
    expect(result.statuses[200]).toBeGreaterThan(BODIES / 10);
    expect(result.statuses[400]).toBeGreaterThan(BODIES / 10);
  } finally {
    await remove(directory);
  }
});
