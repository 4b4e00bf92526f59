import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const SOAK = fileURLToPath(new URL("../soak/node-agent.mjs", import.meta.url));

it("stays capped over 100,000 routes while the endpoint is away for half of the time", async () => {
  const flags = ["--requests", "200000", "--routes", "100000", "--seconds", "8", "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, [SOAK, ...flags]);
  const result = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  expect(result.failures).toEqual([]);
  expect(result).toMatchObject({ requests_on_channels: 200_000, routes_told: 501, thrown: 0, exit_code: 0 });
  expect(result.endpoint_down_share).toBeGreaterThan(0.4);
  expect(result.requests_over_http).toBeGreaterThan(0);
}, 120_000);
