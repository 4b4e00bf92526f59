/** What happens to an attribute; small numbers, because the decoder asks for every attribute it meets. */
export const KEEP = 0;
export const DROP = 1;
export const SCRUB_SQL = 2;
export const REDACT_URL = 3;
export const REDACT_QUERY = 4;
export type Rule = typeof KEEP | typeof DROP | typeof SCRUB_SQL | typeof REDACT_URL | typeof REDACT_QUERY;

const MAX_REMEMBERED = 10_000;
const LONGEST_REMEMBERED = 256;

/** Keys by name. Source: OpenTelemetry's attribute registry, deprecated names included. */
const NAMED: Readonly<Record<string, Rule>> = {
  "db.query.text": SCRUB_SQL,
  "db.statement": SCRUB_SQL,
  "db.sql.query": SCRUB_SQL,
  "url.full": REDACT_URL,
  "url.original": REDACT_URL,
  "http.url": REDACT_URL,
  "http.target": REDACT_URL,
  "http.request.header.referer": REDACT_URL,
  "http.response.header.location": REDACT_URL,
  "url.query": REDACT_QUERY,
  "url.fragment": DROP,
  "db.connection_string": DROP,
  "db.statement.parameters": DROP,
  // How many tokens a language model read is no secret.
  "gen_ai.token.type": KEEP,
};
const PREFIXES = ["db.query.parameter.", "db.operation.parameter."];

/** Words of a key that make its value a secret, wherever they stand in it. */
const SECRET_WORDS: ReadonlySet<string> = new Set([
  "password",
  "passwd",
  "passphrase",
  "pwd",
  "secret",
  "secrets",
  "credential",
  "credentials",
  "authorization",
  "cookie",
  "cookies",
  "apikey",
  "jwt",
  "sessionid",
]);
/** Two words that do so side by side. */
const SECRET_PAIRS: ReadonlySet<string> = new Set(["api key", "private key", "access key", "set cookie", "pass word"]);
/** A key that ends in the word `token` holds one; `token.count` counts them. */
const SECRET_ENDINGS: ReadonlySet<string> = new Set(["token"]);

/**
 * Which attributes are kept as they are, dropped or cleaned, by their keys. Patterns of the operator's come first:
 * `*` stands for any text, letters count the same in both cases, `!` in front keeps what would be dropped or cleaned.
 */
export class AttributeRules {
  private readonly denied: readonly Glob[];
  private readonly kept: readonly Glob[];
  private readonly remembered = new Map<string, Rule>();

  constructor(patterns: readonly string[]) {
    this.kept = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => new Glob(pattern.slice(1)));
    this.denied = patterns.filter((pattern) => !pattern.startsWith("!")).map((pattern) => new Glob(pattern));
  }

  rule(key: string): Rule {
    let rule = this.remembered.get(key);
    if (rule === undefined) {
      rule = this.decide(key.toLowerCase(), key);
      if (key.length > LONGEST_REMEMBERED) return rule;
      if (this.remembered.size >= MAX_REMEMBERED) this.remembered.clear();
      this.remembered.set(key, rule);
    }
    return rule;
  }

  private decide(lower: string, key: string): Rule {
    if (this.kept.some((glob) => glob.matches(lower))) return KEEP;
    if (this.denied.some((glob) => glob.matches(lower))) return DROP;
    if (Object.hasOwn(NAMED, lower)) return NAMED[lower]!;
    if (PREFIXES.some((prefix) => lower.startsWith(prefix))) return DROP;
    return isSecret(key) ? DROP : KEEP;
  }
}

/** Whether a key by its words names a secret: `db.password`, `x-api-key`, `http.request.header.set_cookie`, `authToken`. */
function isSecret(key: string): boolean {
  const words = key
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  return (
    words.some((word) => SECRET_WORDS.has(word)) ||
    words.some((word, i) => SECRET_PAIRS.has(`${word} ${words[i + 1]}`)) ||
    SECRET_ENDINGS.has(words.at(-1) ?? "")
  );
}

/** A pattern whose `*` stands for any text; matched in linear time, whatever the key. */
export class Glob {
  private readonly parts: readonly string[];

  constructor(pattern: string) {
    this.parts = pattern.toLowerCase().split("*");
  }

  /** `text` in lower case. */
  matches(text: string): boolean {
    const { parts } = this;
    const first = parts[0]!;
    const last = parts.at(-1)!;
    if (parts.length === 1) return text === first;
    if (!text.startsWith(first) || text.length < first.length + last.length || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of parts.slice(1, -1)) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= text.length - last.length;
  }
}
