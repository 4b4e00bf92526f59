import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Role } from "./auth.ts";
import type { Incoming } from "./body.ts";
import { spool } from "./body.ts";
import type { EngineConfig } from "./config.ts";
import { type Answer, EmbeddedEngine } from "./embedded.ts";
import { ClickHouseException, readOnly, toException } from "./exception.ts";
import { Gate } from "./gate.ts";
import { checkText, checkTree } from "./guard.ts";
import type { RequestSettings } from "./settings.ts";
import { quoteString } from "./sql/lexer.ts";

const INSERT_SLOTS = 2;
const WRITER_SLOTS = 4;
const WRITER_QUEUE = 1000;
const WRITER_SECONDS = 3600;
/** A reader's query may take this share of the engine's memory; its whole result is held once more on the way out. */
const READER_MEMORY_SHARE = 0.4;
const READER_RESULT_BYTES = 256 * 1024 * 1024;

/** One authenticated request. */
export interface Request {
  role: Role;
  incoming: Incoming;
  format: string;
  database: string;
  asked: RequestSettings;
  signal: AbortSignal;
}

/** Counters for `/metrics`. */
export interface Counters {
  queries: Record<string, number>;
  seconds: Record<string, number>;
  errors: Record<string, number>;
  insertedBytes: number;
}

/** Runs requests on the engine: who may do what, how many at once, inserts through files. */
export class EngineService {
  readonly engine: EmbeddedEngine;
  readonly readers: Gate;
  readonly writers = new Gate(WRITER_SLOTS, WRITER_QUEUE);
  readonly inserts = new Gate(INSERT_SLOTS, WRITER_QUEUE);
  readonly counters: Counters = { queries: {}, seconds: {}, errors: {}, insertedBytes: 0 };
  private readonly config: EngineConfig;
  private tableFunctions: Promise<ReadonlySet<string>> | undefined;

  constructor(config: EngineConfig) {
    this.config = config;
    this.engine = new EmbeddedEngine(join(config.dataDirectory, "engine"), config.memoryBytes);
    this.readers = new Gate(config.readers, config.readerQueue);
  }

  /** Rejects with a ClickHouseException. */
  async run(request: Request): Promise<Answer> {
    const kind = request.incoming.rows !== undefined ? "insert" : request.role === "reader" ? "read" : "write";
    const started = performance.now();
    try {
      if (kind === "insert") return await this.insert(request);
      if (kind === "read") return await this.read(request);
      return await this.writers.run(() => this.engine.run(this.query(request, request.incoming.sql)));
    } catch (error) {
      this.counters.errors[kind] = (this.counters.errors[kind] ?? 0) + 1;
      throw error;
    } finally {
      this.counters.queries[kind] = (this.counters.queries[kind] ?? 0) + 1;
      this.counters.seconds[kind] = (this.counters.seconds[kind] ?? 0) + (performance.now() - started) / 1e3;
    }
  }

  private query(request: Request, sql: string) {
    return {
      sql,
      format: request.format,
      database: request.database,
      settings: request.asked.settings,
      params: request.asked.params,
      readOnly: false,
      limits: { maxExecutionSeconds: request.asked.maxExecutionSeconds ?? WRITER_SECONDS },
      signal: request.signal,
    };
  }

  /** Inline rows end at the first blank line and the rest would run as SQL, so rows go through a file, whatever the format. */
  private async insert(request: Request): Promise<Answer> {
    const { incoming, role } = request;
    const insert = incoming.statement.insert!;
    if (role === "reader") {
      incoming.rows!.resume();
      throw readOnly("reader: Cannot execute query in readonly mode");
    }
    const file = join(this.engine.temporaryDirectory, `${randomUUID()}.rows`);
    try {
      const bytes = await spool(incoming.rows!, file);
      if (bytes === 0) return { bytes: new Uint8Array(), elapsedSeconds: 0, rows: 0, rowsBytes: 0 };
      const settings = insert.settings === undefined ? "" : ` SETTINGS ${insert.settings}`;
      const sql = `${insert.target} FROM INFILE ${quoteString(file)} COMPRESSION 'none'${settings} FORMAT ${insert.format}`;
      const { signal: _, ...query } = this.query(request, sql);
      // A client that went away may retry the same rows under its token, so what began is finished.
      const answer = await this.inserts.run(() => this.engine.run(query));
      this.counters.insertedBytes += bytes;
      return answer;
    } catch (error) {
      throw withoutFile(error);
    } finally {
      await rm(file, { force: true });
    }
  }

  private async read(request: Request): Promise<Answer> {
    const tableFunctions = await this.allTableFunctions();
    const sql = checkText(request.incoming.sql, tableFunctions);
    const limits = {
      maxExecutionSeconds: Math.min(
        request.asked.maxExecutionSeconds ?? this.config.readerSeconds,
        this.config.readerSeconds,
      ),
      maxMemoryBytes: Math.floor(this.config.memoryBytes * READER_MEMORY_SHARE),
      maxResultBytes: READER_RESULT_BYTES,
    };
    const check = (tree: string): void => checkTree(tree, request.database, tableFunctions);
    return this.readers.run(() =>
      this.engine.run({ ...this.query(request, sql), readOnly: true, limits, checkTree: check }),
    );
  }

  private allTableFunctions(): Promise<ReadonlySet<string>> {
    this.tableFunctions ??= this.engine
      .run({
        sql: "SELECT lower(name) FROM system.table_functions",
        format: "TSV",
        database: "default",
        settings: {},
        params: {},
        readOnly: true,
        limits: { maxExecutionSeconds: 10 },
      })
      .then((answer) => new Set(new TextDecoder().decode(answer.bytes).trim().split("\n")));
    return this.tableFunctions;
  }
}

/** The engine names the temporary file the rows went through; the caller sent a body and shall not learn our paths. */
function withoutFile(error: unknown): ClickHouseException {
  const exception = toException(error);
  const message = exception.message.replace(/:? ?\(in file\/uri [^)]*\)/g, "").replace(/'?\/\S*\.rows'?/g, "the body");
  return new ClickHouseException(exception.code, message, "");
}
