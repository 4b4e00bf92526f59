/** Days each kind of data is kept. */
export interface Retention {
  /** Samples and histograms as they came, and the subject tables (`resource_samples`, `http_requests`, `query_timings`, ...). */
  rawDays: number;
  /** Rollup at one minute. */
  oneMinuteDays: number;
  /** Rollup at one hour, and what the alert evaluator did. */
  oneHourDays: number;
  /** Descriptions of series and texts of statements, since they were last seen. */
  seriesDays: number;
  tracesDays: number;
  logsDays: number;
}

export const DEFAULT_RETENTION: Retention = {
  rawDays: 15,
  oneMinuteDays: 90,
  oneHourDays: 400,
  seriesDays: 401,
  tracesDays: 15,
  logsDays: 15,
};

const PLACEHOLDERS: Record<keyof Retention, string> = {
  rawDays: "{retention_raw_days}",
  oneMinuteDays: "{retention_1m_days}",
  oneHourDays: "{retention_1h_days}",
  seriesDays: "{retention_series_days}",
  tracesDays: "{retention_traces_days}",
  logsDays: "{retention_logs_days}",
};

/** What is made from what, or described by it: each is kept at least as long as the one before. */
const OUTLIVES: readonly (readonly [shorter: keyof Retention, longer: keyof Retention])[] = [
  ["rawDays", "oneMinuteDays"],
  ["oneMinuteDays", "oneHourDays"],
  ["oneHourDays", "seriesDays"],
];

/**
 * Retention with its defaults. Throws RangeError for anything but whole days from 1 to 10000, and where a rollup would be gone before
 * what it is made of: dashboards read the rollup where the rows have expired.
 */
export function completeRetention(given: Partial<Retention> = {}): Retention {
  const retention = { ...DEFAULT_RETENTION, ...given };
  for (const [name, days] of Object.entries(retention)) {
    if (!Number.isInteger(days) || days < 1 || days > 10_000) {
      throw new RangeError(`retention ${name} is ${days}: expected whole days from 1 to 10000`);
    }
  }
  for (const [shorter, longer] of OUTLIVES) {
    if (retention[longer] < retention[shorter]) {
      throw new RangeError(
        `retention ${longer} is ${retention[longer]}, less than ${shorter} (${retention[shorter]}): a rollup is kept at least as long as what it is made of`,
      );
    }
  }
  return retention;
}

/** Fills the place-holders of a migration's text. */
export function withRetention(sql: string, retention: Retention): string {
  return Object.entries(PLACEHOLDERS).reduce(
    (text, [name, placeholder]) => text.replaceAll(placeholder, String(retention[name as keyof Retention])),
    sql,
  );
}
