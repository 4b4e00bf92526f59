import { type Rule, rulesFor } from "@tidemark/dashboards";

const PERCENT = 100;
const MS_PER_S = 1000;

/** The alert rules as a Markdown table, from their source: what fires, when, and what it means. */
export function rulesTable(): string {
  const demo = new Map(rulesFor("demo").map((rule) => [rule.id, rule]));
  const lines = rulesFor("production").map((rule) => {
    const short = demo.get(rule.id) ?? rule;
    const cells = [
      `[${rule.title}](../${rule.runbook})<br>\`${rule.id}\``,
      rule.severity,
      `${rule.op === "gt" ? "over" : "under"} ${level(rule, rule.threshold)}, until ${level(rule, rule.recover)}`,
      times(rule),
      times(short),
      rule.noData === "alerting" ? "fires" : "calm",
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| rule | severity | fires | window, for, keep | in the demo | no rows |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

const times = ({ windowSeconds, forSeconds, keepFiringSeconds }: Rule): string =>
  [windowSeconds, forSeconds, keepFiringSeconds].map((seconds) => `${seconds} s`).join(", ");

function level({ unit }: Rule, value: number): string {
  if (unit === "ratio") return `${Math.round(value * PERCENT)} %`;
  return value < 1 ? `${Math.round(value * MS_PER_S)} ms` : `${value} s`;
}
