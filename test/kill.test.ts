import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { childOf, startTidemark, type Tidemark, until } from "./support/tidemark.ts";

const KILLS = 6;
const POINTS_PER_REQUEST = 20;
const SENDERS = 4;

let tidemark: Tidemark;
beforeAll(async () => {
  tidemark = await startTidemark(["--no-viewer", "--no-alerts"]);
});
afterAll(() => tidemark?.stop());

it("loses no acknowledged point and stores none twice when ingest and engine are killed", async () => {
  const acknowledged: number[] = [];
  let next = 0;
  let sending = true;
  const sender = async (): Promise<void> => {
    while (sending) {
      const values = Array.from({ length: POINTS_PER_REQUEST }, () => next++);
      // A request without an answer is not sent again: whether it counts is open, that an answered one counts once is not.
      const response = await post(values).catch(() => undefined);
      if (response?.ok) acknowledged.push(...values);
      await delay(response?.ok ? 5 : 100);
    }
  };
  const senders = Array.from({ length: SENDERS }, sender);
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = acknowledged.length;
    await until(
      "points to be acknowledged again",
      () => acknowledged.length > before + 10 * POINTS_PER_REQUEST,
      60_000,
    );
    await delay(100 + Math.random() * 1_500);
    const victim = kill % 2 === 0 ? "ingest" : "engine";
    const pid = childOf(tidemark.process, victim);
    expect(pid, victim).toBeGreaterThan(0);
    process.kill(pid, "SIGKILL");
    await until(
      `a new ${victim}`,
      () => childOf(tidemark.process, victim) !== pid && childOf(tidemark.process, victim) > 0,
      60_000,
    );
  }
  sending = false;
  await Promise.all(senders);

  const stored = await until(
    "every acknowledged point to be stored",
    async () => {
      const rows = await tidemark.query<{ v: number; n: number }>(
        "SELECT toUInt32(value) AS v, count() AS n FROM samples WHERE metric = 'kill.test' GROUP BY v ORDER BY v",
      );
      const found = new Set(rows.map(({ v }) => v));
      return acknowledged.every((value) => found.has(value)) ? rows : undefined;
    },
    90_000,
    1_000,
  );
  console.log(`${KILLS} kills, ${acknowledged.length} points acknowledged of ${next} sent, ${stored.length} stored`);
  expect(stored.filter(({ n }) => n !== 1)).toEqual([]);
  const rollups = await tidemark.query<{ n: number }>("SELECT sum(n) AS n FROM samples_1m WHERE metric = 'kill.test'");
  expect(rollups[0]?.n).toBe(stored.length);
});

function post(values: readonly number[]): Promise<Response> {
  const timeUnixNano = `${Date.now()}000000`;
  const dataPoints = values.map((asDouble) => ({ timeUnixNano, asDouble }));
  return fetch(`${tidemark.otlp}/v1/metrics`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      resourceMetrics: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: "kill-test" } }] },
          scopeMetrics: [{ metrics: [{ name: "kill.test", unit: "1", gauge: { dataPoints } }] }],
        },
      ],
    }),
    signal: AbortSignal.timeout(5_000),
  });
}
