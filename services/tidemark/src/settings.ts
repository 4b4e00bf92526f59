import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

/** A mistake of the user's that has one sentence of explanation; the command line prints it without a stack. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Where the services of one Tidemark listen and keep their data. Ports are TCP ports on `host`. */
export interface Settings {
  readonly dataDir: string;
  readonly host: string;
  readonly otlpPort: number;
  /** OTLP/gRPC; 0 for any free port, `off` for none. */
  readonly otlpGrpcPort: number | "off";
  readonly clickhousePort: number;
  readonly viewerPort: number;
  readonly alertsPort: number;
  /** A ClickHouse server to use instead of the embedded engine. */
  readonly clickhouseUrl: string | undefined;
  readonly token: string | undefined;
  /** Tokens per source; absent: there are none. */
  readonly tokensFile: string | undefined;
  /** The ingest speaks TLS. */
  readonly tls: boolean;
}

export interface SettingsFlags {
  dataDir?: string;
  host?: string;
  otlpPort?: string;
  otlpGrpcPort?: string;
  clickhousePort?: string;
  viewerPort?: string;
  alertsPort?: string;
  clickhouseUrl?: string;
}

export const DEFAULT_DATA_DIR = ".tidemark";

/**
 * Flags before `TIDEMARK_*` variables before defaults.
 *
 * @throws UsageError where a port is no port or the host is not loopback and no token is set.
 */
export function readSettings(flags: SettingsFlags, env: NodeJS.ProcessEnv): Settings {
  const host = flags.host ?? env.TIDEMARK_OTLP_HOST ?? "127.0.0.1";
  const token = env.TIDEMARK_TOKEN || undefined;
  const inDataDir = defaultTokensFile(flags.dataDir, env);
  const tokensFile = env.TIDEMARK_TOKENS_FILE || existsSync(inDataDir) ? inDataDir : undefined;
  if (!isLoopback(host) && !token && !tokensFile) {
    throw new UsageError(
      `Listening on ${host} makes the ingest reachable from other machines: set TIDEMARK_TOKEN to a secret that the agents send too, or make a token per source with \`tidemark token create\`.`,
    );
  }
  return {
    dataDir: resolve(flags.dataDir ?? env.TIDEMARK_DATA_DIR ?? DEFAULT_DATA_DIR),
    host,
    otlpPort: port(flags.otlpPort, env, "TIDEMARK_OTLP_PORT", 4318),
    otlpGrpcPort: grpcPort(flags.otlpGrpcPort, env),
    clickhousePort: port(flags.clickhousePort, env, "TIDEMARK_CLICKHOUSE_PORT", 8123),
    viewerPort: port(flags.viewerPort, env, "TIDEMARK_VIEWER_PORT", 4300),
    alertsPort: port(flags.alertsPort, env, "TIDEMARK_ALERTS_PORT", 4301),
    clickhouseUrl: flags.clickhouseUrl ?? (env.TIDEMARK_CLICKHOUSE_URL || undefined),
    token,
    tokensFile,
    tls: Boolean(env.TIDEMARK_TLS_CERT_FILE),
  };
}

/** TIDEMARK_TOKENS_FILE, or `tokens.json` in the data directory. */
export function defaultTokensFile(dataDir: string | undefined, env: NodeJS.ProcessEnv): string {
  if (env.TIDEMARK_TOKENS_FILE) return resolve(env.TIDEMARK_TOKENS_FILE);
  return resolve(dataDir ?? env.TIDEMARK_DATA_DIR ?? DEFAULT_DATA_DIR, "tokens.json");
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/**
 * Makes the data directory and checks that it can be written.
 *
 * @throws UsageError naming the directory.
 */
export function prepareDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UsageError(
      `The data directory ${dataDir} can't be written (${(error as Error).message}). Name another with --data-dir or TIDEMARK_DATA_DIR.`,
    );
  }
}

/** The password of the engine's writer: made once per data directory, readable by its owner only. */
export function writerPassword(dataDir: string): string {
  const path = resolve(dataDir, "engine-password");
  if (existsSync(path)) return readFileSync(path, "utf8").trim();
  const password = randomBytes(24).toString("base64url");
  writeFileSync(path, `${password}\n`, { mode: 0o600 });
  return password;
}

function grpcPort(flag: string | undefined, env: NodeJS.ProcessEnv): number | "off" {
  const text = flag ?? env.TIDEMARK_OTLP_GRPC_PORT;
  if (text === "off") return "off";
  return text === "0" ? 0 : port(text, env, "TIDEMARK_OTLP_GRPC_PORT", 4317);
}

function port(flag: string | undefined, env: NodeJS.ProcessEnv, variable: string, fallback: number): number {
  const text = flag ?? env[variable];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535) {
    throw new UsageError(`'${text}' is not a TCP port (1 to 65535): check ${variable} or its flag.`);
  }
  return value;
}
