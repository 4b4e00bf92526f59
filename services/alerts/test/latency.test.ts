import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rulesFor } from "@tidemark/dashboards";
import { createStoreClient } from "@tidemark/store";
import { expect, it } from "vitest";
import { buildAlerts } from "../src/index.ts";
import { startEngine } from "./support/engine.ts";
import { row, type Sample } from "./support/samples.ts";
import { startReceiver } from "./support/servers.ts";
import { until } from "./support/wait.ts";

const EXPORT_MS = 1000;
const INTERVAL_S = 2;
const CALM_MS = 10_000;
const LIMIT_S = 15;
const threads = { kind: "thread_pool", name: "gunicorn-gthread", capacity: 4 };

it("an alert reaches a webhook within 15 s of its pending time, recovers, and calm fires nothing", async () => {
  const engine = await startEngine();
  const directory = mkdtempSync(join(tmpdir(), "tidemark-alerts-latency-"));
  const receiver = await startReceiver();
  const client = createStoreClient(engine.url);
  let sample: Omit<Sample, "service"> = { ...threads, busy: 1, waiting_max: 0, waits: [[20, 0.001]] };
  const exported = setInterval(() => {
    void client.insert({
      table: "resource_samples",
      values: [row({ service: "shop", ...sample }, Date.now())],
      format: "JSONEachRow",
    });
  }, EXPORT_MS);
  const alerts = buildAlerts({
    clickhouseUrl: engine.url,
    dataDir: directory,
    profile: "demo",
    intervalS: INTERVAL_S,
    webhookUrls: [new URL(receiver.url)],
    alertmanagerUrls: [],
    linkBase: "",
    logger: { level: "silent" },
  });
  const of = (status: string, rule: string) =>
    receiver.received.find(({ body }) => body.groupLabels.rule_id === rule && body.status === status);
  try {
    // The very first evaluation meets an empty table, for which silence is the fault; so it begins when there is a row.
    await until("the first row", async () => {
      const result = await client.query({ query: "SELECT count() AS n FROM resource_samples", format: "JSONEachRow" });
      return Number((await result.json<{ n: string }>())[0]?.n) > 1;
    });
    alerts.start();
    const calmUntil = Date.now() + CALM_MS;
    await until("the calm to pass", () => Date.now() > calmUntil, 2 * CALM_MS);
    expect(receiver.received).toEqual([]);

    sample = { ...threads, busy: 4, waiting_max: 36, waits: [[20, 4.7]] };
    const begunMs = Date.now();
    for (const id of ["tidemark-busy-threads", "tidemark-hidden-queue"]) {
      const { atMs } = await until(`${id} to fire`, () => of("firing", id), 60_000);
      const result = await client.query({
        query: `SELECT toUnixTimestamp64Milli(min(ts)) / 1000 AS pending FROM alert_events WHERE rule_id = '${id}' AND state = 'pending'`,
        format: "JSONEachRow",
      });
      const pendingS = (await result.json<{ pending: number }>())[0]!.pending;
      const { forSeconds } = rulesFor("demo").find((rule) => rule.id === id)!;
      const lateS = atMs / 1000 - pendingS - forSeconds;
      console.log(
        `${id}: ${lateS.toFixed(1)} s after its pending time, ${((atMs - begunMs) / 1000).toFixed(1)} s after the cause`,
      );
      expect(lateS).toBeLessThan(LIMIT_S);
    }

    sample = { ...threads, busy: 1, waiting_max: 0, waits: [[20, 0.001]] };
    for (const id of ["tidemark-busy-threads", "tidemark-hidden-queue"]) {
      await until(`${id} to recover`, () => of("resolved", id), 60_000);
    }
    expect(new Set(receiver.received.map(({ body }) => body.groupLabels.rule_id))).toEqual(
      new Set(["tidemark-busy-threads", "tidemark-hidden-queue"]),
    );
  } finally {
    clearInterval(exported);
    await alerts.stop();
    await client.close();
    await receiver.close();
    await engine.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});
