import { open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { ClickHouseException, notImplemented, syntaxError } from "./exception.ts";
import { type InsertHead, readStatement, type Statement } from "./sql/statement.ts";
import { YoungCollection } from "./young-collection.ts";

/** Most of a body that may be SQL, as ClickHouse's `max_query_size`, which only the part before inserted rows counts for. */
export const MAX_QUERY_BYTES = 1024 * 1024;
const HEAD_BYTES = 256 * 1024;
const WRITE_BYTES = 1024 * 1024;
const young = new YoungCollection();

/** What a request asks for: a statement, and for an INSERT the rows that follow it. */
export interface Incoming {
  sql: string;
  statement: Statement;
  /** Rows of an INSERT, to be written to a file; undefined for any other statement. */
  rows: Readable | undefined;
}

/**
 * Reads a request up to where its rows begin. The SQL may stand in the URL, in the body, or begin in one and end in the other.
 * Throws SYNTAX_ERROR for SQL over {@link MAX_QUERY_BYTES} and NOT_IMPLEMENTED for an encoding we cannot undo.
 */
export async function readIncoming(request: IncomingMessage, urlQuery: string): Promise<Incoming> {
  const body = decoded(request);
  const early = urlQuery === "" ? undefined : tryInsertHead(urlQuery);
  if (early !== undefined) {
    return {
      sql: urlQuery,
      statement: early,
      rows:
        early.insert.dataStart === urlQuery.length
          ? body
          : startingWith(Buffer.from(urlQuery.slice(early.insert.dataStart)), body),
    };
  }
  const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const parts: Buffer[] = urlQuery === "" ? [] : [Buffer.from(urlQuery)];
  let size = parts[0]?.length ?? 0;
  let ended = false;
  const read = async (upTo: number): Promise<void> => {
    while (!ended && size < upTo) {
      const chunk = await next(iterator);
      if (chunk === undefined) ended = true;
      else {
        parts.push(chunk);
        size += chunk.length;
      }
    }
  };
  await read(HEAD_BYTES);
  const head = Buffer.concat(parts);
  if (looksLikeInsert(head)) {
    const text = validUtf8Prefix(head);
    const statement = tryInsertHead(text);
    if (statement !== undefined) {
      const dataStart = Buffer.byteLength(text.slice(0, statement.insert.dataStart));
      const rest = ended ? undefined : remaining(iterator);
      return {
        sql: text.slice(0, statement.insert.dataStart),
        statement,
        rows: startingWith(head.subarray(dataStart), rest),
      };
    }
  }
  await read(MAX_QUERY_BYTES + 1);
  if (size > MAX_QUERY_BYTES) throw syntaxError(`Max query size exceeded: SQL of over ${MAX_QUERY_BYTES} bytes`);
  const sql = Buffer.concat(parts).toString("utf8");
  if (sql.includes("\0")) throw syntaxError("SQL must not hold a NUL byte");
  return { sql, statement: readStatement(sql), rows: undefined };
}

/**
 * Writes the rows to `file`; resolves to their number of bytes. Chunks of a body are 64 KiB and less, so they are gathered:
 * writing each by itself took a sixth of the CPU of an insert.
 */
export async function spool(rows: Readable, file: string): Promise<number> {
  const out = await open(file, "wx", 0o600);
  try {
    let size = 0;
    let waiting: Buffer[] = [];
    let waitingBytes = 0;
    const write = async (): Promise<void> => {
      const { bytesWritten } = await out.writev(waiting);
      if (bytesWritten !== waitingBytes) {
        throw new Error(`wrote ${bytesWritten} of ${waitingBytes} bytes of the rows: no space left`);
      }
      size += bytesWritten;
      waiting = [];
      waitingBytes = 0;
      young.allocated(bytesWritten);
    };
    const iterator = rows[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    for (let chunk = await next(iterator); chunk !== undefined; chunk = await next(iterator)) {
      waiting.push(chunk);
      waitingBytes += chunk.length;
      if (waitingBytes >= WRITE_BYTES) await write();
    }
    if (waitingBytes > 0) await write();
    return size;
  } finally {
    // Where writing failed, the rest is thrown away as it comes: the caller is still to hear why.
    rows.resume();
    await out.close();
  }
}

function decoded(request: IncomingMessage): Readable {
  const encoding = request.headers["content-encoding"]?.toLowerCase() ?? "identity";
  const unzip = { gzip: createGunzip, "x-gzip": createGunzip, deflate: createInflate, br: createBrotliDecompress }[
    encoding
  ];
  if (unzip !== undefined) {
    const stream = unzip();
    pipeline(request, stream).catch((error) => stream.destroy(error));
    return stream;
  }
  if (encoding === "identity" || encoding === "") return request;
  request.resume();
  throw notImplemented(`Content-Encoding ${encoding} is not supported: send gzip, deflate, br or none`);
}

async function next(iterator: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  try {
    const { value, done } = await iterator.next();
    return done === true ? undefined : value;
  } catch (error) {
    throw error instanceof ClickHouseException ? error : badBody(error);
  }
}

const badBody = (error: unknown) =>
  new ClickHouseException(354, `Cannot read the body: ${(error as Error).message}`, "CANNOT_DECOMPRESS");

const looksLikeInsert = (head: Buffer) =>
  /^(\s|\/\*[\s\S]*?\*\/|--[^\n]*\n)*INSERT\b/i.test(head.subarray(0, HEAD_BYTES).toString("latin1"));

/** Rows may be binary, so the text after the statement need not be UTF-8: only what is decodable before it counts. */
function validUtf8Prefix(bytes: Buffer): string {
  return bytes.toString("utf8");
}

function tryInsertHead(sql: string): (Statement & { insert: InsertHead }) | undefined {
  if (!looksLikeInsert(Buffer.from(sql.slice(0, HEAD_BYTES)))) return undefined;
  const statement = readStatement(sql);
  return statement.insert === undefined ? undefined : { ...statement, insert: statement.insert };
}

async function* remaining(iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  for (let chunk = await next(iterator); chunk !== undefined; chunk = await next(iterator)) yield chunk;
}

function startingWith(head: Buffer, rest: AsyncIterable<Buffer> | undefined): Readable {
  const out = new PassThrough();
  const source = async function* (): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    if (rest !== undefined) yield* rest;
  };
  pipeline(source(), out).catch((error) => out.destroy(error instanceof ClickHouseException ? error : badBody(error)));
  return out;
}
