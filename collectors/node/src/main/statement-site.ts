import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Statement } from "./databases/statement.ts";
import { stack } from "./describe.ts";

/** A statement's site is looked up again after this long. */
const FRESH_MS = 60_000;
const OWN_DIRECTORY = fileURLToPath(new URL("..", import.meta.url));

const sites = new WeakMap<Statement, { readonly site: string | undefined; readonly atMs: number }>();

/**
 * Where the application asks for a statement: `src/orders.js:12 loadLines`, with the path from the working
 * directory; undefined when no frame is the application's. Only to be called for a statement that has been repeated:
 * it takes a stack, and that of a statement at most once a minute.
 */
export function siteOf(statement: Statement): string | undefined {
  const nowMs = performance.now();
  const known = sites.get(statement);
  if (known !== undefined && nowMs - known.atMs < FRESH_MS) return known.site;
  const site = findSite();
  sites.set(statement, { site, atMs: nowMs });
  return site;
}

function findSite(): string | undefined {
  for (const { file, line, function: name } of stack(siteOf)) {
    const path = file.startsWith("file:") ? fileURLToPath(file) : file;
    if (path === "" || path.startsWith("node:") || /[\\/]node_modules[\\/]/.test(path)) continue;
    if (path.startsWith(OWN_DIRECTORY)) continue;
    return `${relative(process.cwd(), path)}:${line} ${name}`.trim();
  }
  return undefined;
}
