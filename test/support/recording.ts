import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { shiftTimes } from "./otlp-bytes.ts";
import { ROOT } from "./tidemark.ts";

export const RECORDING = join(ROOT, "test", "bench", "recordings", "demo-30min.otlp.br");
const DAY_MS = 86_400_000;
const LINE_END = "\n".charCodeAt(0);
/** 16 MiB, the most that every Brotli decoder takes. */
const BROTLI_WINDOW_BITS = 24;

/** One OTLP request that the ingest acknowledged. */
export interface RecordedRequest {
  /** Arrival, milliseconds since the recording's start. */
  readonly ms: number;
  readonly path: string;
  readonly contentType: string;
  /** Bytes of the body on the wire, compressed as the sender chose. */
  readonly wireBytes: number;
  readonly body: Buffer;
}

/** What a recording is of. */
export interface RecordingHeader {
  /** When its first request arrived, ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  /** Between two exports of an agent. */
  readonly exportIntervalSeconds: number;
  /** What stood where the machine's own names were. */
  readonly note: string;
}

export interface Recording {
  readonly header: RecordingHeader;
  readonly requests: readonly RecordedRequest[];
}

/** A line of JSON about the whole, then for every request a line of JSON and the body; all of it in Brotli. */
export function encodeRecording({ header, requests }: Recording): Buffer {
  const line = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value)}\n`);
  const plain = Buffer.concat([
    line(header),
    ...requests.flatMap(({ body, ...about }) => [line({ ...about, bytes: body.length }), body]),
  ]);
  return brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: BROTLI_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
}

export function decodeRecording(file: Buffer): Recording {
  const plain = brotliDecompressSync(file);
  let position = 0;
  const line = <T>(): T => {
    const end = plain.indexOf(LINE_END, position);
    const value = JSON.parse(plain.subarray(position, end).toString()) as T;
    position = end + 1;
    return value;
  };
  const header = line<RecordingHeader>();
  const requests: RecordedRequest[] = [];
  while (position < plain.length) {
    const { bytes, ...about } = line<Omit<RecordedRequest, "body"> & { bytes: number }>();
    requests.push({ ...about, body: plain.subarray(position, position + bytes) });
    position += bytes;
  }
  return { header, requests };
}

/**
 * The recording as if it had ended before `now`: times are moved by whole days, so that seconds, minutes and hours
 * are as recorded, and nothing is older than a day and the recording's length.
 */
export function readRecording(now = Date.now(), path = RECORDING): Recording {
  const { header, requests } = decodeRecording(readFileSync(path));
  const start = Date.parse(header.startedAt);
  const days = Math.floor((now - start - header.seconds * 1000) / DAY_MS);
  const moved = requests.map((request) => ({
    ...request,
    body: shiftTimes(request.body, request.path, isJson(request), days * DAY_MS),
  }));
  return { header: { ...header, startedAt: new Date(start + days * DAY_MS).toISOString() }, requests: moved };
}

export function isJson({ contentType }: Pick<RecordedRequest, "contentType">): boolean {
  return contentType.startsWith("application/json");
}
