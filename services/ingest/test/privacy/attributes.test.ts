import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  AttributeRules,
  DROP,
  Glob,
  KEEP,
  REDACT_QUERY,
  REDACT_URL,
  SCRUB_SQL,
} from "../../src/privacy/attribute-rules.ts";
import { redactQuery, redactUrl } from "../../src/privacy/url.ts";

describe("by default", () => {
  const rules = new AttributeRules([]);

  test.each([
    "http.request.header.authorization",
    "http.request.header.proxy-authorization",
    "http.request.header.cookie",
    "http.response.header.set-cookie",
    "http.response.header.set_cookie",
    "http.request.header.x-api-key",
    "http.request.header.x_api_key",
    "http.request.header.X-Auth-Token",
    "http.request.header.x-amz-security-token",
    "user.password",
    "PASSWORD",
    "db_passwd",
    "clientSecret",
    "aws.secret_access_key",
    "authToken",
    "access_token",
    "github.token",
    "private_key",
    "db.query.parameter.0",
    "db.operation.parameter.email",
    "db.connection_string",
  ])("%s is dropped", (key) => {
    expect(rules.rule(key)).toBe(DROP);
  });

  test.each([
    ["db.query.text", SCRUB_SQL],
    ["db.statement", SCRUB_SQL],
    ["url.full", REDACT_URL],
    ["http.url", REDACT_URL],
    ["http.target", REDACT_URL],
    ["url.query", REDACT_QUERY],
  ])("%s is cleaned", (key, rule) => {
    expect(rules.rule(key)).toBe(rule);
  });

  test.each([
    "gen_ai.usage.input_tokens",
    "gen_ai.token.type",
    "session.id",
    "enduser.id",
    "http.request.header.content-type",
    "messaging.message.id",
    "secretary.name",
    "code.function.name",
    "",
  ])("%s is kept", (key) => {
    expect(rules.rule(key)).toBe(KEEP);
  });

  test("every attribute of our own agents is kept, but for the statement's text, which is cleaned", () => {
    const page = readFileSync(new URL("../../../../docs/metrics.md", import.meta.url), "utf8");
    const names = new Set([...page.matchAll(/`([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)`/g)].map(([, name]) => name!));
    expect(names.size).toBeGreaterThan(50);
    expect([...names].filter((name) => rules.rule(name) !== KEEP)).toEqual(["db.query.text"]);
  });
});

test("patterns of the operator's drop more, and keep what would be dropped", () => {
  const rules = new AttributeRules(["user.*", "*.Email", "!app.token", "!user.id", "!db.query.text"]);
  expect(["user.name", "a.b.email", "password"].map((key) => rules.rule(key))).toEqual([DROP, DROP, DROP]);
  expect(["app.token", "user.id", "db.query.text", "username"].map((key) => rules.rule(key))).toEqual([
    KEEP,
    KEEP,
    KEEP,
    KEEP,
  ]);
});

test("a pattern's stars stand for any text, also none", () => {
  const matches = (pattern: string, text: string) => new Glob(pattern).matches(text);
  expect([matches("a*b*c", "abc"), matches("a*b*c", "axxbyyc"), matches("*", ""), matches("a*a", "aa")]).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect([matches("a*b*c", "acb"), matches("a*a", "a"), matches("ab", "abc"), matches("*b*", "aca")]).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

describe("a URL keeps the names of its parameters and no value", () => {
  test.each([
    [
      "https://u:s3cret@shop.example/a?page=2&token=s3cret#s3cret",
      "https://REDACTED:REDACTED@shop.example/a?page=REDACTED&token=REDACTED#REDACTED",
    ],
    ["https://shop.example/a@b/c", "https://shop.example/a@b/c"],
    ["/books?q=s3cret", "/books?q=REDACTED"],
    ["/callback?s3cret", "/callback?REDACTED"],
    ["/a?x=&y", "/a?x=&REDACTED"],
    ["/a?with space s3cret=1", "/a?REDACTED=REDACTED"],
    ["/books", "/books"],
    ["", ""],
    ["http://[::1]:8080/?a=1;b=2", "http://[::1]:8080/?a=REDACTED&b=REDACTED"],
  ])("%s", (url, redacted) => {
    expect(redactUrl(url)).toBe(redacted);
    expect(redactUrl(redacted)).toBe(redacted);
  });

  test("a query alone, with or without its question mark", () => {
    expect(redactQuery("a=1&b=2")).toBe("a=REDACTED&b=REDACTED");
    expect(redactQuery("?a=1")).toBe("?a=REDACTED");
  });
});
