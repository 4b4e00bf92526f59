const BEGIN = "<!-- rules: made by npm run generate -w @tidemark/alerts -->";
const END = "<!-- /rules -->";

/**
 * The page with `table` between its two markers.
 *
 * @throws Error if a marker is missing.
 */
export function withTable(page: string, table: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin === -1 || end === -1) throw new Error(`docs/alerts.md needs the lines "${BEGIN}" and "${END}"`);
  return `${page.slice(0, begin)}${BEGIN}\n${table}\n${page.slice(end)}`;
}
