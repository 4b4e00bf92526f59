import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join, resolve } from "node:path";

const DEFAULT_PORT = 8123;
const DEFAULT_MEMORY_SHARE = 0.25;
const MIN_MEMORY_BYTES = 256 * 1024 * 1024;
const PASSWORD_BYTES = 24;
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];
const UNITS: Record<string, number> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

export interface EngineConfig {
  host: string;
  port: number;
  /** The engine keeps everything in `<dataDirectory>/engine`. */
  dataDirectory: string;
  /** Password of the user `tidemark`, who may do everything. */
  writerPassword: string;
  /** Password of the user `reader`; empty: none asked, which is allowed on loopback only. */
  readerPassword: string;
  /** Upper bound of the engine's memory, bytes. */
  memoryBytes: number;
  /** Read-only queries that run at once; further ones wait. */
  readers: number;
  /** Read-only queries that may wait; beyond it they are refused with code 202. */
  readerQueue: number;
  /** Longest time a read-only query may run, seconds; a request may ask for less. */
  readerSeconds: number;
  /** Level of the JSON log lines: `silent`, `error`, `warn`, `info`, `debug`. */
  logLevel: string;
}

/** Everything but where the data is has a default that suits a laptop. */
export function engineConfig(
  options: Partial<EngineConfig> & Pick<EngineConfig, "dataDirectory" | "writerPassword">,
): EngineConfig {
  return {
    host: "127.0.0.1",
    port: DEFAULT_PORT,
    readerPassword: "",
    memoryBytes: Math.floor(totalmem() * DEFAULT_MEMORY_SHARE),
    readers: 4,
    readerQueue: 64,
    readerSeconds: 60,
    logLevel: "info",
    ...options,
  };
}

/**
 * Reads the environment. Throws a sentence with the variable's name for a value that makes no sense.
 * Without TIDEMARK_ENGINE_WRITER_PASSWORD a password is made once and kept in `<dir>/engine-password`, mode 0600.
 */
export function configFromEnvironment(env: NodeJS.ProcessEnv): EngineConfig {
  const dataDirectory = resolve(env.TIDEMARK_DATA_DIR || ".tidemark");
  const host = env.TIDEMARK_CLICKHOUSE_HOST || "127.0.0.1";
  const readerPassword = env.TIDEMARK_ENGINE_READER_PASSWORD ?? "";
  if (!isLoopback(host) && readerPassword === "") {
    throw new Error(
      `TIDEMARK_CLICKHOUSE_HOST is ${host}: set TIDEMARK_ENGINE_READER_PASSWORD before listening beyond this machine.`,
    );
  }
  const memory = env.TIDEMARK_ENGINE_MEMORY;
  return engineConfig({
    dataDirectory,
    host,
    readerPassword,
    port: integer(env, "TIDEMARK_CLICKHOUSE_PORT", DEFAULT_PORT, 0, 65_535),
    readers: integer(env, "TIDEMARK_ENGINE_READERS", 4, 1, 8),
    readerQueue: integer(env, "TIDEMARK_ENGINE_READER_QUEUE", 64, 0, 10_000),
    readerSeconds: integer(env, "TIDEMARK_ENGINE_READER_SECONDS", 60, 1, 3600),
    logLevel: logLevel(env.TIDEMARK_LOG_LEVEL || "info"),
    writerPassword: env.TIDEMARK_ENGINE_WRITER_PASSWORD || keptPassword(dataDirectory),
    ...(memory ? { memoryBytes: memoryBytes(memory) } : {}),
  });
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** `2g`, `512m`, `25%` of the machine's memory, or bytes. */
function memoryBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg%]?)(?:i?b)?$/i.exec(text.trim());
  const unit = match?.[2]?.toLowerCase() ?? "";
  const factor = unit === "%" ? totalmem() / 100 : UNITS[unit];
  const bytes = match === null || factor === undefined ? Number.NaN : Math.floor(Number(match[1]) * factor);
  if (!(bytes >= MIN_MEMORY_BYTES)) {
    throw new Error(`TIDEMARK_ENGINE_MEMORY is "${text}": expected bytes, 512m, 2g or 25%, and at least 256m.`);
  }
  return bytes;
}

function logLevel(level: string): string {
  if (!LOG_LEVELS.includes(level)) {
    throw new Error(`TIDEMARK_LOG_LEVEL is "${level}": expected one of ${LOG_LEVELS.join(", ")}.`);
  }
  return level;
}

function integer(env: NodeJS.ProcessEnv, name: string, fallback: number, min: number, max: number): number {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${name} is "${text}": expected a whole number from ${min} to ${max}.`);
  }
  return value;
}

function keptPassword(dataDirectory: string): string {
  const file = join(dataDirectory, "engine-password");
  try {
    mkdirSync(dataDirectory, { recursive: true });
    // "wx": of two starts at once one makes the file, the other reads it.
    writeFileSync(file, `${randomBytes(PASSWORD_BYTES).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EEXIST") {
      throw new Error(
        `Cannot write to the data directory ${dataDirectory} (${code}). Set TIDEMARK_DATA_DIR to a directory this user may write to.`,
      );
    }
  }
  return readFileSync(file, "utf8").trim();
}
