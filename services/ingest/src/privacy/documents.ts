const MAX_RAW_CHARACTERS = 16_384;
const MAX_TEXT_CHARACTERS = 1024;
const FIELD_NAME = /^[\w$.@-]{1,64}$/;
/** What the cut leaves of a name whose colon is gone: it would be read as a value. */
const CUT_NAME = /"[\w$.@?-]{0,64}"?$/;
const COMMAND = /^\s*([A-Za-z][A-Za-z._-]{0,31})(?=\s|$)/;

/** Systems whose queries are a command and its arguments. */
const COMMANDS: ReadonlySet<string> = new Set(["redis", "memcached", "valkey"]);
/** Systems whose queries are JSON or look like it. */
const DOCUMENTS: ReadonlySet<string> = new Set([
  "mongodb",
  "elasticsearch",
  "opensearch",
  "couchdb",
  "dynamodb",
  "aws.dynamodb",
  "azure.cosmosdb",
  "cosmosdb",
]);

/** The query without its values where `system` is not asked in SQL; undefined where it is, or may be. */
export function scrubDocument(query: string, system: string): string | undefined {
  if (COMMANDS.has(system)) return scrubCommand(query);
  return DOCUMENTS.has(system) ? scrubJson(query) : undefined;
}

/** The command's name. What follows are values, even where a line begins in them. */
function scrubCommand(query: string): string {
  const command = COMMAND.exec(query);
  if (command === null) return query.trim() === "" ? "" : "?";
  return command[0].length === query.trimEnd().length ? command[1]! : `${command[1]} ?`;
}

// What starts first wins; a string that does not end runs to the end of the text.
const TOKENS =
  /("(?:[^"\\]|\\[\s\S])*(?:"|$)|'(?:[^'\\]|\\[\s\S])*(?:'|$))(\s*:)?|[\w$.+-]+(\s*:)?|[^\s\w$.+{}[\]():,-]/g;

/** Field names and structure stay, every value is `?`, lists of values are one value. */
function scrubJson(query: string): string {
  return query
    .slice(0, MAX_RAW_CHARACTERS)
    .replace(
      TOKENS,
      (token, quoted: string | undefined, afterQuoted: string | undefined, after: string | undefined) => {
        if (afterQuoted === undefined && after === undefined) return "?";
        const name = quoted === undefined ? token.slice(0, -after!.length) : quoted.slice(1, -1);
        return FIELD_NAME.test(name) ? `"${name}":` : '"?":';
      },
    )
    .replace(/\s+/g, "")
    .replace(/\?(?:,?\?)+/g, "?")
    .slice(0, MAX_TEXT_CHARACTERS)
    .replace(CUT_NAME, "");
}
