import { expect, it } from "vitest";
import { inDirectory } from "./support/chaos/campaign.ts";
import { brokenOutage, outage } from "./support/chaos/outage.ts";

const AWAY_SECONDS = 5;
/** Small segments, so that a short outage leaves many of them. */
const SMALL_SEGMENTS = { TIDEMARK_SEGMENT_BYTES: "262144" };

const say = (line: string) => console.log(line);

it("everything acknowledged while ClickHouse is away is stored once when it is back", async () => {
  const result = await inDirectory((directory) =>
    outage({
      directory,
      seconds: AWAY_SECONDS,
      enough: ({ logSegments }) => logSegments > 1,
      settings: SMALL_SEGMENTS,
      say,
    }),
  );
  const { findings, ...figures } = result;
  console.log(JSON.stringify(figures));
  expect(findings).toEqual([]);
  expect(brokenOutage(result)).toEqual([]);
  expect(result.log_segments).toBeGreaterThan(1);
});

it("at its quota the log answers 503 with Retry-After, loses nothing, and takes data again after the drain", async () => {
  const settings = { TIDEMARK_LOG_QUOTA_BYTES: "600000", ...SMALL_SEGMENTS };
  const enough = ({ statuses }: { statuses: ReadonlyMap<number, number> }) => (statuses.get(503) ?? 0) > 0;
  const result = await inDirectory((directory) => outage({ directory, seconds: AWAY_SECONDS, enough, settings, say }));
  const { findings, ...figures } = result;
  console.log(JSON.stringify(figures));
  expect(findings).toEqual([]);
  expect(brokenOutage(result)).toEqual([]);
  expect(result.statuses[503]).toBeGreaterThan(0);
  expect(Object.keys(result.statuses).sort()).toEqual(["200", "503"]);
  expect(result.log_bytes).toBeLessThanOrEqual(600_000);
});
