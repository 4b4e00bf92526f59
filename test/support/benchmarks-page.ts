import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = join(root(), "docs", "benchmarks.md");
const HEAD = `# Benchmarks

What Tidemark costs, as measured by the committed benches on the machine named below each table. Run them with the
commands given here; with \`--write\` they put their table into this page.
`;

/** The machine a figure was taken on, in a few words. */
export function machine(): string {
  const [first] = cpus();
  return `${cpus().length} x ${first?.model.trim() ?? "unknown CPU"}, Node ${process.version}`;
}

/** Puts lines of Markdown between the markers \`bench:<name>\` of docs/benchmarks.md; adds a section where there is none. */
export function writeTable(name: string, lines: readonly string[]): void {
  const page = existsSync(PAGE) ? readFileSync(PAGE, "utf8") : HEAD;
  const start = `<!-- bench:${name} -->`;
  const end = `<!-- /bench:${name} -->`;
  const from = page.indexOf(start);
  const to = page.indexOf(end);
  const block = `${start}\n${lines.join("\n")}\n${end}`;
  if (from !== -1 && to > from) {
    writeFileSync(PAGE, page.slice(0, from) + block + page.slice(to + end.length));
    return;
  }
  writeFileSync(PAGE, `${page.trimEnd()}\n\n## ${name}\n\n\`npm run bench:${name}\`\n\n${block}\n`);
}

/** The repository's folder, also from a bench that was bundled into one of its packages. */
function root(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package-lock.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("this bench is not in the repository");
    folder = parent;
  }
  return folder;
}
