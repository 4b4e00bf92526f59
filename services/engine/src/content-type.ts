const TYPES: readonly [RegExp, string][] = [
  [
    /^(JSON|JSONStrings|JSONColumns\w*|JSONCompact\w*|JSONObjectEachRow|PrettyJSONEachRow)$/,
    "application/json; charset=UTF-8",
  ],
  [/^(JSON\w*EachRow\w*|JSONLines|NDJSON)$/, "application/x-ndjson; charset=UTF-8"],
  [/^CSV/, "text/csv; charset=UTF-8; header=absent"],
  [/^(TabSeparated|TSV)/, "text/tab-separated-values; charset=UTF-8"],
  [/^(Pretty|Vertical|Values|Markdown|LineAsString|Raw)/, "text/plain; charset=UTF-8"],
  [/^XML$/, "application/xml; charset=UTF-8"],
];

/** Content type a ClickHouse server answers with for an output format. */
export function contentType(format: string): string {
  return TYPES.find(([pattern]) => pattern.test(format))?.[1] ?? "application/octet-stream";
}
