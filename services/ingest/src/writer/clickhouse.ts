import { Readable } from "node:stream";
import { Agent, request } from "undici";

const HEADERS_TIMEOUT_MS = 120_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_ERROR_BYTES = 4096;

/**
 * Errors that the same bytes will meet again: the data or its types do not fit the table. Everything else (network,
 * memory, read-only, a table or user that does not exist yet) can pass, so it is retried without end.
 * Source: ClickHouse, ErrorCodes.cpp.
 */
const PERMANENT: ReadonlySet<number> = new Set([
  6, // CANNOT_PARSE_TEXT
  8, // THERE_IS_NO_COLUMN
  9, // SIZES_OF_COLUMNS_DOESNT_MATCH
  25, // CANNOT_PARSE_ESCAPE_SEQUENCE
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  32, // ATTEMPT_TO_READ_AFTER_EOF
  33, // CANNOT_READ_ALL_DATA
  36, // BAD_ARGUMENTS
  38, // CANNOT_PARSE_DATE
  41, // CANNOT_PARSE_DATETIME
  43, // ILLEGAL_TYPE_OF_ARGUMENT
  50, // UNKNOWN_TYPE
  53, // TYPE_MISMATCH
  69, // ARGUMENT_OUT_OF_BOUND
  70, // CANNOT_CONVERT_TYPE
  72, // CANNOT_PARSE_NUMBER
  117, // INCORRECT_DATA
  128, // TOO_LARGE_ARRAY_SIZE
  131, // TOO_LARGE_STRING_SIZE
  190, // SIZES_OF_ARRAYS_DONT_MATCH
  271, // CANNOT_DECOMPRESS
  321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
  349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
  691, // UNKNOWN_ELEMENT_OF_ENUM
]);

/** ClickHouse answered with an exception. */
export class ClickHouseError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
  /** The same bytes will fail again. */
  get permanent(): boolean {
    return PERMANENT.has(this.code);
  }
}

/** Inserts `Native` bytes over ClickHouse's HTTP interface. `url` is `http://user:password@host:port/database`. */
export class ClickHouse {
  private readonly origin: string;
  private readonly database: string;
  private readonly headers: Record<string, string>;
  private readonly agent = new Agent({
    headersTimeout: HEADERS_TIMEOUT_MS,
    bodyTimeout: HEADERS_TIMEOUT_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });

  constructor(url: string) {
    const parsed = new URL(url);
    this.origin = parsed.origin;
    this.database = decodeURIComponent(parsed.pathname.slice(1)) || "tidemark";
    this.headers = { "content-type": "application/octet-stream" };
    if (parsed.username !== "") {
      this.headers["x-clickhouse-user"] = decodeURIComponent(parsed.username);
      this.headers["x-clickhouse-key"] = decodeURIComponent(parsed.password);
    }
  }

  /**
   * Inserts one body of `Native` blocks, at most once per token: ClickHouse drops the bytes when it has them already,
   * and completes the materialised views that a killed insert left behind. Throws ClickHouseError, or a network error.
   */
  async insert(
    table: string,
    columns: readonly string[],
    body: readonly Buffer[],
    token: string,
    signal: AbortSignal,
  ): Promise<void> {
    const names = columns.map((name) => `\`${name}\``).join(", ");
    const query = new URLSearchParams({
      database: this.database,
      query: `INSERT INTO ${table} (${names}) FORMAT Native`,
      insert_deduplication_token: token,
      insert_deduplicate: "1",
      deduplicate_blocks_in_dependent_materialized_views: "1",
      async_insert: "0",
      // On a cluster: answered after every shard has its rows, so that a failure of one is seen here and tried again.
      distributed_foreground_insert: "1",
    });
    await this.post(query, body, signal);
  }

  /** Which of the tables the database does not have. Throws ClickHouseError, or a network error. */
  async missing(tables: readonly string[], signal: AbortSignal): Promise<string[]> {
    const quote = (text: string) => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
    const query = `SELECT name FROM system.tables WHERE database = ${quote(this.database)} AND name IN (${tables.map(quote).join(", ")}) FORMAT TabSeparated`;
    const found = new Set((await this.post(new URLSearchParams(), query, signal)).split("\n"));
    return tables.filter((table) => !found.has(table));
  }

  private async post(query: URLSearchParams, body: readonly Buffer[] | string, signal: AbortSignal): Promise<string> {
    const isText = typeof body === "string";
    const bytes = isText ? Buffer.byteLength(body) : body.reduce((sum, piece) => sum + piece.length, 0);
    const response = await request(`${this.origin}/?${query}`, {
      method: "POST",
      // An insert that ends early is known by its length.
      headers: { ...this.headers, "content-length": String(bytes) },
      body: isText ? body : Readable.from(body, { objectMode: false }),
      signal,
      dispatcher: this.agent,
    });
    const answer = await response.body.text();
    const header = response.headers["x-clickhouse-exception-code"];
    if (response.statusCode === 200 && header === undefined) return answer;
    const code = Number(header ?? /Code: (\d+)/.exec(answer)?.[1] ?? 0);
    throw new ClickHouseError(code, answer.slice(0, MAX_ERROR_BYTES).trim() || `HTTP ${response.statusCode}`);
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }
}
