import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Session } from "chdb";
import { ClickHouseException, toException } from "./exception.ts";
import { quoteIdentifier, quoteString } from "./sql/lexer.ts";

const MS_PER_S = 1e3;
const KILL_ATTEMPTS = 4;
const KILL_WAIT_SECONDS = 0.2;
const READER_NICE = "5";
const WILDCARD = /[*?{}]/;

/** What one query may use. Times in seconds, memory in bytes. */
export interface Limits {
  maxExecutionSeconds: number;
  maxMemoryBytes?: number;
  maxResultBytes?: number;
}

/** One query for the engine. */
export interface Query {
  sql: string;
  /** Format of the answer where the statement names none. */
  format: string;
  database: string;
  settings: Readonly<Record<string, string>>;
  /** Values of `{name:Type}` place-holders, in ClickHouse's escaped text form as the HTTP interface has them. */
  params: Readonly<Record<string, string>>;
  readOnly: boolean;
  /** Called with the tree of the statement (EXPLAIN AST) before it runs; what it throws stops the query. */
  checkTree?: (tree: string) => void;
  limits: Limits;
  /** Aborting stops the query inside the engine. */
  signal?: AbortSignal;
}

export interface Answer {
  bytes: Uint8Array;
  elapsedSeconds: number;
  rows: number;
  rowsBytes: number;
}

/**
 * The one chDB engine of this process.
 *
 * Every query gets a connection of its own (0.3 ms measured), closed afterwards: settings, parameters and the current
 * database of one caller never reach another, a long read holds up nobody, and `readonly = 1` is set last on a
 * connection nobody sees again. Queries run on libuv's pool, never on the event loop.
 */
export class EmbeddedEngine {
  readonly version: string;
  readonly timezone: string;
  readonly temporaryDirectory: string;
  private readonly path: string;
  private readonly control: Session;
  private stopped = false;
  private readonly running = new Set<Promise<unknown>>();

  /**
   * Opens (or creates) the data directory `<directory>`.
   * Throws a plain sentence when it cannot be written or when another process owns it.
   */
  constructor(directory: string, memoryBytes: number) {
    if (WILDCARD.test(directory)) {
      throw new Error(
        `The data directory ${directory} must not contain * ? { or }: the engine reads them as wildcards.`,
      );
    }
    this.path = join(directory, "data");
    this.temporaryDirectory = join(directory, "tmp");
    const configFile = join(directory, "engine.xml");
    try {
      mkdirSync(this.path, { recursive: true });
      mkdirSync(this.temporaryDirectory, { recursive: true });
      writeFileSync(configFile, serverConfiguration(memoryBytes));
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new Error(
        `Cannot write to the data directory ${directory} (${reason}). Set TIDEMARK_DATA_DIR to a directory this user may write to.`,
      );
    }
    this.control = open(this.path, directory, [`--config-file=${configFile}`]);
    for (const name of readdirSync(this.temporaryDirectory))
      rmSync(join(this.temporaryDirectory, name), { force: true });
    const [version, timezone] = this.control.query("SELECT version(), timezone()", "TSV").trim().split("\t");
    this.version = version ?? "";
    this.timezone = timezone ?? "UTC";
  }

  /** Runs one statement. Rejects with a {@link ClickHouseException}. */
  async run(query: Query): Promise<Answer> {
    if (this.stopped) throw new ClickHouseException(236, "The engine is shutting down", "ABORTED");
    const session = new Session(this.path);
    const work = this.runOn(session, query).finally(() => session.close());
    const settled = work.catch(() => {});
    this.running.add(settled);
    void settled.then(() => this.running.delete(settled));
    return work;
  }

  /** Waits at most `graceSeconds` for what runs, then cancels it and takes nothing more. */
  async drain(graceSeconds: number): Promise<void> {
    await this.settle(graceSeconds);
    this.stopped = true;
    for (let i = 0; i < KILL_ATTEMPTS && this.running.size > 0; i++) {
      await this.control.queryAsync("KILL QUERY WHERE query NOT LIKE '%system.processes%'").catch(() => {});
      await this.settle(KILL_WAIT_SECONDS);
    }
  }

  /** Releases the data directory. */
  close(): void {
    this.control.close();
  }

  private async settle(seconds: number): Promise<void> {
    const late = new AbortController();
    const timer = delay(seconds * MS_PER_S, undefined, { signal: late.signal }).catch(() => {});
    await Promise.race([Promise.all(this.running), timer]);
    late.abort();
  }

  private async runOn(session: Session, query: Query): Promise<Answer> {
    try {
      for (const statement of preamble(query)) await session.queryAsync(statement);
      if (query.checkTree !== undefined) {
        query.checkTree((await session.queryAsync(`EXPLAIN AST ${query.sql}`, { format: "TSVRaw" })).text());
      }
      const id = randomUUID();
      const kill = (): void => {
        void this.control.queryAsync(`KILL QUERY WHERE query LIKE '%tidemark-query:${id}%'`).catch(() => {});
      };
      if (query.signal?.aborted === true) throw cancelled();
      query.signal?.addEventListener("abort", kill, { once: true });
      try {
        const result = await session.queryAsync(`${query.sql}\n/* tidemark-query:${id} */`, { format: query.format });
        return {
          bytes: result.bytes(),
          elapsedSeconds: result.elapsed,
          rows: result.rowsRead,
          rowsBytes: result.bytesRead,
        };
      } finally {
        query.signal?.removeEventListener("abort", kill);
      }
    } catch (error) {
      throw toException(error);
    }
  }
}

const cancelled = (): ClickHouseException => new ClickHouseException(394, "Query was cancelled", "QUERY_WAS_CANCELLED");

/** Statements that prepare a fresh connection; `readonly` comes last, as nothing may be set after it. */
function preamble(query: Query): string[] {
  const settings: Record<string, string> = {
    max_execution_time: String(query.limits.maxExecutionSeconds),
    ...query.settings,
  };
  if (query.limits.maxMemoryBytes !== undefined) settings.max_memory_usage = String(query.limits.maxMemoryBytes);
  if (query.limits.maxResultBytes !== undefined) {
    settings.max_result_bytes = String(query.limits.maxResultBytes);
    settings.result_overflow_mode = "throw";
  }
  if (query.readOnly) {
    // A lower priority than the ingest's inserts and merges.
    settings.os_threads_nice_value_query = READER_NICE;
    settings.allow_python_table_function = "0";
    settings.allow_introspection_functions = "0";
  }
  const assignments = Object.entries(settings).map(([name, value]) => `${name} = ${quoteString(value)}`);
  for (const [name, value] of Object.entries(query.params)) assignments.push(`param_${name} = ${quoteString(value)}`);
  if (query.readOnly) assignments.push("readonly = 1");
  const statements = [`SET ${assignments.join(", ")}`];
  if (query.database !== "" && query.database !== "default") statements.push(`USE ${quoteIdentifier(query.database)}`);
  return statements;
}

function open(path: string, directory: string, connectionArgs: string[]): Session {
  try {
    return new Session(path, { connectionArgs });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const owner = ownerOf(path);
    if (owner !== undefined) {
      throw new Error(
        `The data directory ${directory} is in use by another engine process (${owner}). Stop it, or set TIDEMARK_DATA_DIR to another directory.`,
      );
    }
    throw new Error(`The engine cannot open ${directory}: ${message}`);
  }
}

/** The living process that the engine's lock file names; the lock itself dies with its process, so a stale file never blocks. */
function ownerOf(path: string): number | undefined {
  try {
    const pid = Number(/^PID: (\d+)/m.exec(readFileSync(join(path, "status"), "utf8"))?.[1]);
    if (!(pid > 0) || pid === process.pid) return undefined;
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM" ? -1 : undefined;
  }
}

function serverConfiguration(memoryBytes: number): string {
  return `<clickhouse><max_server_memory_usage>${Math.floor(memoryBytes)}</max_server_memory_usage><mark_cache_size>${Math.floor(memoryBytes / 16)}</mark_cache_size><uncompressed_cache_size>0</uncompressed_cache_size></clickhouse>\n`;
}
