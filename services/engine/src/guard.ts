import { accessDenied, syntaxError } from "./exception.ts";
import { isWord, lex, type Token, withoutComments } from "./sql/lexer.ts";

const NONE: ReadonlySet<string> = new Set();
const VERBS = new Set(["SELECT", "WITH", "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "EXISTS"]);

/** Table functions that make rows out of nothing; every other one may read a file or dial out. */
const TABLE_FUNCTIONS = new Set(["numbers", "numbers_mt", "generateseries", "generate_series", "values", "view"]);

/** Names of table functions that are also harmless scalar functions: refused as tables, allowed in expressions. */
const ALSO_SCALAR = new Set(["format", "merge", "null", "primes"]);

/**
 * Scalar functions that read files, dial out, wait, write the server's log or tell the machine's secrets.
 * `hasColumnInTable` takes a remote host, `catboostEvaluate` a library's path, `dictGet*` may load a foreign source.
 */
const DENIED_FUNCTION =
  /^(file|sleep|sleepeachrow|getmacro|catboostevaluate|modelevaluate|evalmlmethod|hascolumnintable|reversednsquery|showcertificate|logtrace|addresstoline\w*|addresstosymbol|dictget\w*|dicthas|dictisin|ai(classify|embed|extract|generate|translate)\w*|generateserialid|zookeepersessionuptime|getserverport|getserversetting|getclienthttpheader|executable|naivebayes\w*|filesystem(available|capacity|unreserved)|fuzzquery)$/;

/** System tables that describe the schema, the build and the load: what dashboards and clients ask for. */
const SYSTEM_TABLES = new Set(
  (
    "aggregate_function_combinators asynchronous_metrics build_options codecs collations columns contributors data_skipping_indices " +
    "data_type_families databases detached_parts events formats functions keywords licenses merges metrics mutations numbers " +
    "numbers_mt one parts parts_columns projections settings settings_changes table_engines table_functions tables time_zones " +
    "views zeros zeros_mt completions dictionaries"
  ).split(" "),
);

/** Where a name may stand that the tokenizer then must not take for a function: `x IN (...)`, `VALUES (...)`. */
const NOT_A_CALL = new Set(
  (
    "AND OR NOT IN AS ON BY FROM SELECT WHERE PREWHERE HAVING JOIN USING UNION ALL DISTINCT INTERSECT EXCEPT WITH THEN ELSE WHEN CASE " +
    "BETWEEN LIKE ILIKE IS LIMIT OFFSET OVER PARTITION ORDER GROUP ANY GLOBAL INTERVAL END QUALIFY SAMPLE FINAL ARRAY"
  ).split(" "),
);

/**
 * First wall of the read-only user: looks at the text before the engine sees it, and returns what may go to the engine:
 * the same tokens without comments.
 *
 * Throws ACCESS_DENIED for everything but one reading statement without SETTINGS, without INTO OUTFILE, without a
 * function that leaves the database. {@link checkTree} is the second wall (ClickHouse's own parser), a connection with
 * `readonly = 1` the third: each alone has a known hole (`SETTINGS readonly = 0` in a subquery, scalar `file()`).
 */
export function checkText(sql: string, tableFunctions: ReadonlySet<string>): string {
  const tokens = [...lex(sql)];
  while (tokens.at(-1)?.kind === "symbol" && tokens.at(-1)?.text === ";") tokens.pop();
  const first = tokens.find((token) => token.text !== "(");
  if (first === undefined) throw syntaxError("Empty query");
  if (first.kind !== "word" || !VERBS.has(first.text.toUpperCase())) {
    throw accessDenied(
      `The read-only user may run SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN, not ${first.text}`,
    );
  }
  for (const [i, token] of tokens.entries()) {
    // The tree does not show every name (that of APPLY's function, for one), so names must be readable here.
    if (token.kind === "quoted" && sql.slice(token.start, token.end).includes("\\")) {
      throw accessDenied("The read-only user may not use escapes in a quoted name");
    }
    checkToken(token, tokens[i - 1], tokens[i + 1], tableFunctions);
  }
  return withoutComments(sql, tokens);
}

function checkToken(
  token: Token,
  before: Token | undefined,
  after: Token | undefined,
  tables: ReadonlySet<string>,
): void {
  if (token.kind === "unterminated") throw syntaxError("A quote or comment is never closed");
  if (token.kind === "symbol" && token.text === ";") throw syntaxError("Multi-statements are not allowed");
  if (token.kind === "symbol" && token.text === "\\") throw syntaxError("Unexpected backslash outside a string");
  if (isWord(token, "OUTFILE") || isWord(token, "INFILE")) {
    throw accessDenied(`The read-only user may not use ${token.text.toUpperCase()}`);
  }
  if (isWord(token, "SETTINGS") && after?.kind !== "symbol" && !isWord(before, "SHOW")) {
    // `system.settings` and a column called settings are followed by a symbol, a key word or nothing; a clause by a name and `=`.
    if (
      before?.text !== "." &&
      (after?.kind === "word" || after?.kind === "quoted") &&
      !NOT_A_CALL.has(after.text.toUpperCase())
    ) {
      throw accessDenied("The read-only user may not use a SETTINGS clause: send settings as URL parameters");
    }
  }
  if (isWord(token, "PROCESSLIST") && isWord(before, "SHOW"))
    throw accessDenied("The read-only user may not list processes");
  const name = token.kind === "word" || token.kind === "quoted";
  // `arrayMap(file, ...)` and `APPLY file` take the bare name for the function, so such a name needs its table before it.
  if (name && before?.text !== "." && DENIED_FUNCTION.test(token.text.toLowerCase())) {
    throw accessDenied(
      `The read-only user may not use the function ${token.text} (a column of that name: put its table before it)`,
    );
  }
  const called = after?.kind === "symbol" && after.text === "(" && (token.kind === "word" || token.kind === "quoted");
  if (called) checkFunction(token.text, tables, true);
}

function checkFunction(name: string, tables: ReadonlySet<string>, scalar: boolean): void {
  const lower = name.toLowerCase();
  if (DENIED_FUNCTION.test(lower)) throw accessDenied(`The read-only user may not use the function ${name}`);
  if (TABLE_FUNCTIONS.has(lower) || (scalar && ALSO_SCALAR.has(lower))) return;
  if (tables.has(lower)) throw accessDenied(`The read-only user may not use the table function ${name}`);
}

/**
 * Second wall: the same rules on the tree that ClickHouse's parser made of the statement (`EXPLAIN AST`, which runs
 * nothing). A forged line inside an alias can only add a refusal, never hide a node.
 */
export function checkTree(tree: string, database: string, tableFunctions: ReadonlySet<string>): void {
  let previous = "";
  for (const line of tree.split("\n")) {
    const node = line.trim();
    // `EXPLAIN indexes = 1 SELECT ...` holds its options in a Set of its own; a SETTINGS clause was refused by its word.
    const ofExplain = tree.startsWith("Explain ") && line.startsWith(" Set");
    if ((node === "Set" || node.startsWith("Set (")) && !ofExplain) {
      throw accessDenied("The read-only user may not use a SETTINGS clause: send settings as URL parameters");
    }
    const call = /^Function (\S+)/.exec(node)?.[1];
    if (call !== undefined) checkFunction(call, tableFunctions, !previous.startsWith("TableExpression"));
    const identifier = /^Identifier (\S+)$/.exec(node)?.[1]?.replaceAll("`", "");
    if (identifier !== undefined) checkFunction(identifier, NONE, true);
    const table = /^TableIdentifier (\S+)/.exec(node)?.[1];
    if (table !== undefined) checkTable(table, database);
    if (/^(Insert|Create|Drop|Alter|Kill|System|Optimize|Rename|Attach|Grant|Revoke|Use)\w*Query/.test(node)) {
      throw accessDenied(`The read-only user may not run ${node.split(" ")[0]}`);
    }
    previous = node;
  }
}

function checkTable(name: string, database: string): void {
  const [first, second] = name.split(".");
  const inDatabase = second === undefined ? database : first;
  const table = second ?? first ?? "";
  if (inDatabase?.toLowerCase() === "system" && !SYSTEM_TABLES.has(table)) {
    throw accessDenied(`The read-only user may not read system.${table}`);
  }
}
