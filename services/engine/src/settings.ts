import { ClickHouseException, notImplemented } from "./exception.ts";

/** Keys of the HTTP interface itself: not settings. */
const INTERFACE_KEYS = new Set(
  (
    "query database default_format user password query_id compress decompress client_protocol_version quota_key role buffer_size " +
    "wait_end_of_query enable_http_compression http_zlib_compression_level add_http_cors_header send_progress_in_http_headers " +
    "http_headers_progress_interval_ms http_write_exception_in_output_format cancel_http_readonly_queries_on_client_close " +
    "session_timeout session_check close_session log_queries log_comment async_insert wait_for_async_insert readonly " +
    "http_response_buffer_size output_format_parallel_formatting"
  ).split(" "),
);

/** What a reader may set: how a result looks, and limits, which can only get tighter. */
const READER_SETTING =
  /^(output_format_\w+|format_\w+|date_time_output_format|date_time_input_format|session_timezone|join_use_nulls|max_result_rows|result_overflow_mode|max_rows_to_read|max_bytes_to_read|read_overflow_mode|limit|offset|extremes|final|aggregate_functions_null_for_empty|group_by_use_nulls|use_query_cache|max_block_size|optimize_\w+|enable_analyzer|max_threads|short_circuit_function_evaluation|prefer_localhost_replica|transform_null_in|additional_result_filter)$/;
const READER_FORBIDDEN = /^format_schema|^format_template|^format_avro|_path$|_url$/;
const SETTING_NAME = /^[a-z][a-z0-9_]*$/i;
const PARAM_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MAX_READER_THREADS = 4;

/** Settings and parameters of one request, and how long it may run. */
export interface RequestSettings {
  settings: Record<string, string>;
  params: Record<string, string>;
  maxExecutionSeconds: number | undefined;
}

/**
 * Sorts the keys of the query string. Throws UNKNOWN_SETTING for a name that cannot be one, READONLY for a setting
 * the reader may not change, NOT_IMPLEMENTED for sessions and ClickHouse's own block compression.
 */
export function readSettings(url: URLSearchParams, reader: boolean): RequestSettings {
  const settings: Record<string, string> = {};
  const params: Record<string, string> = {};
  let maxExecutionSeconds: number | undefined;
  for (const [key, value] of url) {
    if (key.startsWith("param_")) {
      const name = key.slice("param_".length);
      if (!PARAM_NAME.test(name)) throw new ClickHouseException(36, `Bad parameter name '${name}'`, "BAD_ARGUMENTS");
      params[name] = value;
    } else if (key === "session_id") {
      throw notImplemented("HTTP sessions are not supported by the embedded engine: leave session_id out");
    } else if ((key === "compress" || key === "decompress") && value !== "0" && value !== "false") {
      throw notImplemented("ClickHouse block compression is not supported by the embedded engine: use gzip or none");
    } else if (key === "max_execution_time") {
      const seconds = Number(value);
      if (!(seconds >= 0)) throw new ClickHouseException(36, `max_execution_time is '${value}'`, "BAD_ARGUMENTS");
      if (seconds > 0) maxExecutionSeconds = seconds;
    } else if (!INTERFACE_KEYS.has(key)) {
      if (!SETTING_NAME.test(key)) throw new ClickHouseException(115, `Unknown setting '${key}'`, "UNKNOWN_SETTING");
      if (reader) checkReaderSetting(key, value);
      settings[key] = value;
    }
  }
  return { settings, params, maxExecutionSeconds };
}

function checkReaderSetting(name: string, value: string): void {
  if (!READER_SETTING.test(name) || READER_FORBIDDEN.test(name)) {
    throw new ClickHouseException(164, `Cannot modify '${name}' setting in readonly mode`, "READONLY");
  }
  if (name === "max_threads" && !(Number(value) <= MAX_READER_THREADS)) {
    throw new ClickHouseException(
      452,
      `Setting max_threads should not be greater than ${MAX_READER_THREADS}`,
      "SETTING_CONSTRAINT_VIOLATION",
    );
  }
}
