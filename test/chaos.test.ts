import { expect, it } from "vitest";
import { broken, campaign, inDirectory } from "./support/chaos/campaign.ts";

const SEED = 20_261;
const KILLS = 8;

const say = (line: string) => console.log(line);

it(`${KILLS} kills at any moment lose no acknowledged row, store none twice, and leave every rollup equal to its base`, async () => {
  const result = await inDirectory((directory) => campaign({ directory, kills: KILLS, seed: SEED, senders: 4, say }));
  const { findings, ...figures } = result;
  console.log(JSON.stringify(figures));
  expect(findings).toEqual([]);
  expect(broken(result)).toEqual([]);
  expect(result.kills).toBe(KILLS);
  expect(result.requests_acknowledged).toBeGreaterThan(KILLS);
  expect(result.rollups.length).toBeGreaterThanOrEqual(3);
});
