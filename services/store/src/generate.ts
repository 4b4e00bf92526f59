import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readMigrations } from "./migrations.ts";
import { schemaPage } from "./schema-page.ts";

const PAGE = fileURLToPath(new URL("../../../docs/schema.md", import.meta.url));
writeFileSync(PAGE, schemaPage(readMigrations()));
console.log("wrote docs/schema.md");
