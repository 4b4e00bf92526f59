import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, type TestContext } from "vitest";
import { type Alerts, buildAlerts } from "../src/index.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { rule } from "./support/rule.ts";
import { type Answer, startClickHouse, startReceiver } from "./support/servers.ts";
import { until } from "./support/wait.ts";

const BINARY = "prometheus-alertmanager";

let directory: string;
let child: ChildProcess | undefined;
let url: string;
let alerts: Alerts | undefined;
let clickhouse: Awaited<ReturnType<typeof startClickHouse>>;
let receiver: Awaited<ReturnType<typeof startReceiver>>;
let answers: Record<string, Answer>;

/** Leaves the test out, by name, where the Debian package is missing; in CI that is a failure. */
function needAlertmanager(context: TestContext): void {
  if (spawnSync(BINARY, ["--version"]).status === 0) return;
  const missing = `needs the Debian package ${BINARY}`;
  if (process.env.CI) throw new Error(missing);
  context.skip(missing);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tidemark-alertmanager-"));
  answers = {};
  clickhouse = await startClickHouse(answers);
  receiver = await startReceiver();
});

afterEach(async () => {
  await alerts?.stop();
  alerts = undefined;
  if (child) {
    const exited = once(child, "exit");
    child.kill();
    await exited;
    child = undefined;
  }
  await clickhouse.close();
  await receiver.close();
  rmSync(directory, { recursive: true, force: true });
});

async function startAlertmanager(): Promise<void> {
  const port = await freePort();
  const config = join(directory, "alertmanager.yml");
  writeFileSync(
    config,
    `route: {receiver: hook, group_wait: 0s, group_interval: 1s}\nreceivers: [{name: hook, webhook_configs: [{url: "${receiver.url}"}]}]\n`,
  );
  child = spawn(
    BINARY,
    [
      `--config.file=${config}`,
      `--storage.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--cluster.listen-address=",
    ],
    { stdio: "ignore" },
  );
  url = `http://127.0.0.1:${port}`;
  await until("Alertmanager", async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok, 30_000);
}

async function shown(): Promise<{ labels: Record<string, string>; endsAt: string; startsAt: string }[]> {
  return (await fetch(`${url}/api/v2/alerts`)).json() as never;
}

it("a real Alertmanager takes what fires, hears of it again before it expires, and of its end", async (context) => {
  needAlertmanager(context);
  await startAlertmanager();
  const clock = new ManualClock(Date.now());
  alerts = buildAlerts({
    clickhouseUrl: `http://tidemark:secret@127.0.0.1:${clickhouse.port}/tidemark`,
    dataDir: directory,
    profile: "production",
    intervalS: 10,
    webhookUrls: [],
    alertmanagerUrls: [new URL(url)],
    linkBase: "http://viewer",
    logger: { level: "silent" },
    rules: [rule("slow_loop", { forSeconds: 0 })],
    clock,
  });
  answers.slow_loop = [{ service: "shop", value: 11 }];
  alerts.start();
  await alerts.evaluate();
  const [first] = await until("the alert", async () => {
    const all = await shown();
    return all.length === 1 ? all : undefined;
  });
  expect(first?.labels).toEqual({
    alertname: "The rule slow_loop",
    kind: "event_loop",
    rule_id: "slow_loop",
    service: "shop",
    severity: "warning",
  });
  expect(first?.startsAt).toBe(new Date(clock.now()).toISOString());
  await until("Alertmanager's own webhook", () => receiver.received.some(({ body }) => body.status === "firing"));

  clock.advance(60_000);
  await until("a later expiry", async () => (await shown())[0]!.endsAt > first!.endsAt);

  answers.slow_loop = [{ service: "shop", value: 1 }];
  // The end must not be later than Alertmanager's own time, or it counts as still firing.
  await alerts.stop();
  alerts = buildAlerts({
    clickhouseUrl: `http://tidemark:secret@127.0.0.1:${clickhouse.port}/tidemark`,
    dataDir: directory,
    profile: "production",
    intervalS: 10,
    webhookUrls: [],
    alertmanagerUrls: [new URL(url)],
    linkBase: "http://viewer",
    logger: { level: "silent" },
    rules: [rule("slow_loop", { forSeconds: 0 })],
  });
  alerts.start();
  await alerts.evaluate();
  await until("the end", () => receiver.received.some(({ body }) => body.status === "resolved"), 20_000);
  expect(await shown()).toEqual([]);
});
