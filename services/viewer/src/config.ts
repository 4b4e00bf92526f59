import type { Dashboard } from "./grafana/model.ts";

/** Settings of the viewer; `main.ts` reads them from the environment. Times in seconds. */
export interface ViewerConfig {
  /** Address to listen on. Other than loopback needs a token. */
  host: string;
  /** 0 takes a free port. */
  port: number;
  /** `http://user:password@host:8123/tidemark`; without credentials ClickHouse's `reader` is used. */
  clickhouseUrl: string;
  /** Base URL of the alert evaluator; its `/api/alerts` is shown. */
  alertsUrl: string;
  /** Wanted of every request when set: as a Bearer token, or as the password the browser asks for. */
  token?: string;
  /** Names, besides loopback and `host`, that a request may give in its Host header. */
  allowedHosts: string[];
  /** Longest time one panel's query may take. */
  queryTimeout: number;
  /** Most rows read for one query; the rest is left out and the panel says so. */
  maxRows: number;
  logLevel: string;
  /** Dashboards to show; the bundled ones when left out. */
  dashboards?: Dashboard[];
  /** Folder of the built browser part. */
  publicDir?: string;
}

export const DEFAULTS: ViewerConfig = {
  host: "127.0.0.1",
  port: 4300,
  clickhouseUrl: "http://127.0.0.1:8123/tidemark",
  alertsUrl: "http://127.0.0.1:4301",
  allowedHosts: [],
  queryTimeout: 30,
  maxRows: 50_000,
  logLevel: "info",
};

/** A setting that cannot be used; the message names the variable and the value. */
export class ConfigError extends Error {}

type Environment = Record<string, string | undefined>;

/** Reads TIDEMARK_* variables. Throws ConfigError. */
export function configFromEnvironment(env: Environment): ViewerConfig {
  const host = env.TIDEMARK_VIEWER_HOST || DEFAULTS.host;
  const token = env.TIDEMARK_TOKEN;
  if (!isLoopback(host) && !token) {
    throw new ConfigError(`TIDEMARK_VIEWER_HOST=${host} is reachable from other machines: set TIDEMARK_TOKEN as well`);
  }
  return {
    host,
    port: integer(env, "TIDEMARK_VIEWER_PORT", DEFAULTS.port, 0, 65_535),
    clickhouseUrl: url(env, "TIDEMARK_CLICKHOUSE_URL", DEFAULTS.clickhouseUrl),
    alertsUrl: url(env, "TIDEMARK_ALERTS_URL", DEFAULTS.alertsUrl),
    ...(token ? { token } : {}),
    allowedHosts: (env.TIDEMARK_VIEWER_ALLOWED_HOSTS ?? "").split(",").filter((name) => name !== ""),
    queryTimeout: integer(env, "TIDEMARK_VIEWER_QUERY_TIMEOUT", DEFAULTS.queryTimeout, 1, 600),
    maxRows: integer(env, "TIDEMARK_VIEWER_MAX_ROWS", DEFAULTS.maxRows, 1, 1_000_000),
    logLevel: env.TIDEMARK_LOG_LEVEL || DEFAULTS.logLevel,
  };
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

function integer(env: Environment, name: string, fallback: number, min: number, max: number): number {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new ConfigError(`${name}=${text} is no whole number from ${min} to ${max}`);
  }
  return value;
}

function url(env: Environment, name: string, fallback: string): string {
  const text = env[name] || fallback;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new ConfigError(`${name} is no http URL: ${text.replace(/\/\/[^@/]*@/, "//***@")}`);
  }
  return text;
}
