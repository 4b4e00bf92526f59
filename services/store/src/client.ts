import { type ClickHouseClient, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { DATABASE } from "./tables.ts";

const REQUEST_TIMEOUT_MS = 60_000;

const READER = "reader";
const urls = new WeakMap<ClickHouseClient, string>();

export type StoreClient = ClickHouseClient;

export interface StoreClientOptions {
  /** For look-ups only: the server refuses writes and DDL whoever the URL's user is. */
  readOnly?: boolean;
  /** Name in the server's query log. */
  application?: string;
  /** Overrides the database of the URL. */
  database?: string;
  /** Requests on the wire at once. */
  maxOpenConnections?: number;
}

/** A URL taken apart; `database` is the path's first part, `tidemark` where there is none. */
export interface StoreUrl {
  url: string;
  username: string;
  password: string;
  database: string;
}

/**
 * Reads `http://user:password@host:port/database`.
 * Throws with the variable's name and without the password for what is not an http(s) URL.
 */
export function parseStoreUrl(text: string): StoreUrl {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error("TIDEMARK_CLICKHOUSE_URL is not a URL: expected http://user:password@host:8123/tidemark.");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new Error(
      `TIDEMARK_CLICKHOUSE_URL begins with ${url.protocol}: expected http: or https: (the HTTP interface, port 8123).`,
    );
  }
  return {
    url: url.origin,
    username: decodeURIComponent(url.username) || READER,
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.split("/")[1] ?? "") || DATABASE,
  };
}

/** A client of a ClickHouse server or of the embedded engine: nothing tells them apart but the URL. */
export function createStoreClient(text: string, options: StoreClientOptions = {}): StoreClient {
  const { url, username, password, database } = parseStoreUrl(text);
  const client = createClient({
    url,
    username,
    password,
    database: options.database ?? database,
    application: options.application ?? "tidemark",
    request_timeout: REQUEST_TIMEOUT_MS,
    max_open_connections: options.maxOpenConnections ?? 10,
    compression: { request: false, response: true },
    // Every error reaches the caller, who logs it in the service's own format.
    log: { level: ClickHouseLogLevel.OFF },
    // `reader` is read-only by itself, and a read-only user may not set this again.
    clickhouse_settings: options.readOnly === true && username !== READER ? { readonly: "1" } : {},
  });
  urls.set(client, text);
  return client;
}

/** The URL a client was made from; undefined for one that {@link createStoreClient} did not make. */
export function urlOfClient(client: StoreClient): string | undefined {
  return urls.get(client);
}
