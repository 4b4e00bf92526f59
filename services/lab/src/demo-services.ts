import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const LAB_DIRECTORY = fileURLToPath(new URL("..", import.meta.url));
const DJANGO_DIRECTORY = path.join(LAB_DIRECTORY, "django");
const NODE_SERVICE = path.join(LAB_DIRECTORY, "dist", "node-service", "main.js");

/** gunicorn gthread, one worker: as many requests as database connections, so one resource is the bottleneck at a time. */
const GUNICORN_THREADS = 4;
const STOP_TIMEOUT_S = 2;
/** Longer than the clients keep an idle connection, so that the client closes it and no request is lost on it. */
const KEEP_ALIVE_S = 65;
const MAX_MESSAGE_BYTES = 65_536;

export interface DemoServicesOptions {
  /** Python interpreter with `django/requirements.txt` installed, and `tidemark-django` unless `agents` is false. */
  python: string;
  nodePort: number;
  djangoPort: number;
  asgiPort: number;
  /** The bookshop, from `startPostgres`. */
  databaseUrl: string;
  /** The second database, from `startPostgres`. */
  eventsDatabaseUrl: string;
  /** Where the agents send to; default their own, http://127.0.0.1:4318. */
  endpoint?: string | undefined;
  /** Bearer token of the ingest. */
  token?: string | undefined;
  /** Seconds between two exports of an agent. */
  exportIntervalSeconds?: number | undefined;
  /** False starts the services bare, for a benchmark. Default true. */
  agents?: boolean;
  /** Folders that go before the installed packages in Python's search path. */
  pythonPath?: string[];
  /** Number of gunicorn workers; default 1. */
  gunicornWorkers?: number;
  /** gunicorn worker class; default gthread with 4 threads, sync has none. */
  gunicornClass?: "gthread" | "sync";
}

/** What a plain installation of uvicorn uses; said aloud, so that a package installed for something else changes nothing. */
const UVICORN_PARTS = ["--loop", "asyncio", "--http", "h11", "--ws", "websockets-sansio"];

/** How a supervisor starts one demo service. */
export interface ServiceCommand {
  /** Also the service's `service.name`. */
  name: "lab-node" | "lab-django" | "lab-django-asgi";
  command: string;
  args: string[];
  cwd: string;
  /** Variables to add to the supervisor's own. */
  env: Record<string, string>;
  url: string;
  /** Answers 200 once the service can serve, its databases included. */
  readyUrl: string;
}

/** The demo's services as commands: Node, Django under gunicorn, Django under uvicorn, on the loopback interface. */
export function labServices(options: DemoServicesOptions): ServiceCommand[] {
  const agents = options.agents ?? true;
  const shared: Record<string, string> = {
    LAB_DATABASE_URL: options.databaseUrl,
    LAB_EVENTS_DATABASE_URL: options.eventsDatabaseUrl,
    ...(options.endpoint !== undefined && { TIDEMARK_ENDPOINT: options.endpoint }),
    ...(options.token !== undefined && { TIDEMARK_TOKEN: options.token }),
    ...(options.exportIntervalSeconds !== undefined && {
      TIDEMARK_EXPORT_INTERVAL: String(options.exportIntervalSeconds),
    }),
  };
  const python: Record<string, string> = {
    ...shared,
    PYTHONDONTWRITEBYTECODE: "1",
    DJANGO_SETTINGS_MODULE: "labsite.settings",
    PYTHONPATH: [DJANGO_DIRECTORY, ...(options.pythonPath ?? []), process.env.PYTHONPATH]
      .filter(Boolean)
      .join(path.delimiter),
    ...(!agents && { LAB_WITHOUT_AGENT: "1" }),
  };
  const workerClass = options.gunicornClass ?? "gthread";
  return [
    service(
      "lab-node",
      options.nodePort,
      process.execPath,
      LAB_DIRECTORY,
      { ...shared, LAB_PORT: String(options.nodePort) },
      [...(agents ? ["--import", "@tidemark/node/register"] : []), NODE_SERVICE],
    ),
    service("lab-django", options.djangoPort, options.python, DJANGO_DIRECTORY, python, [
      ...["-m", "gunicorn", "labsite.wsgi:application"],
      ...["--bind", `127.0.0.1:${options.djangoPort}`],
      ...["--worker-class", workerClass, "--workers", String(options.gunicornWorkers ?? 1)],
      ...(workerClass === "gthread" ? ["--threads", String(GUNICORN_THREADS)] : []),
      ...["--keep-alive", String(KEEP_ALIVE_S), "--graceful-timeout", String(STOP_TIMEOUT_S)],
      ...["--log-level", "warning", "--no-control-socket"],
    ]),
    service("lab-django-asgi", options.asgiPort, options.python, DJANGO_DIRECTORY, python, [
      ...["-m", "uvicorn", "labsite.asgi:application", "--host", "127.0.0.1", "--port", String(options.asgiPort)],
      ...[...UVICORN_PARTS, "--ws-per-message-deflate", "false", "--ws-max-size", String(MAX_MESSAGE_BYTES)],
      ...["--lifespan", "off", "--timeout-keep-alive", String(KEEP_ALIVE_S)],
      ...["--timeout-graceful-shutdown", String(STOP_TIMEOUT_S), "--log-level", "warning", "--no-access-log"],
    ]),
  ];
}

function service(
  name: ServiceCommand["name"],
  port: number,
  command: string,
  cwd: string,
  env: Record<string, string>,
  args: string[],
): ServiceCommand {
  const url = `http://127.0.0.1:${port}`;
  return { name, command, args, cwd, env: { OTEL_SERVICE_NAME: name, ...env }, url, readyUrl: `${url}/readyz` };
}

/** Python interpreter of the repository's own environment, or the one TIDEMARK_PYTHON names. */
export function defaultPython(environment: NodeJS.ProcessEnv = process.env): string {
  const own = path.join(LAB_DIRECTORY, "..", "..", ".venv", "bin", "python");
  return environment.TIDEMARK_PYTHON ?? (existsSync(own) ? own : "python3");
}
