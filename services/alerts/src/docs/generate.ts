import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withTable } from "./page.ts";
import { rulesTable } from "./rules-table.ts";

const page = fileURLToPath(new URL("../../../../docs/alerts.md", import.meta.url));
writeFileSync(page, withTable(readFileSync(page, "utf8"), rulesTable()));
