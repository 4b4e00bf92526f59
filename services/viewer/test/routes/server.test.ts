import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildViewer } from "../../src/app.ts";
import type { QueryReply } from "../../src/routes/view.ts";
import type { ResolvedVariable } from "../../src/variables.ts";
import { SEED_FROM, SEED_ROWS, SEED_TO, type SeededEngine, startSeededEngine } from "../support/engine.ts";
import { fixture } from "../support/fixtures.ts";

const DASHBOARDS = [fixture("viewer-fixture"), fixture("viewer-broken")];
const NOWHERE = "http://127.0.0.1:9";
const RANGE = { from: SEED_FROM, to: SEED_TO, intervalMs: 5000 };

describe("the server", () => {
  let engine: SeededEngine;
  let app: FastifyInstance;

  beforeAll(async () => {
    engine = await startSeededEngine();
    app = await buildViewer({
      clickhouseUrl: engine.url,
      alertsUrl: NOWHERE,
      dashboards: DASHBOARDS,
      logLevel: "silent",
    });
  });

  afterAll(async () => {
    await app.close();
    await engine.stop();
  });

  const post = async (path: string, body: object) => {
    const response = await app.inject({
      method: "POST",
      url: `/api/view/${path}`,
      payload: body,
      headers: { host: "127.0.0.1" },
    });
    return { status: response.statusCode, body: response.json() };
  };
  const panelId = (title: string) =>
    DASHBOARDS.flatMap(({ panels = [] }) => panels).find((panel) => panel.title === title)!.id;
  const query = (title: string, extra: object = {}) =>
    post("query", { dashboardUid: "viewer-fixture", panelId: panelId(title), refId: "A", ...RANGE, ...extra });

  it("lists dashboards and gives each unmodified", async () => {
    const list = await app.inject("/api/dashboards");
    expect(list.json()).toMatchObject([
      { uid: "viewer-fixture", title: "Fixture: every panel type", tags: ["tidemark"] },
      { uid: "viewer-broken" },
    ]);
    const one = await app.inject("/api/dashboards/viewer-fixture");
    expect(one.json()).toEqual(DASHBOARDS[0]);
    const none = await app.inject("/api/dashboards/nope");
    expect(none.statusCode).toBe(404);
    expect(none.json()).toMatchObject({
      code: "VIEWER_DASHBOARD_UNKNOWN",
      hint: expect.stringContaining("viewer-fixture"),
    });
  });

  it("runs a panel's own SQL and makes long rows wide", async () => {
    const { status, body } = await query("How busy over time?");
    expect(status).toBe(200);
    const { frames, rows } = body as QueryReply;
    expect(rows).toBe(2 * SEED_ROWS);
    expect(frames[0]!.fields.map(({ name, type, labels }) => [name, type, labels])).toEqual([
      ["time", "time", undefined],
      ["value", "number", { service: "books-django" }],
      ["value", "number", { service: "books-node" }],
    ]);
    expect(frames[0]!.fields[0]!.values).toHaveLength(SEED_ROWS);
    expect(frames[0]!.fields[0]!.values[0]).toBe(SEED_FROM);
    expect(frames[0]!.fields[1]!.values[100]).toBeNull();
  });

  it("narrows by variables, and All is no condition", async () => {
    const services = async (vars?: object) => {
      const { body } = await query("Which service is slow?", vars ? { vars } : {});
      return (body as QueryReply).frames[0]!.fields[0]!.values;
    };
    expect(await services()).toEqual(["books-django", "books-node"]);
    expect(await services({ service: ["$__all"] })).toEqual(["books-django", "books-node"]);
    expect(await services({ service: ["books-node"] })).toEqual(["books-node"]);
    expect(await services({ service: ["') OR 1=1 --"] })).toEqual([]);
  });

  it("lists a variable's options and what is chosen", async () => {
    const { body } = await post("variables", {
      dashboardUid: "viewer-fixture",
      ...RANGE,
      vars: { service: ["books-node"] },
    });
    const [service] = body as ResolvedVariable[];
    expect(service).toMatchObject({
      name: "service",
      label: "Service",
      multi: true,
      includeAll: true,
      current: ["books-node"],
    });
    expect(service!.options.map(({ value }) => value)).toEqual(["books-django", "books-node"]);
  });

  it("reads annotations as regions with a title", async () => {
    const { body } = await post("annotations", { dashboardUid: "viewer-fixture", ...RANGE });
    expect(body).toEqual({
      annotations: [
        {
          source: "Phases",
          color: "#8E8E8E",
          time: SEED_FROM + 60_000,
          timeEnd: SEED_FROM + 240_000,
          title: "slow database",
          text: "phase",
          tags: ["load", "phase"],
        },
      ],
      errors: [],
    });
  });

  it("reads firing alerts from the table when the evaluator is away", async () => {
    const reply = (await app.inject("/api/alerts")).json();
    expect(reply).toMatchObject({
      source: "table",
      alerts: [{ title: "Threads are all busy", state: "firing", severity: "critical", service: "books-django" }],
    });
  });

  it("cuts a result at the row cap and says so", async () => {
    const small = await buildViewer({
      clickhouseUrl: engine.url,
      dashboards: DASHBOARDS,
      logLevel: "silent",
      maxRows: 10,
    });
    const payload = { dashboardUid: "viewer-fixture", panelId: panelId("How busy over time?"), refId: "A", ...RANGE };
    const reply = await small.inject({ method: "POST", url: "/api/view/query", payload });
    expect(reply.json()).toMatchObject({ rows: 10, truncated: true });
    await small.close();
  });

  it.each([
    ["a missing table", { panelId: 1 }, 502, "VIEWER_QUERY_FAILED", /no_such_table/],
    ["rows that do not ascend", { panelId: 3 }, 422, "VIEWER_RESULT_SHAPE", /sorted ascending/],
    ["an unknown panel", { panelId: 99 }, 404, "VIEWER_PANEL_UNKNOWN", /99/],
    ["an unknown query", { panelId: 1, refId: "Z" }, 404, "VIEWER_QUERY_UNKNOWN", /"Z"/],
    ["a range that ends before it begins", { panelId: 1, to: 5 }, 400, "VIEWER_BAD_RANGE", /ends/],
    ["a panel id that is text", { panelId: "x" }, 400, "VIEWER_BAD_REQUEST", /panelId/],
    ["SQL from the browser", { panelId: 1, rawSql: "SELECT 1" }, 400, "VIEWER_BAD_REQUEST", /additional/i],
  ])("answers %s with a code, a message and a hint", async (_what, extra, status, code, message) => {
    const reply = await post("query", { dashboardUid: "viewer-broken", refId: "A", ...RANGE, ...extra });
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/\w/),
    });
  });

  it("refuses foreign names in the Host header and allows the page nothing but its own files", async () => {
    const foreign = await app.inject({ url: "/api/dashboards", headers: { host: "evil.example:4300" } });
    expect(foreign.statusCode).toBe(421);
    expect(foreign.json()).toMatchObject({ code: "VIEWER_HOST_REFUSED" });
    const own = await app.inject({ url: "/", headers: { host: "localhost:4300" } });
    const policy = String(own.headers["content-security-policy"]);
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain("unsafe");
  });

  it("asks for the token where one is set, but not of health checks", async () => {
    const closed = await buildViewer({
      clickhouseUrl: engine.url,
      dashboards: DASHBOARDS,
      logLevel: "silent",
      token: "secret",
    });
    const status = async (authorization?: string, url = "/api/dashboards") =>
      (await closed.inject({ url, headers: authorization ? { authorization } : {} })).statusCode;
    expect(await status()).toBe(401);
    expect(await status("Bearer wrong")).toBe(401);
    expect(await status("Bearer secret")).toBe(200);
    expect(await status(`Basic ${Buffer.from("anyone:secret").toString("base64")}`)).toBe(200);
    expect(await status(undefined, "/healthz")).toBe(200);
    await closed.close();
  });

  it("tells health, readiness and metrics", async () => {
    expect((await app.inject("/healthz")).json()).toEqual({ status: "ok" });
    expect((await app.inject("/readyz")).json()).toEqual({ status: "ready" });
    const metrics = (await app.inject("/metrics")).body;
    expect(metrics).toContain('tidemark_viewer_request_duration_seconds_count{route="/api/view/query",status="200"}');
    expect(metrics).toMatch(/tidemark_viewer_errors_total\{code="VIEWER_QUERY_FAILED"\} \d/);
  });

  it("says that ClickHouse is away, where, and what to do", async () => {
    const alone = await buildViewer({
      clickhouseUrl: "http://127.0.0.1:9/tidemark",
      alertsUrl: NOWHERE,
      dashboards: DASHBOARDS,
      logLevel: "silent",
    });
    const payload = { dashboardUid: "viewer-fixture", panelId: panelId("How busy over time?"), refId: "A", ...RANGE };
    const reply = await alone.inject({ method: "POST", url: "/api/view/query", payload });
    expect(reply.statusCode).toBe(503);
    expect(reply.json()).toMatchObject({
      code: "VIEWER_DATABASE_UNREACHABLE",
      message: expect.stringContaining("127.0.0.1:9"),
      hint: expect.stringContaining("TIDEMARK_CLICKHOUSE_URL"),
    });
    expect((await alone.inject("/readyz")).statusCode).toBe(503);
    expect((await alone.inject("/api/status")).json()).toMatchObject({ database: "unreachable" });
    expect((await alone.inject("/healthz")).statusCode).toBe(200);
    expect((await alone.inject("/api/alerts")).json()).toMatchObject({ alerts: [], source: "none" });
    await alone.close();
  });
});
