import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { recordedBucketQuantile } from "./bucket-quantile.ts";

const DIRECTORY = fileURLToPath(new URL("../migrations/", import.meta.url));
const FILE_NAME = /^(\d{4})_([a-z0-9_]+)\.sql$/;
const QUANTILE = /\{quantile\((\w+), ([\d.]+)\)\}/g;

/** One forward-only step of the schema. */
export interface Migration {
  number: number;
  name: string;
  /** SHA-256 of the text with everything filled in but the retention, which may change without a migration. */
  checksum: string;
  /** One statement each, place-holders of the retention still in. */
  statements: string[];
}

/** The migrations that ship with this package, in order. Throws when a number is missing or double. */
export function readMigrations(directory = DIRECTORY): Migration[] {
  const files = readdirSync(directory)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  return files.map((file, i) => {
    const [, number, name] = FILE_NAME.exec(file) ?? [];
    if (number === undefined || name === undefined || Number(number) !== i + 1) {
      throw new Error(`Migration ${file}: expected ${String(i + 1).padStart(4, "0")}_<name>.sql`);
    }
    const text = readFileSync(`${directory}/${file}`, "utf8").replace(QUANTILE, (_, map, q) =>
      recordedBucketQuantile(map, Number(q)),
    );
    return {
      number: Number(number),
      name,
      checksum: createHash("sha256").update(text).digest("hex"),
      statements: splitStatements(text),
    };
  });
}

/** Statements are separated by a line that holds only `;`, so no quote or comment needs to be understood. */
export function splitStatements(text: string): string[] {
  return text
    .split(/^;[ \t]*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement.replace(/^\s*--.*$/gm, "").trim() !== "");
}
