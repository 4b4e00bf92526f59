import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { EngineConfig } from "./config.ts";
import { ClickHouseException } from "./exception.ts";

export type Role = "writer" | "reader";

const WRITER = "tidemark";
const READER = "reader";

/**
 * Who asks: Basic auth, X-ClickHouse-User and -Key headers, or `user` and `password` in the URL, as a ClickHouse
 * server takes them. No credentials at all (or the driver's `default` without a password) means the reader.
 * Throws AUTHENTICATION_FAILED without telling whether user or password was wrong.
 */
export function authenticate(headers: IncomingHttpHeaders, url: URLSearchParams, config: EngineConfig): Role {
  const { user, password } = credentials(headers, url);
  if (user === WRITER && same(password, config.writerPassword)) return "writer";
  const reader = user === READER || (user === "default" && password === "");
  if (reader && (config.readerPassword === "" || same(password, config.readerPassword))) return "reader";
  throw new ClickHouseException(
    516,
    `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
    "AUTHENTICATION_FAILED",
  );
}

function credentials(headers: IncomingHttpHeaders, url: URLSearchParams): { user: string; password: string } {
  const basic = /^Basic\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  if (basic !== undefined) {
    const text = Buffer.from(basic, "base64").toString("utf8");
    const colon = text.indexOf(":");
    return { user: colon < 0 ? text : text.slice(0, colon), password: colon < 0 ? "" : text.slice(colon + 1) };
  }
  const user = headers["x-clickhouse-user"] ?? url.get("user");
  const password = headers["x-clickhouse-key"] ?? url.get("password");
  return { user: one(user) || READER, password: one(password) };
}

function one(value: string | string[] | null | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? "";
}

function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
