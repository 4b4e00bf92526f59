/** An error in ClickHouse's own shape; `code` is a number of its `ErrorCodes.cpp`. */
export class ClickHouseException extends Error {
  readonly code: number;

  constructor(code: number, message: string, name: string) {
    super(message.startsWith("Code: ") ? message : `Code: ${code}. DB::Exception: ${message}. (${name})`);
    this.name = "ClickHouseException";
    this.code = code;
  }
}

const UNKNOWN_EXCEPTION = 1002;

/** Any error as a {@link ClickHouseException}; what the engine itself said is kept word for word. */
export function toException(error: unknown): ClickHouseException {
  if (error instanceof ClickHouseException) return error;
  const message = error instanceof Error ? error.message : String(error);
  const engine = /Code: (\d+)\. DB::Exception: [\s\S]*/.exec(message);
  if (engine !== null) return new ClickHouseException(Number(engine[1]), once(engine[0]), "");
  return new ClickHouseException(UNKNOWN_EXCEPTION, message, "UNKNOWN_EXCEPTION");
}

/** An exception that the engine wrapped in another of the same code says everything twice. */
function once(message: string): string {
  const inner = message.trimEnd().replace(/ \(version [^)]*\)/g, "");
  return inner.replace(
    /^(Code: (\d+)\. DB::Exception: )Code: \2\. DB::Exception: ([\s\S]*?)( \([A-Z_]+\))\.?\4$/,
    "$1$3$4",
  );
}

const BY_STATUS: Record<number, readonly number[]> = {
  400: [6, 20, 25, 26, 27, 36, 38, 41, 43, 53, 62, 69, 72, 117, 131, 172, 280, 396, 427, 456, 457, 600, 632],
  401: [194],
  403: [164, 192, 193, 291, 446, 497, 516],
  404: [46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 511],
  408: [159],
  411: [381],
  413: [307, 436],
  501: [48, 344],
  503: [76, 202, 209, 236],
};
const STATUS = new Map(Object.entries(BY_STATUS).flatMap(([status, codes]) => codes.map((c) => [c, Number(status)])));

/**
 * The HTTP status a ClickHouse server gives an exception; 500 for all it does not name.
 * Source: ClickHouse `src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`; 202 (too many queries) is 503 here so that clients try again.
 */
export function httpStatus(code: number): number {
  return STATUS.get(code) ?? 500;
}

export const syntaxError = (message: string) => new ClickHouseException(62, message, "SYNTAX_ERROR");
export const accessDenied = (message: string) => new ClickHouseException(497, message, "ACCESS_DENIED");
export const notImplemented = (message: string) => new ClickHouseException(48, message, "NOT_IMPLEMENTED");
export const readOnly = (message: string) => new ClickHouseException(164, message, "READONLY");
