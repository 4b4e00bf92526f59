import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from "fastify";
import { authenticate } from "./auth.ts";
import { readIncoming } from "./body.ts";
import type { EngineConfig } from "./config.ts";
import { contentType } from "./content-type.ts";
import { httpStatus, toException } from "./exception.ts";
import { helloBlock, isHello } from "./hello.ts";
import { prometheusText } from "./prometheus.ts";
import { EngineService } from "./service.ts";
import { readSettings } from "./settings.ts";

const NS_PER_S = 1e9;
const BODY_LIMIT_BYTES = 4 * 1024 ** 3;
const GZIP_FROM_BYTES = 1024;
const QUERY_ID = /^[\x20-\x7e]{1,200}$/;
const DRAIN_SECONDS = 2.5;
const FLUSH_MS = 300;
const compress = promisify(gzip);

/** The ClickHouse HTTP interface over the embedded engine; builds without a port and closes the engine with itself. */
export function buildEngine(config: EngineConfig): FastifyInstance {
  const service = new EngineService(config);
  const app = Fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    logger: config.logLevel === "silent" ? false : { level: config.logLevel, name: "tidemark-engine" },
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: "idle",
    routerOptions: { ignoreTrailingSlash: true },
  });
  // Bodies are SQL, rows or both, in any content type: the handler reads the raw stream.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  let draining = false;
  app.addHook("preClose", (done) => {
    draining = true;
    // Not awaited: the server stops listening meanwhile. A body that never ends must not hold it up either.
    void service.engine
      .drain(DRAIN_SECONDS)
      .then(() => setTimeout(() => app.server.closeAllConnections(), FLUSH_MS).unref());
    done();
  });
  app.addHook("onClose", async () => service.engine.close());

  app.get("/ping", async (_request, reply) => reply.type("text/plain").send("Ok.\n"));
  app.get("/replicas_status", async (_request, reply) => reply.type("text/plain").send("Ok.\n"));
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) =>
    reply.code(draining ? 503 : 200).send({ status: draining ? "draining" : "ready" }),
  );
  app.get("/metrics", async (_request, reply) => reply.type("text/plain; version=0.0.4").send(prometheusText(service)));
  app.get("/", (request, reply) => handle(request, reply, service, config));
  app.post("/", (request, reply) => handle(request, reply, service, config));
  app.setNotFoundHandler(async (request, reply) =>
    reply
      .code(404)
      .type("text/plain")
      .send(`There is no handle ${request.url.split("?")[0]}\n`),
  );
  return app;
}

async function handle(request: FastifyRequest, reply: FastifyReply, service: EngineService, config: EngineConfig) {
  const url = new URLSearchParams(request.raw.url?.split("?").slice(1).join("?") ?? "");
  const asked = url.get("query_id") ?? "";
  reply.header("X-ClickHouse-Query-Id", QUERY_ID.test(asked) ? asked : randomUUID());
  reply.header("X-ClickHouse-Server-Display-Name", hostname());
  reply.header("X-ClickHouse-Timezone", service.engine.timezone);
  try {
    return await answer(request, reply, url, service, config);
  } catch (error) {
    request.raw.resume();
    const exception = toException(error);
    const status = httpStatus(exception.code);
    if (status >= 500)
      request.log.warn({ code: exception.code, message: exception.message.slice(0, 500) }, "query failed");
    if (status === 401) reply.header("WWW-Authenticate", 'Basic realm="ClickHouse server HTTP API"');
    reply.header("X-ClickHouse-Exception-Code", exception.code);
    return reply
      .code(status)
      .type("text/plain; charset=UTF-8")
      .send(`${exception.message} (version ${service.engine.version})\n`);
  }
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  url: URLSearchParams,
  service: EngineService,
  config: EngineConfig,
) {
  const user = authenticate(request.headers, url, config);
  // A writer may ask to be held to reading, as with a server's setting of that name.
  const role = (url.get("readonly") ?? "0") === "0" ? user : "reader";
  const urlQuery = url.get("query") ?? "";
  if (request.method === "GET" && urlQuery === "") return reply.type("text/html; charset=UTF-8").send("Ok.\n");
  const settings = readSettings(url, role === "reader");
  const incoming = await readIncoming(request.raw, urlQuery);
  const preferred = one(request.headers["x-clickhouse-format"]) ?? url.get("default_format") ?? "TabSeparated";
  const format = (incoming.rows === undefined ? incoming.statement.format : undefined) ?? preferred;
  const revision = Number(url.get("client_protocol_version") ?? 0);
  const { engine } = service;
  if (format === "Native" && revision > 0 && isHello(incoming.sql)) {
    const block = helloBlock(hostname().slice(0, 100), engine.version, engine.timezone, revision);
    return reply.header("X-ClickHouse-Format", "Native").type(contentType("Native")).send(block);
  }
  const signal = abortedWhenGone(reply);
  const result = await service.run({
    role,
    incoming,
    format,
    database: one(request.headers["x-clickhouse-database"]) ?? url.get("database") ?? "default",
    asked: settings,
    signal,
  });
  const inserted = incoming.rows !== undefined;
  reply.header("X-ClickHouse-Format", format);
  reply.header("X-ClickHouse-Summary", summary(result.rows, result.rowsBytes, result.elapsedSeconds, inserted));
  reply.type(contentType(format));
  const bytes = Buffer.from(result.bytes.buffer, result.bytes.byteOffset, result.bytes.byteLength);
  const acceptsGzip = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
  if (!acceptsGzip || bytes.length < GZIP_FROM_BYTES) return reply.send(bytes);
  return reply.header("Content-Encoding", "gzip").send(await compress(bytes, { level: 1 }));
}

/** Aborts when the client hangs up before its answer is complete: nobody waits for that query any more. */
function abortedWhenGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

function summary(rows: number, bytes: number, elapsedSeconds: number, inserted: boolean): string {
  return JSON.stringify({
    read_rows: String(rows),
    read_bytes: String(bytes),
    written_rows: String(inserted ? rows : 0),
    written_bytes: String(inserted ? bytes : 0),
    total_rows_to_read: "0",
    result_rows: String(rows),
    result_bytes: String(bytes),
    elapsed_ns: String(Math.round(elapsedSeconds * NS_PER_S)),
  });
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
