import type { Attribute, Entries } from "../otlp/attributes.ts";
import { AttributeRules, DROP, KEEP, REDACT_QUERY, type Rule, SCRUB_SQL } from "./attribute-rules.ts";
import { scrubDocument } from "./documents.ts";
import { scrubSql } from "./sql.ts";
import { redactQuery, redactUrl } from "./url.ts";

/** What was taken out of the data, and why. The value of the `reason` label on /metrics. */
export type ScrubReason = "denied" | "literals" | "url";

const MAX_REMEMBERED = 2048;
const LONGEST_REMEMBERED = 4096;
const SQL_START =
  /^\s*(?:select|insert|update|delete|merge|replace|with|call|exec|execute|create|alter|drop|grant|set|values)\s/i;
const NAME_WITH_QUERY = /^(?:[A-Za-z]+ )?(?:[a-z][a-z0-9+.-]*:\/\/|\/)\S*[?#@]/i;
const METHOD = /^[A-Za-z]+ /;

/**
 * Takes out of the data what must not be stored: values in SQL, secrets in URLs, attributes whose keys say that they
 * are secret. Counts what it did. Never throws.
 */
export class Scrubber {
  /** Since the last `clear`. */
  readonly counts = new Map<ScrubReason, number>();
  private readonly rules: AttributeRules;
  /** Statements repeat: cleaned ones by system and raw text. */
  private readonly statements = new Map<string, string>();

  /** `patterns`: see AttributeRules. */
  constructor(patterns: readonly string[] = []) {
    this.rules = new AttributeRules(patterns);
  }

  rule(key: string): Rule {
    return this.rules.rule(key);
  }

  /** The same for maps within values, such as the fields of a structured log record. */
  readonly entries: Entries = (key, value) => {
    const rule = this.rules.rule(key);
    if (rule === KEEP) return value;
    if (rule !== DROP && typeof value === "string") return this.value(rule, value, "");
    this.count("denied");
    return undefined;
  };

  /** What happens to a span's name: SQL and URLs do not belong there, but some instrumentations put them in. */
  nameRule(name: string): Rule {
    return SQL_START.test(name) || NAME_WITH_QUERY.test(name) ? SCRUB_SQL : KEEP;
  }

  clear(): void {
    this.counts.clear();
  }

  /** Attributes as they may be stored, in the same order. `system` is that of the span they belong to, where there is one. */
  attributes(attributes: readonly Attribute[]): readonly Attribute[] {
    let changed: Attribute[] | undefined;
    for (let i = 0; i < attributes.length; i++) {
      const attribute = attributes[i]!;
      const rule = this.rules.rule(attribute[0]);
      if (rule === KEEP) {
        changed?.push(attribute);
        continue;
      }
      changed ??= attributes.slice(0, i);
      if (rule === DROP) this.count("denied");
      else changed.push([attribute[0], this.value(rule, attribute[1], systemOf(attributes))]);
    }
    return changed ?? attributes;
  }

  /** The value as it may be stored; for a rule that is neither KEEP nor DROP. */
  value(rule: Rule, value: string, system: string): string {
    if (rule === SCRUB_SQL) return this.statement(value, system);
    const redacted = rule === REDACT_QUERY ? redactQuery(value) : redactUrl(value);
    if (redacted !== value) this.count("url");
    return redacted;
  }

  name(name: string, system: string): string {
    if (SQL_START.test(name)) return this.statement(name, system);
    const method = METHOD.exec(name)?.[0] ?? "";
    const redacted = method + redactUrl(name.slice(method.length));
    if (redacted !== name) this.count("url");
    return redacted;
  }

  denied(): void {
    this.count("denied");
  }

  private statement(text: string, system: string): string {
    const key = `${system}\0${text}`;
    let scrubbed = this.statements.get(key);
    if (scrubbed === undefined) {
      scrubbed = scrubDocument(text, system) ?? scrubSql(text, system);
      if (text.length <= LONGEST_REMEMBERED) {
        if (this.statements.size >= MAX_REMEMBERED) this.statements.clear();
        this.statements.set(key, scrubbed);
      }
    }
    if (scrubbed !== text) this.count("literals");
    return scrubbed;
  }

  private count(reason: ScrubReason): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
  }
}

/** `db.system.name` or the older `db.system`, in lower case; empty without. */
export function systemOf(attributes: readonly Attribute[]): string {
  let older = "";
  for (const [key, value] of attributes) {
    if (key === "db.system.name") return value.toLowerCase();
    if (key === "db.system") older = value.toLowerCase();
  }
  return older;
}
