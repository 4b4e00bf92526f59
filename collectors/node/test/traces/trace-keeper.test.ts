import type { IncomingMessage } from "node:http";
import { SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { describe, expect, it } from "vitest";
import type { RequestEnd } from "../../src/main/request-context.ts";
import type { PlainSpan } from "../../src/shared/span.ts";
import { RequestSpan } from "../../src/traces/request-span.ts";
import { TraceKeeper } from "../../src/traces/trace-keeper.ts";

const request = { method: "GET" } as IncomingMessage;
const SAMPLED = { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: TraceFlags.SAMPLED, isRemote: true };

function keeper(ratio: number) {
  const sent: PlainSpan[][] = [];
  return {
    sent,
    keeper: new TraceKeeper(
      ratio,
      () => ({ "url.query": "key=1" }),
      (spans) => sent.push(spans),
    ),
  };
}
function end(changes: Partial<RequestEnd> = {}): RequestEnd {
  const phases = { db: 0, cache: 0, pool: 0, view: 1 };
  const waits = { loopActiveMs: 0.25, queries: 0, phases };
  return { request, endMs: 101, status: 200, route: "/orders", repeated: false, ...waits, ...changes };
}
function child(parent: RequestSpan, number: number): ReadableSpan {
  const { traceId, spanId } = parent.spanContext();
  return {
    name: "SELECT",
    kind: 2,
    spanContext: () => ({ traceId, spanId: number.toString(16).padStart(16, "0"), traceFlags: 0 }),
    parentSpanContext: { traceId, spanId, traceFlags: 0 },
    startTime: [1, 0],
    endTime: [1, 1000],
    duration: [0, 1000],
    status: { code: SpanStatusCode.UNSET },
    attributes: { "db.query.text": "SELECT 'secret'" },
    events: [],
    instrumentationScope: { name: "pg" },
  } as unknown as ReadableSpan;
}

describe("the trace keeper", () => {
  it("keeps a request that repeated a statement, whole", () => {
    const { keeper: kept, sent } = keeper(0);
    const span = new RequestSpan(kept, 100, undefined);
    const statements = Array.from({ length: 600 }, (_, number) => child(span, number + 1));
    for (const statement of statements) {
      kept.onStart(statement);
      kept.onEnd(statement);
    }
    span.finish(end({ repeated: true }));
    expect(sent).toHaveLength(1);
    expect(sent[0]).toHaveLength(601);
    expect(sent[0]!.at(-1)).toMatchObject({ name: "GET /orders", parentSpanId: undefined, status: { code: 0 } });
    expect(sent[0]![0]).toMatchObject({ attributes: { "db.query.text": "SELECT ?" } });
    expect(JSON.stringify(sent)).not.toContain("key=1");
  });

  it("sends nothing of an ordinary request, nor of what ends after it", () => {
    const { keeper: kept, sent } = keeper(0);
    for (let number = 0; number < 3000; number++) {
      const span = new RequestSpan(kept, 100, undefined);
      const statement = child(span, 1);
      kept.onStart(statement);
      kept.onEnd(statement);
      span.finish(end());
      kept.onEnd(statement); // late: its trace is gone
    }
    expect(sent).toEqual([]);
  });

  it.each<[string, Partial<RequestEnd>, number]>([
    ["took more than a second", { endMs: 1101 }, 0],
    ["ended with 503", { status: 503 }, 2],
    ["was aborted", { status: undefined }, 2],
  ])("keeps a request that %s", (_what, changes, code) => {
    const { keeper: kept, sent } = keeper(0);
    const span = new RequestSpan(kept, 100, undefined);
    span.finish(end(changes));
    span.finish(end());
    expect(sent.map(([first]) => first?.status.code)).toEqual([code]);
  });

  it("follows the caller's decision, whatever the ratio", () => {
    const { keeper: none, sent } = keeper(0);
    new RequestSpan(none, 100, SAMPLED).finish(end());
    expect(sent[0]?.[0]).toMatchObject({
      traceId: SAMPLED.traceId,
      parentSpanId: SAMPLED.spanId,
      parentIsRemote: true,
    });
    const { keeper: all, sent: sentByAll } = keeper(1);
    new RequestSpan(all, 100, { ...SAMPLED, traceFlags: 0 }).finish(end());
    expect(sentByAll).toEqual([]);
  });

  it("samples new traces at the ratio, by the end of the trace id", () => {
    const { keeper: kept, sent } = keeper(0.25);
    for (let number = 0; number < 4000; number++) new RequestSpan(kept, 100, undefined).finish(end());
    expect(sent.length).toBeGreaterThan(850); // five standard deviations
    expect(sent.length).toBeLessThan(1150);
    for (const [span] of sent) expect(Number.parseInt(span!.traceId.slice(-8), 16)).toBeLessThan(0.25 * 2 ** 32);
  });

  it("takes values out of what databases say of their errors, and query strings out of paths", () => {
    const { keeper: kept, sent } = keeper(1);
    const span = new RequestSpan(kept, 100, undefined);
    const message = "Duplicate entry 'it''s secret' for key \"secret\": Key (name)=(secret) isn't new";
    const failed = {
      ...child(span, 1),
      attributes: { "db.system.name": "mysql", "db.query.text": 'INSERT INTO `a` VALUES ("secret")' },
      status: { code: SpanStatusCode.ERROR, message },
      events: [{ name: "exception", time: [1, 0], attributes: { "exception.message": message, "exception.lines": 1 } }],
    } as unknown as ReadableSpan;
    const own = {
      ...child(span, 2),
      attributes: { "url.path": "/a?key=secret" },
      status: { code: 2, message: "mine: 'a'" },
    };
    for (const ended of [failed, own as ReadableSpan]) {
      kept.onStart(ended);
      kept.onEnd(ended);
    }
    span.finish(end());
    const safe = "Duplicate entry ? for key ?: Key (name)=? isn't new";
    expect(sent[0]![0]).toMatchObject({
      attributes: { "db.query.text": "INSERT INTO `a` VALUES (?)" },
      status: { message: safe },
      events: [{ attributes: { "exception.message": safe, "exception.lines": 1 } }],
    });
    expect(sent[0]![1]).toMatchObject({ attributes: { "url.path": "/a" }, status: { message: "mine: 'a'" } });
  });

  it("takes what an application tells the active span", () => {
    const { keeper: kept, sent } = keeper(1);
    const span = new RequestSpan(kept, 100, undefined);
    span.setAttributes({ "app.a": 1, "app.b": "x" }).updateName("mine");
    span.recordException(new TypeError("no"));
    span.setStatus({ code: SpanStatusCode.ERROR, message: "no" });
    span.end();
    expect(span.isRecording()).toBe(true); // the request ends it
    span.finish(end());
    span.setAttribute("app.late", true);
    expect(sent[0]?.[0]).toMatchObject({
      name: "mine",
      status: { code: 2, message: "no" },
      attributes: { "app.a": 1, "app.b": "x" },
      events: [{ name: "exception", attributes: { "exception.type": "TypeError", "exception.message": "no" } }],
    });
    expect(sent[0]?.[0]?.attributes).not.toHaveProperty("app.late");
  });
});
