import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { addressOf, PRELOAD, runWithAgent, TEST_NODES, until } from "../agent-process.ts";
import { merge, type Span, startSink } from "../otlp-sink.ts";

const SERVER = 2;
const CLIENT = 3;
const CALLER = "b7ad6b7169203331";
const TRACE = "5".repeat(32);

/** Applications, and the instrumentation whose spans they must have besides those of the request and its call. */
const FRAMEWORKS = [
  ["Koa, imported", "koa.mjs", "@opentelemetry/instrumentation-koa"],
  ["NestJS, required", "nest.cjs", "@opentelemetry/instrumentation-nestjs-core"],
  ["Fastify, required", "fastify.cjs", "@fastify/otel"],
  ["Fastify, imported", "fastify.mjs", "@fastify/otel"],
] as const;

describe.each(TEST_NODES)("frameworks on Node %s", (_version, node) => {
  it.each(FRAMEWORKS)("traces %s, with its routes and the first call it makes", async (_name, script, scope) => {
    const sink = await startSink();
    const app = runWithAgent(`../drivers/${script}`, sink.url, { TIDEMARK_TRACE_RATIO: "0" }, PRELOAD, node);
    try {
      const url = await addressOf(app);
      const headers = { traceparent: `00-${TRACE}-${CALLER}-01` };
      const response = await fetch(`${url}/shop/items/7?key=secret`, { headers });
      const answer = (await response.json()) as { item: string; called: string };
      const root = await until("the request's span", () =>
        sink.spans.find(({ kind, attributes }) => kind === SERVER && attributes["url.path"] === "/shop/items/7"),
      );
      expect(root).toMatchObject({ name: "GET /shop/items/:item", traceId: TRACE, parentSpanId: CALLER });
      const inTrace = sink.spans.filter(({ traceId }) => traceId === TRACE);
      const call = inTrace.find(({ kind }) => kind === CLIENT)!;
      expect(answer).toMatchObject({ item: "7", called: `00-${TRACE}-${call.spanId}-01` });
      const own = inTrace.filter((span) => span.scope === scope);
      expect(own.length).toBeGreaterThan(0);
      expect(own.map(({ kind }) => kind)).not.toContain(SERVER);
      for (const span of inTrace) expect(ancestors(span, inTrace)).toContain(root.spanId);
      await until("its duration is told by route", () => {
        const told = sink.select("http.server.request.duration", { "http.route": "/shop/items/:item" });
        return merge(told).count === 1;
      });
      expect(JSON.stringify([sink.spans, sink.points]).includes("secret")).toBe(false);
      expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
      expect(app.output().stderr).toBe("");
    } finally {
      await app.stop();
      await sink.close();
    }
  });

  it("loads the instrumentation of what the application loads, and of nothing else", async () => {
    const code = `
      import { createRequire } from "node:module";
      const require = createRequire(${JSON.stringify(fileURLToPath(new URL("../drivers/", import.meta.url)))});
      const pattern = /node_modules.(@opentelemetry.instrumentation-[a-z0-9-]+|@fastify.otel)/;
      const loaded = () => [...new Set(Object.keys(require.cache).map((file) => pattern.exec(file)?.[1]))]
        .filter(Boolean).map((name) => name.replaceAll("\\\\", "/")).sort();
      const before = loaded();
      require("mysql2");
      const mysql = loaded();
      await import(require.resolve("ioredis"));
      console.log(JSON.stringify([before, mysql, loaded()]));`;
    const sink = await startSink();
    const app = runWithAgent({ code }, sink.url, {}, PRELOAD, node);
    expect(await app.ended).toMatchObject({ code: 0 });
    await sink.close();
    const name = (end: string) => `@opentelemetry/instrumentation-${end}`;
    expect(JSON.parse(app.output().stdout)).toEqual([
      [name("http")],
      [name("http"), name("mysql2")],
      [name("http"), name("ioredis"), name("mysql2")],
    ]);
  });

  it.each([
    ["takes the instrumentation that the application has", true, ["for the client"]],
    ["does without where it has none", false, []],
  ])("of Prisma %s", async (_title, has, expected) => {
    const directory = mkdtempSync(join(tmpdir(), "tidemark-prisma-"));
    const write = (name: string, code: string) => {
      mkdirSync(join(directory, "node_modules", name), { recursive: true });
      writeFileSync(join(directory, "node_modules", name, "index.js"), code);
    };
    // Stands in for two packages of a hundred megabytes: who is asked for what, in which order, is the agent's part.
    write("@prisma/client", "exports.made = globalThis.made ?? [];");
    if (has) {
      const made = "globalThis.made = ['for the client'];";
      write(
        "@prisma/instrumentation",
        `exports.PrismaInstrumentation = class { constructor() { ${made} } disable() {} };`,
      );
    }
    const code = `
      import { createRequire } from "node:module";
      console.log(JSON.stringify(createRequire(${JSON.stringify(join(directory, "app.js"))})("@prisma/client").made));`;
    const sink = await startSink();
    const app = runWithAgent({ code }, sink.url, {}, PRELOAD, node);
    expect(await app.ended).toMatchObject({ code: 0 });
    expect(JSON.parse(app.output().stdout)).toEqual(expected);
    expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
    await sink.close();
    rmSync(directory, { recursive: true });
  });
});

function ancestors(span: Span, inTrace: readonly Span[]): string[] {
  const parent = inTrace.find(({ spanId }) => spanId === span.parentSpanId);
  return [span.spanId, ...(parent === undefined ? [] : ancestors(parent, inTrace))];
}
