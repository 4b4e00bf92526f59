import { resolve } from "node:path";
import type { Profile } from "@tidemark/dashboards";
import type { AlertsConfig } from "./index.ts";

const DEFAULT_PORT = 4301;
const DEFAULT_INTERVAL_S = 10;
const MIN_INTERVAL_S = 1;
const MAX_INTERVAL_S = 3600;
const MAX_PORT = 65_535;
const PROFILES: readonly string[] = ["production", "demo"] satisfies Profile[];

export interface ProcessConfig extends AlertsConfig {
  host: string;
  port: number;
}

/** A setting that makes no sense; the message names the variable. */
export class ConfigError extends Error {
  readonly code = "TDM_ALERTS_CONFIG";
}

/**
 * The evaluator's settings from the environment.
 *
 * @throws ConfigError for a value that makes no sense.
 */
export function configFromEnvironment(env: NodeJS.ProcessEnv): ProcessConfig {
  const profile = env.TIDEMARK_ALERTS_PROFILE || "production";
  if (!PROFILES.includes(profile)) {
    throw new ConfigError(`TIDEMARK_ALERTS_PROFILE is "${profile}", expected ${PROFILES.join(" or ")}`);
  }
  const host = env.TIDEMARK_ALERTS_HOST || "127.0.0.1";
  const token = env.TIDEMARK_TOKEN || undefined;
  if (!isLoopback(host) && !token) {
    throw new ConfigError(`TIDEMARK_ALERTS_HOST=${host} is reachable from other machines: set TIDEMARK_TOKEN as well`);
  }
  return {
    host,
    ...(token ? { token } : {}),
    port: number(env, "TIDEMARK_ALERTS_PORT", DEFAULT_PORT, 0, MAX_PORT, Number.isInteger),
    clickhouseUrl: url("TIDEMARK_CLICKHOUSE_URL", env.TIDEMARK_CLICKHOUSE_URL || "http://127.0.0.1:8123/tidemark").href,
    dataDir: resolve(env.TIDEMARK_DATA_DIR || ".tidemark"),
    profile: profile as Profile,
    intervalS: number(env, "TIDEMARK_ALERTS_INTERVAL", DEFAULT_INTERVAL_S, MIN_INTERVAL_S, MAX_INTERVAL_S),
    webhookUrls: urls("TIDEMARK_ALERTS_WEBHOOK_URL", env.TIDEMARK_ALERTS_WEBHOOK_URL),
    alertmanagerUrls: urls("TIDEMARK_ALERTMANAGER_URL", env.TIDEMARK_ALERTMANAGER_URL),
    linkBase: env.TIDEMARK_VIEWER_URL
      ? url("TIDEMARK_VIEWER_URL", env.TIDEMARK_VIEWER_URL).href.replace(/\/+$/, "")
      : "",
    logger: { level: env.TIDEMARK_LOG_LEVEL || "info", name: "tidemark-alerts" },
  };
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");

function number(
  env: NodeJS.ProcessEnv,
  name: string,
  fallback: number,
  min: number,
  max: number,
  fits: (value: number) => boolean = Number.isFinite,
): number {
  const text = env[name]?.trim();
  if (!text) return fallback;
  const value = Number(text);
  if (fits(value) && value >= min && value <= max) return value;
  throw new ConfigError(`${name} is "${text}", expected a number from ${min} to ${max}`);
}

function urls(name: string, text: string | undefined): URL[] {
  const parts = (text ?? "").split(",").map((part) => part.trim());
  return parts.filter((part) => part !== "").map((part) => url(name, part));
}

function url(name: string, text: string): URL {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed?.protocol === "http:" || parsed?.protocol === "https:") return parsed;
  // The text may hold a password, so it is not repeated.
  throw new ConfigError(`${name} is not an http or https URL, expected for example http://host:port/path`);
}
