import type { Migration } from "./migrations.ts";
import { DEFAULT_RETENTION, withRetention } from "./retention.ts";

const HEAD = `# Tables

Every table and view of the database, from the migrations in \`services/store/migrations\` (written by
\`npm run generate -w @tidemark/store\`; a test compares). Days are the default retention. How to read rollups, merge histograms and
choose a retention: \`services/store/README.md\`.
`;

interface Table {
  readonly name: string;
  readonly note: string;
  readonly columns: readonly string[];
  readonly engine: string;
  readonly partition: string;
  readonly order: string;
  readonly ttl: string;
}

/** Reference page of the schema, Markdown. */
export function schemaPage(migrations: readonly Migration[]): string {
  const statements = migrations.flatMap((migration) => migration.statements);
  const tables = new Map<string, Table>();
  const feeds = new Map<string, string>();
  const views = new Map<string, string>();
  for (const statement of statements) {
    const table = tableOf(statement);
    if (table !== undefined) tables.set(table.name, table);
    const [, holder = "", column = ""] = /^ALTER TABLE (\w+) MODIFY COLUMN (\w+) .* EPHEMERAL$/m.exec(statement) ?? [];
    const changed = tables.get(holder);
    if (changed !== undefined) tables.set(holder, without(changed, column));
    const [, target, body] =
      /^CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO (\w+) AS\n([\s\S]*)/m.exec(statement) ?? [];
    const source = /^FROM (?:\(.*FROM )?(\w+)/m.exec(body ?? "")?.[1];
    if (target !== undefined && source !== undefined) feeds.set(target, source);
    const view = /^CREATE OR REPLACE VIEW (\w+)/m.exec(statement)?.[1];
    if (view !== undefined) views.set(view, noteOf(statement) || (views.get(view) ?? ""));
  }
  const sections = [...tables.values()].map((table) => section(table, feeds));
  const list = [...views].map(([name, note]) => `| \`${name}\` | ${note.replaceAll("|", "\\|")} |`);
  return `${HEAD}\n${sections.join("\n")}\n## Views\n\n| view | |\n|---|---|\n${list.join("\n")}\n`;
}

/** An EPHEMERAL column can be neither stored nor read. */
function without(table: Table, gone: string): Table {
  return { ...table, columns: table.columns.filter((column) => !column.startsWith(`${gone} `)) };
}

function section(table: Table, feeds: ReadonlyMap<string, string>): string {
  const source = feeds.get(table.name);
  const rollups = [...feeds].filter(([, from]) => from === table.name).map(([target]) => `\`${target}\``);
  const facts = [
    `${table.engine}, ordered by \`${table.order}\``,
    table.partition === "" ? "" : `partitions \`${table.partition}\``,
    table.ttl === "" ? "kept for ever" : `kept ${table.ttl} days`,
    source === undefined ? "" : `filled from \`${source}\``,
    rollups.length === 0 ? "" : `fills ${rollups.join(", ")}`,
  ].filter((fact) => fact !== "");
  const columns = table.columns.map((column) => {
    const [, name = "", type = ""] = /^(\S+)\s+(.*)$/.exec(column) ?? [];
    return `| \`${name}\` | \`${type.replaceAll("|", "\\|")}\` |`;
  });
  return `## ${table.name}\n\n${table.note === "" ? "" : `${table.note}\n\n`}${facts.join("; ")}.\n\n| column | type |\n|---|---|\n${columns.join("\n")}\n`;
}

function tableOf(statement: string): Table | undefined {
  const [, name, body, rest = ""] =
    /^CREATE TABLE IF NOT EXISTS (\w+)\n\(\n([\s\S]*?)\n\)\n([\s\S]*)$/m.exec(statement) ?? [];
  if (name === undefined || body === undefined) return undefined;
  const clause = (pattern: RegExp): string => pattern.exec(rest)?.[1] ?? "";
  const columns = body
    .split(/,\n {4}(?! )/)
    .map((column) =>
      column
        .trim()
        .replaceAll(/\s+/g, " ")
        .replace(/ CODEC\((?:[^()]|\([^()]*\))*\)/g, ""),
    )
    .filter((column) => !column.startsWith("INDEX "));
  const ttl = clause(/^TTL (.*)$/m);
  return {
    name,
    note: noteOf(statement),
    columns,
    engine: clause(/^ENGINE = (\w+)/m),
    partition: clause(/^PARTITION BY (.*)$/m),
    order: clause(/^ORDER BY (.*)$/m).replace(/^\((.*)\)$/, "$1"),
    ttl: /INTERVAL (\d+) DAY/.exec(withRetention(ttl, DEFAULT_RETENTION))?.[1] ?? "",
  };
}

/** The comment above a statement. */
function noteOf(statement: string): string {
  const lines = statement.slice(0, statement.search(/^CREATE /m)).split("\n");
  return lines
    .filter((line) => line.startsWith("--"))
    .map((line) => line.replace(/^--\s*/, ""))
    .join(" ");
}
