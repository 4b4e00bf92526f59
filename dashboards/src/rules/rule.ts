/** Identity of the firing thing: text columns of the rule's SQL, for example `{ service, runtime, instance }`. */
export type Labels = Readonly<Record<string, string>>;

/** What an evaluation without a single row means. `ok`: nothing to judge. `alerting`: silence is the fault. */
export type NoDataPolicy = "ok" | "alerting";

/**
 * One alert rule; the Grafana provisioning file and the built-in evaluator are made from the same object.
 *
 * `sql` does its own reduction: one row per label set, with one Float64 column `value`, all other columns String (they are the
 * labels), no time column, Grafana format 1. The only macro in it is `$__timeFilter`, expanded over the last `windowSeconds`.
 * A label set with too few samples to judge is not in the answer (`HAVING`), so a quiet service cannot page.
 */
export interface Rule {
  /** Stable, kebab-case, at most 40 characters: the uid of the rule in Grafana. */
  readonly id: string;
  readonly title: string;
  readonly sql: string;
  /** Length of the window that `$__timeFilter` covers, in seconds, ending now. */
  readonly windowSeconds: number;
  /** Breaches when `value op threshold`. */
  readonly op: "gt" | "lt";
  readonly threshold: number;
  /** A firing label set recovers only when `value` is on the good side of this (hysteresis). */
  readonly recover: number;
  /** Unit of `value`, `threshold` and `recover`: seconds or a ratio. */
  readonly unit: "s" | "ratio";
  /** How long a breach lasts before it fires (pending before that), in seconds. */
  readonly forSeconds: number;
  /** How long it keeps firing after the last breach, in seconds. */
  readonly keepFiringSeconds: number;
  readonly severity: "warning" | "critical";
  readonly noData: NoDataPolicy;
  /** Fixed labels, added to those of the row. */
  readonly labels: Labels;
  /** Templates with `{{ $labels.NAME }}` and `{{ $values.A.Value }}`; see {@link renderTemplate}. */
  readonly annotations: {
    readonly summary: string;
    readonly cause: string;
    readonly effect: string;
    readonly action: string;
  };
  /** Path of the runbook in the repository, with anchor. */
  readonly runbook: string;
  /** Dashboard and panel that show the number the rule judges. */
  readonly dashboard: string;
  readonly panelId: number;
}

/** Window and waiting times of a rule. */
export type Timing = Pick<Rule, "windowSeconds" | "forSeconds" | "keepFiringSeconds">;

/** Windows and waiting times; thresholds are the same in every profile. */
export type Profile = "production" | "demo";

const LABEL = /\{\{\s*\$labels\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}/g;
const VALUE = /\{\{\s*\$values\.A(?:\.Value)?\s*\}\}/g;

/**
 * Fills an annotation for one label set, as Grafana does with the same text. A label the row does not have becomes the empty
 * string; the value is printed with three significant digits, `n/a` when there is none.
 */
export function renderTemplate(template: string, labels: Labels, value: number | null): string {
  const printed = value === null ? "n/a" : String(Number(value.toPrecision(3)));
  return template.replace(LABEL, (_, name: string) => labels[name] ?? "").replace(VALUE, () => printed);
}
