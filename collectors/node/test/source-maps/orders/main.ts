// A service in TypeScript that repeats a statement, for the tests of source maps; prints its port as JSON.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { Pool } from "pg";
import { type Order, titlesOf } from "./titles.ts";

interface Driver {
  readonly Pool: new (options: { connectionString: string | undefined }) => Pool;
}

const { Pool: Connections } = createRequire(process.env.PACKAGES ?? "")("pg") as Driver;
const pool = new Connections({ connectionString: process.env.POSTGRES_URL });
const orders: Order[] = Array.from({ length: 7 }, (_, book) => ({ book }));

const server = createServer((_request, response) => {
  titlesOf(orders, pool).then((titles) => response.end(`${titles}`));
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
