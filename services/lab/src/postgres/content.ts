import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Client, escapeIdentifier } from "pg";

export const SHOP_DATABASE = "tidemark_shop";
export const EVENTS_DATABASE = "tidemark_events";

const DATABASES = [
  { name: SHOP_DATABASE, script: "shop.sql", table: "orders" },
  { name: EVENTS_DATABASE, script: "events.sql", table: "events" },
];

/**
 * Makes both databases with their tables and content on the server, and leaves those alone that are already there.
 *
 * @param serverUrl any database of the server, for an account that may create databases.
 */
export async function createContent(serverUrl: string): Promise<{ databaseUrl: string; eventsDatabaseUrl: string }> {
  await withClient(serverUrl, async (client) => {
    for (const { name } of DATABASES) {
      const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${escapeIdentifier(name)}`);
    }
  });
  await Promise.all(
    DATABASES.map(({ name, script, table }) =>
      withClient(databaseUrl(serverUrl, name), async (client) => {
        const { rows } = await client.query("SELECT to_regclass($1) IS NOT NULL AS present", [table]);
        if (rows[0].present) return;
        await client.query(await readFile(fileURLToPath(new URL(`../../sql/${script}`, import.meta.url)), "utf8"));
      }),
    ),
  );
  return {
    databaseUrl: databaseUrl(serverUrl, SHOP_DATABASE),
    eventsDatabaseUrl: databaseUrl(serverUrl, EVENTS_DATABASE),
  };
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  // A connection that breaks while idle rejects the next query; without a listener it would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}
