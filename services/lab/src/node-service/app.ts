import { pbkdf2 } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import express, { type ErrorRequestHandler, type Express, type RequestHandler, raw } from "express";
import type { Pool } from "pg";
import { FragmentCache, type ListedBook, renderList, renderPage } from "./page.ts";
import { BadParameter, boundedInteger } from "./parameters.ts";
import { type OrderLine, salesReport } from "./report.ts";

const MS_PER_S = 1000;
const MAX_WAIT_MS = 5000;
const MAX_BOOKS = 100;
const MAX_OFFSET = 1900;
const MAX_ORDERS = 10_000;
const MAX_HASH_ROUNDS = 1_000_000;
const MAX_BODY_BYTES = 4096;
const FRAGMENT_LIFETIME_MS = 30_000;
const RETRY_AFTER_S = 1;
const EVENT_KINDS = ["view", "search", "basket", "purchase"];
const COVER = new URL("../../assets/cover.svg", import.meta.url);

/** A demo value with a fixed salt, so that both services answer the same text. */
const DEMO_PASSWORD = "correct horse battery staple";
const DEMO_SALT = "tidemark";
const HASH_BYTES = 32;

const pbkdf2Async = promisify(pbkdf2);

export interface NodeServiceDatabases {
  /** The bookshop. */
  shop: Pool;
  /** The second database. */
  events: Pool;
}

/**
 * The demo's Node service, without a port. Each endpoint has a twin with the same JSON in `django/shop/views.py`;
 * the bounds of the parameters are the same there, a value outside them is answered with a 400.
 */
export function buildNodeService({ shop, events }: NodeServiceDatabases): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("query parser", "simple");
  app.set("strict routing", true);
  app.set("case sensitive routing", true);
  const fragments = new FragmentCache(FRAGMENT_LIFETIME_MS);

  get(app, "/healthz", (_request, response) => {
    response.json({ status: "ok" });
  });

  get(app, "/readyz", async (_request, response) => {
    for (const pool of [shop, events]) await pool.query("SELECT 1");
    response.json({ status: "ready" });
  });

  get(app, "/api/json", (_request, response) => {
    const shelves = Array.from({ length: 10 }, (_, n) => ({ number: n, label: `shelf ${n}`, open: true }));
    response.json({ message: "Hello from the bookshop", shelves });
  });

  get(app, "/api/slow", async (request, response) => {
    const ms = boundedInteger(request, "ms", 300, 0, MAX_WAIT_MS);
    const { rows } = await shop.query("SELECT name, pg_sleep($1) FROM authors WHERE id = 1", [ms / MS_PER_S]);
    response.json({ ms, author: rows[0].name });
  });

  get(app, "/api/books", async (request, response) => {
    const { rows } = await shop.query(
      "SELECT id, title, author_id, price_cents FROM books ORDER BY id LIMIT $1 OFFSET $2",
      sliceOf(request),
    );
    const books: ListedBook[] = [];
    for (const { id, title, author_id, price_cents } of rows) {
      const found = await shop.query("SELECT id, name, country FROM authors WHERE id = $1", [author_id]);
      books.push({ id, title, price_cents, author: found.rows[0].name });
    }
    response.json({ books });
  });

  get(app, "/api/books/fixed", async (request, response) => {
    const { rows } = await shop.query<ListedBook>(
      `SELECT books.id, books.title, books.price_cents, authors.name AS author
       FROM books JOIN authors ON authors.id = books.author_id ORDER BY books.id LIMIT $1 OFFSET $2`,
      sliceOf(request),
    );
    response.json({ books: rows });
  });

  get(app, "/api/report", async (request, response) => {
    const n = boundedInteger(request, "n", 1000, 1, MAX_ORDERS);
    const { rows } = await shop.query<OrderLine>(
      `SELECT orders.id, orders.quantity, books.price_cents, books.author_id
       FROM orders JOIN books ON books.id = orders.book_id ORDER BY orders.id LIMIT $1`,
      [n],
    );
    response.json(salesReport(rows));
  });

  get(app, "/api/hash", async (request, response) => {
    const rounds = boundedInteger(request, "rounds", 100_000, 1, MAX_HASH_ROUNDS);
    const key = await pbkdf2Async(DEMO_PASSWORD, DEMO_SALT, rounds, HASH_BYTES, "sha256");
    response.json({ rounds, hash: `pbkdf2_sha256$${rounds}$${DEMO_SALT}$${key.toString("base64")}` });
  });

  app
    .route("/api/events")
    .get(async (_request, response) => {
      const { rows } = await events.query(
        "SELECT kind, count(*)::integer AS count FROM events GROUP BY kind ORDER BY kind",
      );
      response.json({ events: rows });
    })
    .post(raw({ type: () => true, limit: MAX_BODY_BYTES }), async (request, response) => {
      const kind = eventKind(request.body);
      await events.query("INSERT INTO events (kind, happened_at) VALUES ($1, now())", [kind]);
      response.status(201).json({ stored: true });
    })
    .all(only("GET, POST"));

  get(app, "/api/async", async (request, response) => {
    const ms = boundedInteger(request, "ms", 50, 0, MAX_WAIT_MS);
    await delay(ms);
    const { rows } = await shop.query("SELECT count(*)::integer AS count FROM books");
    response.json({ ms, books: rows[0].count });
  });

  const bestsellers = async (limit: number) => {
    const { rows } = await shop.query<ListedBook>(
      `SELECT books.id, books.title, books.price_cents, authors.name AS author
       FROM books JOIN authors ON authors.id = books.author_id ORDER BY books.price_cents DESC, books.id LIMIT $1`,
      [limit],
    );
    return renderList(rows);
  };

  get(app, "/page", async (request, response) => {
    const limit = boundedInteger(request, "limit", 50, 1, MAX_BOOKS);
    const list = await bestsellers(limit);
    response.type("html").send(renderPage(limit, list));
  });

  get(app, "/page/cached", async (request, response) => {
    const limit = boundedInteger(request, "limit", 50, 1, MAX_BOOKS);
    const list = await fragments.get(`bestsellers.${limit}`, () => bestsellers(limit));
    response.type("html").send(renderPage(limit, list));
  });

  get(app, "/file", async (_request, response) => {
    const content = await readFile(COVER);
    response.type("svg").send(content);
  });

  app.use((_request, response) => {
    response.status(404).json({ error: { code: "LAB_NOT_FOUND", message: "No such path." } });
  });
  app.use(errorReplies);
  return app;
}

function get(app: Express, path: string, handler: RequestHandler): void {
  app.route(path).get(handler).all(only("GET"));
}

function only(methods: string): RequestHandler {
  return (_request, response) => {
    response.set("allow", methods).status(405);
    response.json({ error: { code: "LAB_METHOD_NOT_ALLOWED", message: `Use ${methods}.` } });
  };
}

function sliceOf(request: express.Request): [limit: number, offset: number] {
  const limit = boundedInteger(request, "limit", 20, 1, MAX_BOOKS);
  return [limit, boundedInteger(request, "offset", 0, 0, MAX_OFFSET)];
}

function eventKind(body: unknown): string {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.isBuffer(body) ? body.toString("utf8") : "");
  } catch {
    throw new BadParameter('the body must be JSON like {"kind": "view"}');
  }
  const kind = document instanceof Object && "kind" in document ? document.kind : undefined;
  if (typeof kind !== "string" || !EVENT_KINDS.includes(kind)) {
    throw new BadParameter(`kind must be one of ${EVENT_KINDS.join(", ")}`);
  }
  return kind;
}

const errorReplies: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent) return next(error);
  const [status, code, message] = describeError(error);
  if (status === 503) response.set("retry-after", String(RETRY_AFTER_S));
  if (status >= 500) process.stderr.write(`${code}: ${error instanceof Error ? error.message || error : error}\n`);
  response.status(status).json({ error: { code, message } });
};

function describeError(error: unknown): [status: number, code: string, message: string] {
  if (error instanceof BadParameter) return [400, "LAB_BAD_PARAMETER", error.message];
  if (error instanceof Error && "type" in error && error.type === "entity.too.large") {
    return [413, "LAB_BODY_TOO_LARGE", "The body is over the limit."];
  }
  if (error instanceof Error && "status" in error && typeof error.status === "number" && error.status < 500) {
    return [400, "LAB_BAD_REQUEST", "The request could not be read."];
  }
  if (isDatabaseError(error)) return [503, "LAB_DATABASE_UNAVAILABLE", "The database did not answer."];
  return [500, "LAB_INTERNAL", "The service failed; its log says why."];
}

/** Errors of the connection (`ECONNREFUSED`), of the server (five-character SQLSTATE) and of pg's own time limits. */
function isDatabaseError(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isDatabaseError);
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? String(error.code) : "";
  return (
    /^E(CONN|HOST|NET|PIPE|TIMEDOUT|AI_|NOTFOUND)/.test(code) ||
    /^[0-9A-Z]{5}$/.test(code) ||
    /timeout exceeded when trying to connect|Connection terminated/.test(error.message)
  );
}
