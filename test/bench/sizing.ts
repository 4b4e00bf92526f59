import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sizingTable } from "../support/sizing.ts";
import { ROOT } from "../support/tidemark.ts";

/** `node test/bench/run.mjs sizing`: the table of docs/sizing.md from the figures of docs/benchmarks.md. */
const PAGE = join(ROOT, "docs", "sizing.md");
const OPEN = "<!-- sizing -->";
const CLOSE = "<!-- /sizing -->";

const page = readFileSync(PAGE, "utf8");
const table = sizingTable();
writeFileSync(PAGE, `${page.slice(0, page.indexOf(OPEN) + OPEN.length)}\n${table}\n${page.slice(page.indexOf(CLOSE))}`);
process.stdout.write(`${table}\n`);
