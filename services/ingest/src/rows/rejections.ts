/** Why a point, span or log record was not taken. The value is the `reason` label on /metrics. */
export const REASONS = {
  too_old: "older than the retention",
  in_future: "more than 7 days in the future",
  not_a_number: "the value is not a finite number",
  no_value: "the point has no value",
  no_name: "the metric has no name",
  unknown_type: "a metric of an unknown type",
  bad_buckets: "bucket counts and bounds do not fit each other",
  bad_scale: "the scale is outside of -10 to 20",
  too_many_series:
    "of series over the budget of their metric or service, which cannot be folded: gauges, running totals, summaries, resources",
  bad_id: "trace or span id is missing or of the wrong length",
} as const;
export type Reason = keyof typeof REASONS;

/** What one request had to leave out, by reason. */
export class Rejections {
  readonly counts = new Map<Reason, number>();
  total = 0;

  add(reason: Reason): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
    this.total++;
  }

  /** One sentence for `partial_success.error_message`; empty when nothing was left out. */
  get message(): string {
    if (this.total === 0) return "";
    const parts = [...this.counts].map(([reason, count]) => `${count} ${REASONS[reason]}`);
    return `rejected ${this.total}: ${parts.join("; ")}`;
  }

  clear(): void {
    this.counts.clear();
    this.total = 0;
  }
}
