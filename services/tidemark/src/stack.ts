import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Settings } from "./settings.ts";
import type { ProcessSpec } from "./supervisor.ts";

const require = createRequire(import.meta.url);

/** Variables that our services must not inherit: an agent or a debugger meant for the user's own process. */
const NOT_INHERITED = ["NODE_OPTIONS", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"];

export interface Urls {
  readonly otlp: string;
  /** Undefined where there is none, or where it is any free port, which the ingest's log names. */
  readonly otlpGrpc: string | undefined;
  readonly clickhouse: string;
  readonly clickhouseWriter: string;
  readonly clickhouseReader: string;
  readonly viewer: string;
  readonly alerts: string;
}

/** The addresses of one Tidemark; the writer's URL holds its password and is never printed. */
export function urls(settings: Settings, password: string): Urls {
  const { host, otlpPort, otlpGrpcPort, clickhousePort, viewerPort, alertsPort, clickhouseUrl } = settings;
  const local = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  const at = (port: number, scheme = "http"): string => `${scheme}://${local}:${port}`;
  const otlpScheme = settings.tls ? "https" : "http";
  const engine = new URL(`http://127.0.0.1:${clickhousePort}/tidemark`);
  const as = (user: string, secret: string): string => {
    const url = new URL(engine);
    url.username = user;
    url.password = secret;
    return url.href;
  };
  const shown = clickhouseUrl ? withoutPassword(clickhouseUrl) : engine.origin;
  return {
    otlp: at(otlpPort, otlpScheme),
    otlpGrpc: otlpGrpcPort === "off" || otlpGrpcPort === 0 ? undefined : at(otlpGrpcPort, otlpScheme),
    clickhouse: shown,
    clickhouseWriter: clickhouseUrl ?? as("tidemark", password),
    clickhouseReader: clickhouseUrl ?? as("reader", ""),
    viewer: at(viewerPort),
    alerts: `http://127.0.0.1:${alertsPort}`,
  };
}

/** The embedded engine as a process. */
export function engineSpec(settings: Settings, password: string, env: NodeJS.ProcessEnv): ProcessSpec {
  return {
    name: "engine",
    ...node("@tidemark/engine", "main.cjs"),
    env: {
      ...inherited(env),
      TIDEMARK_DATA_DIR: settings.dataDir,
      TIDEMARK_CLICKHOUSE_HOST: "127.0.0.1",
      TIDEMARK_CLICKHOUSE_PORT: String(settings.clickhousePort),
      TIDEMARK_ENGINE_WRITER_PASSWORD: password,
    },
    readyUrl: `http://127.0.0.1:${settings.clickhousePort}/readyz`,
  };
}

/** The ingest as a process; it takes data before ClickHouse is there, so its health, not its readiness, is what to wait for. */
export function ingestSpec(settings: Settings, { clickhouseWriter, otlp }: Urls, env: NodeJS.ProcessEnv): ProcessSpec {
  return {
    name: "ingest",
    ...node("@tidemark/ingest"),
    env: {
      ...inherited(env),
      TIDEMARK_DATA_DIR: settings.dataDir,
      TIDEMARK_OTLP_HOST: settings.host,
      TIDEMARK_OTLP_PORT: String(settings.otlpPort),
      TIDEMARK_OTLP_GRPC_PORT: String(settings.otlpGrpcPort),
      TIDEMARK_CLICKHOUSE_URL: clickhouseWriter,
      ...(settings.tokensFile && { TIDEMARK_TOKENS_FILE: settings.tokensFile }),
    },
    readyUrl: `${otlp}/healthz`,
  };
}

export function viewerSpec(
  settings: Settings,
  { clickhouseReader, viewer, alerts }: Urls,
  env: NodeJS.ProcessEnv,
): ProcessSpec {
  return {
    name: "viewer",
    ...node("@tidemark/viewer"),
    env: {
      ...inherited(env),
      TIDEMARK_VIEWER_HOST: "127.0.0.1",
      TIDEMARK_VIEWER_PORT: String(settings.viewerPort),
      TIDEMARK_CLICKHOUSE_URL: clickhouseReader,
      TIDEMARK_ALERTS_URL: alerts,
    },
    readyUrl: `${viewer}/healthz`,
  };
}

export function alertsSpec(
  settings: Settings,
  { clickhouseWriter, viewer, alerts }: Urls,
  env: NodeJS.ProcessEnv,
): ProcessSpec {
  return {
    name: "alerts",
    ...node("@tidemark/alerts"),
    env: {
      ...inherited(env),
      TIDEMARK_DATA_DIR: settings.dataDir,
      TIDEMARK_ALERTS_HOST: "127.0.0.1",
      TIDEMARK_ALERTS_PORT: String(settings.alertsPort),
      TIDEMARK_CLICKHOUSE_URL: clickhouseWriter,
      TIDEMARK_VIEWER_URL: viewer,
    },
    readyUrl: `${alerts}/healthz`,
  };
}

/** The environment without what belongs to another process, and without proxies for the loopback. */
export function inherited(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const copy = { ...env };
  for (const name of NOT_INHERITED) delete copy[name];
  const direct = ["127.0.0.1", "localhost", "::1"];
  const noProxy = [...(env.NO_PROXY ?? env.no_proxy ?? "").split(",").filter(Boolean), ...direct].join(",");
  return { ...copy, NO_PROXY: noProxy, no_proxy: noProxy };
}

/** The folder of an installed package of ours. */
export function packageDir(name: string): string {
  return dirname(require.resolve(`${name}/package.json`));
}

export function withoutPassword(url: string): string {
  const parsed = new URL(url);
  if (parsed.password) parsed.password = "***";
  return parsed.href;
}

function node(name: string, main = "main.js"): { command: string; args: string[] } {
  return { command: process.execPath, args: [join(packageDir(name), "dist", main)] };
}
