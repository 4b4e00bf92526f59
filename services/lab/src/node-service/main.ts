import { createServer } from "node:http";
import { Pool } from "pg";
import { buildNodeService } from "./app.ts";
import { serveEcho } from "./echo.ts";

const DEFAULT_PORT = 4400;
const POOL_SIZE = 4;
/** Longer than the queue of the load story's slow-database phase, shorter than a client's patience. */
const POOL_TIMEOUT_MS = 15_000;
const DRAIN_DEADLINE_MS = 3_000;
/** Longer than the clients keep an idle connection, so that the client closes it and no request is lost on it. */
const KEEP_ALIVE_MS = 65_000;

function setting(name: string): string {
  const value = process.env[name];
  if (!value) fail(`${name} must be a URL like postgresql://user:password@127.0.0.1:5432/name`);
  return value;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function pool(variable: string): Pool {
  const made = new Pool({
    connectionString: setting(variable),
    max: POOL_SIZE,
    connectionTimeoutMillis: POOL_TIMEOUT_MS,
    application_name: "tidemark-lab-node",
  });
  // An idle connection that breaks is replaced on the next query.
  made.on("error", () => {});
  return made;
}

const port = Number(process.env.LAB_PORT ?? DEFAULT_PORT);
if (!Number.isInteger(port) || port < 0 || port > 65_535)
  fail(`LAB_PORT must be a port, got '${process.env.LAB_PORT}'`);
const databases = { shop: pool("LAB_DATABASE_URL"), events: pool("LAB_EVENTS_DATABASE_URL") };
const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, buildNodeService(databases));
const closeSockets = serveEcho(server);

server.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EADDRINUSE") fail(`port ${port} is taken; set LAB_PORT to a free one`);
  fail(error.message);
});
server.listen(port, process.env.LAB_HOST ?? "127.0.0.1", () => {
  const address = server.address();
  const bound = typeof address === "object" && address ? address.port : port;
  process.stdout.write(`${JSON.stringify({ level: "info", msg: "listening", port: bound })}\n`);
});

let stopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(0), DRAIN_DEADLINE_MS).unref();
    closeSockets();
    server.close(async () => {
      await Promise.allSettled([databases.shop.end(), databases.events.end()]);
      process.exit(0);
    });
    server.closeIdleConnections();
  });
}
