/**
 * `node infra/secrets.mjs` writes `.env` from `.env.example`, with a random secret for each empty variable, readable by you only.
 * It never replaces a file that is there.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SECRET_BYTES = 24;
const root = process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url));
const example = readFileSync(new URL("../.env.example", import.meta.url), "utf8");
const filled = example.replace(/^([A-Z_]+)=$/gm, (_, name) => `${name}=${randomBytes(SECRET_BYTES).toString("hex")}`);

try {
  writeFileSync(`${root}/.env`, filled, { flag: "wx", mode: 0o600 });
  console.log(`Wrote ${root}/.env with new secrets.`);
} catch (error) {
  if (error.code !== "EEXIST") throw error;
  console.error(
    `${root}/.env is there already; it holds the secrets of the data you have. Remove it yourself to start anew.`,
  );
  process.exitCode = 1;
}
