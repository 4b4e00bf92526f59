import { request } from "undici";
import { Refused } from "./delivery.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const TOO_MANY_REQUESTS = 429;
const REQUEST_TIMEOUT = 408;
const MAX_DETAIL_CHARACTERS = 200;

/**
 * Sends JSON. A user and password in the URL become basic authentication.
 *
 * @throws Refused on a 3xx or 4xx other than 408 and 429, as Alertmanager's own notifiers do;
 *   Error on anything that may pass: no connection, time-out, 5xx.
 */
export async function postJson(target: URL, body: unknown, signal: AbortSignal): Promise<void> {
  const url = new URL(target);
  const headers: Record<string, string> = { "content-type": "application/json", "user-agent": "tidemark-alerts" };
  if (url.username || url.password) {
    const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.authorization = `Basic ${Buffer.from(user).toString("base64")}`;
    url.username = "";
    url.password = "";
  }
  const response = await request(url, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal,
    headersTimeout: REQUEST_TIMEOUT_MS,
    bodyTimeout: REQUEST_TIMEOUT_MS,
  });
  const { statusCode } = response;
  if (statusCode >= 200 && statusCode < 300) {
    await response.body.dump();
    return;
  }
  const text = (await response.body.text()).slice(0, MAX_DETAIL_CHARACTERS);
  const detail = `answered ${statusCode}${text ? `: ${text}` : ""}`;
  const mayPass = statusCode >= 500 || statusCode === TOO_MANY_REQUESTS || statusCode === REQUEST_TIMEOUT;
  throw mayPass ? new Error(detail) : new Refused(detail);
}

/** Host of a URL, without user, password, path and query: those may hold a secret. */
export const publicName = (url: URL): string => url.host;
