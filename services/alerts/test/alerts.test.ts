import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Alerts, type AlertsConfig, buildAlerts, type CurrentAlert, type CurrentRule } from "../src/index.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { rule } from "./support/rule.ts";
import { type Answer, startClickHouse, startReceiver } from "./support/servers.ts";
import { until } from "./support/wait.ts";

const SERVICE_LABELS = {
  alertname: "The rule slow_loop",
  kind: "event_loop",
  rule_id: "slow_loop",
  service: "shop",
  severity: "warning",
};

let answers: Record<string, Answer>;
let clickhouse: Awaited<ReturnType<typeof startClickHouse>>;
let receiver: Awaited<ReturnType<typeof startReceiver>>;
let dataDir: string;
let clock: ManualClock;
let alerts: Alerts | undefined;

beforeEach(async () => {
  answers = { slow_loop: [{ service: "shop", value: 1 }] };
  clickhouse = await startClickHouse(answers);
  receiver = await startReceiver();
  dataDir = mkdtempSync(join(tmpdir(), "tidemark-alerts-"));
  clock = new ManualClock();
});

afterEach(async () => {
  await alerts?.stop();
  alerts = undefined;
  await clickhouse.close().catch(() => {});
  await receiver.close().catch(() => {});
  rmSync(dataDir, { recursive: true, force: true });
});

function build(change: Partial<AlertsConfig> = {}): Alerts {
  alerts = buildAlerts({
    clickhouseUrl: `http://tidemark:secret@127.0.0.1:${clickhouse.port}/tidemark`,
    dataDir,
    profile: "production",
    intervalS: 10,
    webhookUrls: [new URL(receiver.url)],
    alertmanagerUrls: [],
    linkBase: "http://viewer",
    logger: { level: "silent" },
    rules: [rule("slow_loop")],
    clock,
    ...change,
  });
  return alerts;
}

/** Evaluates now and every ten seconds after, `turns` times. */
async function evaluate(turns = 1): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await alerts!.evaluate();
    clock.advance(10_000);
  }
}

async function restart(change: Partial<AlertsConfig> = {}): Promise<void> {
  await alerts!.stop();
  build(change).start();
}

const current = async () =>
  (await alerts!.app.inject("/api/alerts")).json<{ alerts: CurrentAlert[]; rules: CurrentRule[] }>();

describe("an alert", () => {
  it("reaches a webhook in Alertmanager's shape when its pending time is over, and again when it recovers", async () => {
    build().start();
    answers.slow_loop = [{ service: "shop", value: 12.345 }];
    await evaluate(2);
    expect(receiver.received).toEqual([]);
    expect((await current()).alerts).toMatchObject([{ state: "pending", ruleId: "slow_loop", value: 12.345 }]);
    await evaluate();
    const { body } = await until("the webhook", () => receiver.received[0]);
    expect(body).toMatchObject({
      version: "4",
      status: "firing",
      receiver: "tidemark",
      groupLabels: { alertname: "The rule slow_loop", rule_id: "slow_loop" },
      commonLabels: SERVICE_LABELS,
      externalURL: "http://viewer",
      truncatedAlerts: 0,
      alerts: [
        {
          status: "firing",
          labels: SERVICE_LABELS,
          annotations: {
            summary: "shop is at 12.3",
            description: "Cause. Effect. Action.",
            runbook_url: "docs/runbook.md#rule",
          },
          startsAt: "2026-01-31T12:00:20.000Z",
          endsAt: "0001-01-01T00:00:00Z",
          values: { A: 12.345 },
          panelURL: "http://viewer/d/tidemark-node?viewPanel=7",
        },
      ],
    });
    expect((await current()).alerts).toMatchObject([{ state: "firing" }]);

    answers.slow_loop = [{ service: "shop", value: 2 }];
    await evaluate();
    const resolved = await until("the second webhook", () => receiver.received[1]);
    expect(resolved.body).toMatchObject({
      status: "resolved",
      alerts: [
        {
          status: "resolved",
          labels: SERVICE_LABELS,
          startsAt: "2026-01-31T12:00:20.000Z",
          endsAt: "2026-01-31T12:00:30.000Z",
        },
      ],
    });
    expect((await current()).alerts).toEqual([]);
    await until("the events", () => clickhouse.inserted.length === 3);
    expect(clickhouse.inserted).toMatchObject([
      { rule_id: "slow_loop", state: "pending", service: "shop", ts: "2026-01-31 12:00:00.000", value: 12.345 },
      { state: "firing", started_at: "2026-01-31 12:00:20.000", labels: { kind: "event_loop", service: "shop" } },
      { state: "recovered", ts: "2026-01-31 12:00:30.000" },
    ]);
  });

  it("is told of as firing while another label set of its rule still fires", async () => {
    build({ rules: [rule("slow_loop", { forSeconds: 0 })] }).start();
    answers.slow_loop = [
      { service: "shop", value: 11 },
      { service: "blog", value: 11 },
    ];
    await evaluate();
    answers.slow_loop = [
      { service: "shop", value: 1 },
      { service: "blog", value: 11 },
    ];
    await evaluate();
    const { body } = await until("the second webhook", () => receiver.received[1]);
    expect(body.status).toBe("firing");
    expect(body.alerts.map(({ status, labels }) => `${labels.service} ${status}`).sort()).toEqual([
      "blog firing",
      "shop resolved",
    ]);
    expect(body.commonLabels.service).toBeUndefined();
  });

  it("is told of again after four hours of firing", async () => {
    build({ rules: [rule("slow_loop", { forSeconds: 0 })] }).start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate(2);
    await until("the webhook", () => receiver.received.length === 1);
    clock.advance(4 * 3_600_000);
    await evaluate(2);
    await until("the reminder", () => receiver.received.length === 2);
    expect(receiver.received[1]!.body.alerts[0]!.startsAt).toBe(receiver.received[0]!.body.alerts[0]!.startsAt);
  });
});

it("tells nobody anything while all is calm", async () => {
  build().start();
  await evaluate(10);
  expect(receiver.received).toEqual([]);
  expect(clickhouse.inserted).toEqual([]);
  expect((await alerts!.app.inject("/readyz")).statusCode).toBe(200);
});

describe("a restart", () => {
  it("neither repeats nor forgets what fires", async () => {
    build({ rules: [rule("slow_loop", { forSeconds: 0 })] }).start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate();
    await until("the webhook", () => receiver.received.length === 1);
    await restart({ rules: [rule("slow_loop", { forSeconds: 0 })] });
    await evaluate(3);
    answers.slow_loop = [{ service: "shop", value: 1 }];
    await evaluate();
    await until("the end", () => receiver.received.length === 2);
    expect(receiver.received.map(({ body }) => body.status)).toEqual(["firing", "resolved"]);
    expect(receiver.received[1]!.body.alerts[0]!.startsAt).toBe("2026-01-31T12:00:00.000Z");
  });

  it("neither repeats nor forgets what fires when the process is killed", async () => {
    const rules = [rule("slow_loop", { forSeconds: 0 })];
    const killed = build({ rules });
    killed.start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate();
    await until("the webhook", () => receiver.received.length === 1);
    const path = join(dataDir, "alerts", "state.json");
    await until(
      "the state on disk",
      () => Object.values(JSON.parse(readFileSync(path, "utf8")).outbox).flat().length === 0,
    );
    // Whatever the first one saves from here on goes elsewhere: it is as good as dead.
    const left = mkdtempSync(join(tmpdir(), "tidemark-alerts-"));
    cpSync(dataDir, left, { recursive: true });
    await killed.stop();
    build({ rules, dataDir: left }).start();
    await evaluate(2);
    answers.slow_loop = [{ service: "shop", value: 1 }];
    await evaluate();
    await until("the end", () => receiver.received.length === 2);
    expect(receiver.received.map(({ body }) => body.status)).toEqual(["firing", "resolved"]);
    await alerts!.stop();
    alerts = undefined;
    rmSync(left, { recursive: true });
  });

  it("goes on counting a pending time", async () => {
    build().start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate(2);
    await restart();
    await evaluate();
    await until("the webhook", () => receiver.received.length === 1);
  });

  it("delivers what could not be delivered before", async () => {
    receiver.state.status = 503;
    build({ rules: [rule("slow_loop", { forSeconds: 0 })] }).start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate();
    await until("a retry", async () => (await alerts!.app.inject("/metrics")).body.includes('outcome="retried"} 1'));
    receiver.state.status = 200;
    await restart({ rules: [rule("slow_loop", { forSeconds: 0 })] });
    await until("the webhook", () => receiver.received.length === 1);
  });

  it("ends the alerts of a rule that is gone", async () => {
    build({ rules: [rule("slow_loop", { forSeconds: 0 })] }).start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate();
    await until("the webhook", () => receiver.received.length === 1);
    await restart({ rules: [rule("other")] });
    const { body } = await until("the end", () => receiver.received[1]);
    expect(body.status).toBe("resolved");
  });

  it("starts anew from a file that is no state, and keeps that file", async () => {
    build();
    const path = join(dataDir, "alerts", "state.json");
    await alerts!.stop();
    writeFileSync(path, '{"format":1,"rules":{');
    build().start();
    await evaluate();
    expect(readFileSync(`${path}.unreadable`, "utf8")).toBe('{"format":1,"rules":{');
    expect(statSync(path).mode & 0o077).toBe(0);
  });
});

describe("ClickHouse away", () => {
  it("is an error, not a recovery; the evaluator goes on and catches up", async () => {
    const rules = [rule("slow_loop", { forSeconds: 0 })];
    build({ rules }).start();
    answers.slow_loop = [{ service: "shop", value: 11 }];
    await evaluate();
    await until("the webhook", () => receiver.received.length === 1);
    const { port } = clickhouse;
    await clickhouse.close();
    await evaluate(5);
    expect((await current()).alerts.map(({ state }) => state).sort()).toEqual(["error", "firing"]);
    expect((await alerts!.app.inject("/healthz")).statusCode).toBe(200);
    const unready = await alerts!.app.inject("/readyz");
    expect([unready.statusCode, unready.json().reason]).toEqual([503, expect.stringContaining("ECONNREFUSED")]);
    expect(receiver.received).toHaveLength(1);

    clickhouse = await startClickHouse(answers, port);
    await evaluate();
    expect((await current()).alerts.map(({ state }) => state)).toEqual(["firing"]);
    clock.advance(60_000);
    await until("the events of the time away", () => clickhouse.inserted.some(({ state }) => state === "recovered"));
    expect(receiver.received).toHaveLength(1);
  });

  it("calls someone when it lasts longer than a minute", async () => {
    answers.slow_loop = { error: "Unknown table resource_samples" };
    build().start();
    await evaluate(7);
    const { body } = await until("the webhook", () => receiver.received[0]);
    expect(body.commonLabels).toMatchObject({
      alertname: "DatasourceError",
      rule_id: "slow_loop",
      rulename: "The rule slow_loop",
    });
    expect(body.commonAnnotations.summary).toContain("Unknown table resource_samples");
    answers.slow_loop = [{ service: "shop", value: 1 }];
    await evaluate();
    expect((await until("the end", () => receiver.received[1])).body.status).toBe("resolved");
  });

  it("does not keep the evaluator from starting", async () => {
    await clickhouse.close();
    build().start();
    await evaluate(2);
    expect((await current()).rules).toMatchObject([{ id: "slow_loop", health: "error" }]);
  });
});

it("does not let a query that hangs delay the other rules", async () => {
  answers.slow_loop = "hang";
  answers.quick = [{ service: "shop", value: 11 }];
  build({ rules: [rule("slow_loop"), rule("quick", { forSeconds: 0 })] }).start();
  const asked = (name: string) => clickhouse.queries.filter((sql) => sql.includes(`FROM ${name}`)).length;
  await until("three turns of the quick rule", () => {
    clock.advance(10_000);
    return asked("quick") >= 3;
  });
  await until("the webhook", () => receiver.received.length === 1);
  expect(asked("slow_loop")).toBe(1);
});

it("expands the window of a rule up to the moment of the evaluation", async () => {
  build().start();
  await evaluate();
  const atS = Date.UTC(2026, 0, 31, 12) / 1000;
  expect(clickhouse.queries[0]).toContain(`ts >= toDateTime(${atS - 60}) AND ts <= toDateTime(${atS})`);
});

it("says what it does on /metrics", async () => {
  build({ rules: [rule("slow_loop", { forSeconds: 0 })] }).start();
  answers.slow_loop = [{ service: "shop", value: 11 }];
  await alerts!.evaluate();
  const body = await until("the webhook", async () => {
    const page = (await alerts!.app.inject("/metrics")).body;
    return page.includes('outcome="delivered"') ? page : undefined;
  });
  expect(body).toContain('tidemark_alerts_evaluations_total{rule="slow_loop",result="ok"} 1');
  expect(body).toContain('tidemark_alerts_instances{rule="slow_loop",phase="firing"} 1');
  expect(body).toMatch(
    /tidemark_alerts_notifications_total\{target="webhook-1 \(127\.0\.0\.1:\d+\)",outcome="delivered"\} 1/,
  );
});

it("shows alerts only to those who know the token, where one is set", async () => {
  build({ token: "secret" }).start();
  const status = async (authorization?: string) =>
    (await alerts!.app.inject({ url: "/api/alerts", headers: authorization ? { authorization } : {} })).statusCode;
  expect(await status()).toBe(401);
  expect(await status("Bearer guess")).toBe(401);
  expect(await status("Bearer secret")).toBe(200);
  expect(await status(`Basic ${Buffer.from("me:secret").toString("base64")}`)).toBe(200);
  expect((await alerts!.app.inject("/healthz")).statusCode).toBe(200);
});
