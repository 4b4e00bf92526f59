/** Whether a construct exists. `maybe`: we don't know, so a text whose meaning depends on it is cut there. */
type Has = "yes" | "no" | "maybe";

/** What of its lexical rules decides where a database's literals begin and end. */
export interface Dialect {
  /** What stands in double quotes: a name, or a text. */
  readonly doubleQuotes: "name" | "text";
  /** A backslash escapes the quote that follows in ordinary strings. */
  readonly backslash: Has;
  /** `E'...'` with backslash escapes. */
  readonly escapeStrings: boolean;
  /** `$tag$...$tag$`. */
  readonly dollarQuotes: Has;
  /** Oracle's `q'[...]'`. */
  readonly qQuotes: Has;
  /** `# ...` and, where unknown, `// ...` up to the end of the line. */
  readonly hashComments: Has;
  /** Comments in comments. */
  readonly nestedComments: Has;
  /** `--` starts a comment only with a space behind it. */
  readonly dashesNeedSpace: Has;
  /** Names in backticks, and in brackets. */
  readonly backticks: Has;
  readonly brackets: Has;
}

const STANDARD: Dialect = {
  doubleQuotes: "name",
  backslash: "no",
  escapeStrings: false,
  dollarQuotes: "no",
  qQuotes: "no",
  hashComments: "no",
  nestedComments: "no",
  dashesNeedSpace: "no",
  backticks: "no",
  brackets: "no",
};
const POSTGRESQL: Dialect = { ...STANDARD, escapeStrings: true, dollarQuotes: "yes", nestedComments: "yes" };
const ORACLE: Dialect = { ...STANDARD, qQuotes: "yes" };
const SQL_SERVER: Dialect = { ...STANDARD, nestedComments: "yes", brackets: "yes" };
const SQLITE: Dialect = { ...STANDARD, backticks: "yes", brackets: "yes" };
const MYSQL: Dialect = {
  ...STANDARD,
  doubleQuotes: "text",
  backslash: "yes",
  hashComments: "yes",
  dashesNeedSpace: "yes",
  backticks: "yes",
};
/** Where two databases would read a text differently, what follows is taken for a secret. */
const UNKNOWN: Dialect = {
  doubleQuotes: "text",
  backslash: "maybe",
  escapeStrings: false,
  dollarQuotes: "maybe",
  qQuotes: "maybe",
  hashComments: "maybe",
  nestedComments: "maybe",
  dashesNeedSpace: "maybe",
  backticks: "maybe",
  brackets: "maybe",
};

/**
 * Databases whose rules we know, by `db.system.name` and by the older `db.system`.
 * Sources: OpenTelemetry's registry of `db.system.name`; the lexical rules in each database's manual.
 */
const SYSTEMS: Readonly<Record<string, Dialect>> = {
  postgresql: POSTGRESQL,
  cockroachdb: POSTGRESQL,
  sqlite: SQLITE,
  mysql: MYSQL,
  mariadb: MYSQL,
  oracle: ORACLE,
  "oracle.db": ORACLE,
  mssql: SQL_SERVER,
  "microsoft.sql_server": SQL_SERVER,
};

export function dialectOf(system: string): Dialect {
  return Object.hasOwn(SYSTEMS, system) ? SYSTEMS[system]! : UNKNOWN;
}
