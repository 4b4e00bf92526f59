import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const FILE = "instance-id";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * `service.instance.id` of the ingest: made at its first start and kept in the data directory, so that a restart makes no
 * new series and is no ingest that went silent. Where it cannot be kept, it lasts as long as the process.
 */
export async function instanceId(dataDirectory: string): Promise<string> {
  const path = join(dataDirectory, FILE);
  const known = await readFile(path, "utf8").then(
    (text) => text.trim(),
    () => "",
  );
  if (UUID.test(known)) return known;
  const id = randomUUID();
  await writeFile(path, `${id}\n`).catch(() => {});
  return id;
}
