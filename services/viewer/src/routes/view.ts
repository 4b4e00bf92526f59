import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import type { Database } from "../database.ts";
import { ViewerError } from "../errors.ts";
import { toFrame } from "../frames/columns.ts";
import { type Frame, frameLength } from "../frames/frame.ts";
import { longToWide, seriesShape } from "../frames/long-to-wide.ts";
import type { AnnotationQuery, Dashboard } from "../grafana/model.ts";
import { expandSql, type MacroContext, type ResolvedVariable, Variables } from "../variables.ts";
import type { Catalogue } from "./dashboards.ts";

const MAX_NAME = 200;
const MAX_VALUES = 1000;
const MAX_TIME_MS = 8.64e15;
const Time = Type.Number({ minimum: 0, maximum: MAX_TIME_MS, description: "milliseconds since 1970" });
const Vars = Type.Record(
  Type.String({ maxLength: MAX_NAME }),
  Type.Array(Type.String({ maxLength: 10_000 }), { maxItems: MAX_VALUES }),
);
const Range = {
  dashboardUid: Type.String({ maxLength: MAX_NAME }),
  from: Time,
  to: Time,
  intervalMs: Type.Number({ minimum: 1, maximum: 1e12, default: 1000 }),
  vars: Type.Optional(Vars),
};
const QueryBody = Type.Object(
  {
    ...Range,
    panelId: Type.Integer(),
    refId: Type.String({ maxLength: MAX_NAME }),
    maxDataPoints: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e6 })),
  },
  { additionalProperties: false },
);
const RangeBody = Type.Object(Range, { additionalProperties: false });
type RangeBody = Static<typeof RangeBody>;

export interface QueryReply {
  frames: Frame[];
  rows: number;
  truncated: boolean;
  /** Seconds ClickHouse and the reshaping took. */
  elapsed: number;
}

/** A region or, with `timeEnd` equal to `time`, a moment. Milliseconds since 1970. */
export interface Annotation {
  source: string;
  color: string;
  time: number;
  timeEnd: number;
  title: string;
  text: string;
  tags: string[];
}

/** In the order of the dashboard's queries, each by time. */
export interface AnnotationsReply {
  annotations: Annotation[];
  errors: { source: string; message: string }[];
}

const MS_PER_S = 1000;

export function viewRoutes(app: FastifyInstance, catalogue: Catalogue, database: Database): void {
  const variables = new Variables(database);

  async function run(dashboard: Dashboard, rawSql: string, body: RangeBody) {
    const context = contextOf(body);
    const selection = body.vars ?? {};
    const lookup = await variables.lookupFor(dashboard, selection, context, rawSql);
    return database.query(expandSql(rawSql, dashboard, selection, lookup, context));
  }

  app.post<{ Body: Static<typeof QueryBody> }>("/api/view/query", { schema: { body: QueryBody } }, async (request) => {
    const { dashboardUid, panelId, refId } = request.body;
    const { dashboard, panel } = catalogue.panel(dashboardUid, panelId);
    const target = panel.targets?.find((candidate) => candidate.refId === refId);
    if (!target?.rawSql) {
      const message = `Panel ${panelId} of "${dashboardUid}" has no query "${refId}"`;
      throw new ViewerError(404, "VIEWER_QUERY_UNKNOWN", message, "Reload the page.");
    }
    const started = performance.now();
    const result = await run(dashboard, target.rawSql, request.body);
    const frame = toFrame(refId, result.columns, result.rows, result.timezone);
    const wide = target.format !== 1 && frameLength(frame) > 0 && seriesShape(frame) === "long";
    return {
      frames: [wide ? longToWide(frame) : frame],
      rows: result.rows.length,
      truncated: result.truncated,
      elapsed: (performance.now() - started) / MS_PER_S,
    } satisfies QueryReply;
  });

  app.post<{ Body: RangeBody }>(
    "/api/view/variables",
    { schema: { body: RangeBody } },
    async (request): Promise<ResolvedVariable[]> => {
      const { dashboardUid, vars = {} } = request.body;
      return variables.resolve(catalogue.get(dashboardUid), vars, contextOf(request.body));
    },
  );

  app.post<{ Body: RangeBody }>("/api/view/annotations", { schema: { body: RangeBody } }, async (request) => {
    const dashboard = catalogue.get(request.body.dashboardUid);
    const reply: AnnotationsReply = { annotations: [], errors: [] };
    for (const query of dashboard.annotations?.list ?? []) {
      const rawSql = query.target?.rawSql ?? query.rawSql;
      if (!rawSql || query.enable === false) continue;
      try {
        const result = await run(dashboard, rawSql, request.body);
        const found = toAnnotations(query, toFrame("Anno", result.columns, result.rows, result.timezone));
        reply.annotations.push(...found.sort((a, b) => a.time - b.time));
      } catch (error) {
        reply.errors.push({ source: query.name, message: (error as Error).message });
      }
    }
    return reply;
  });
}

/** Throws ViewerError 400 for a range that ends before it begins. */
function contextOf({ from, to, intervalMs }: RangeBody): MacroContext {
  if (to > from) return { from, to, intervalMs };
  const message = `The time range ends (${to}) before it begins (${from})`;
  throw new ViewerError(400, "VIEWER_BAD_RANGE", message, "Choose a time range.");
}

/** Source: Grafana's annotation field mapping: time, timeEnd, title, text, tags by name, tags split at commas. */
function toAnnotations(query: AnnotationQuery, frame: Frame): Annotation[] {
  const column = (name: string) => {
    const wanted = query.mappings?.[name]?.value || name;
    return frame.fields.find((field) => field.name.toLowerCase() === wanted.toLowerCase())?.values;
  };
  const times = column("time") ?? frame.fields.find((field) => field.type === "time")?.values ?? [];
  const ends = column("timeEnd");
  const titles = column("title");
  const texts = column("text");
  const tags = column("tags");
  return times.flatMap((value, row) => {
    const time = toMillis(value);
    if (time === undefined) return [];
    return {
      source: query.name,
      color: query.iconColor ?? "blue",
      time,
      timeEnd: Math.max(time, toMillis(ends?.[row]) ?? time),
      title: String(titles?.[row] ?? ""),
      text: String(texts?.[row] ?? ""),
      tags: splitTags(tags?.[row]),
    };
  });
}

function toMillis(value: unknown): number | undefined {
  return typeof value === "number" && value > 0 ? value : undefined;
}

function splitTags(value: unknown): string[] {
  if (typeof value !== "string" || value === "") return [];
  if (value.startsWith("[")) {
    try {
      return (JSON.parse(value) as unknown[]).map(String);
    } catch {
      return [value];
    }
  }
  return value.split(",").map((tag) => tag.trim());
}
