// What the tests ask of every release of Node.js: a page that blocks, one that repeats a statement, a worker thread; prints its port as JSON.
import { createServer } from "node:http";
import { Worker } from "node:worker_threads";
import pg from "pg";

const STATEMENTS = 7;
const BLOCK_MS = 400;
const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 2 });
new Worker(new URL("threads/busy.cjs", import.meta.url));

function blockOnPurpose() {
  const end = performance.now() + BLOCK_MS;
  while (performance.now() < end);
}
async function oneByOne() {
  for (let id = 0; id < STATEMENTS; id++) await pool.query("SELECT title FROM books WHERE id = 1");
}
const pages = { "/block": blockOnPurpose, "/repeat": oneByOne, "/end": () => setImmediate(() => process.exit(7)) };

const server = createServer(async (request, response) => {
  await pages[request.url]();
  response.end();
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
