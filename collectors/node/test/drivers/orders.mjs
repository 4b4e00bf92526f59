// A shop on PostgreSQL whose pages read order lines in different ways; prints its port as JSON.
import express from "express";
import knex from "knex";
import pg from "pg";
import { DataTypes, Sequelize } from "sequelize";
import { DataSource, EntitySchema } from "typeorm";

const LINES = 7;
const SQL = "SELECT id, title FROM books WHERE id = $1";
const connectionString = process.env.POSTGRES_URL;
const pool = new pg.Pool({ connectionString, max: 4 });
// With a version, knex does not ask for it on each new connection.
const builder = knex({ client: "pg", version: "18", connection: connectionString, pool: { min: 0, max: 4 } });
// Nor does sequelize; what it asks of a new connection is asked here, in no request.
const kept = { max: 1, min: 1, idle: 600_000 };
const sequelize = new Sequelize(connectionString, { logging: false, databaseVersion: "18.0.0", pool: kept });
await sequelize.authenticate();
const Book = sequelize.define("books", { title: DataTypes.TEXT }, { timestamps: false });
const columns = { id: { type: Number, primary: true }, title: { type: String } };
const entity = new EntitySchema({ name: "books", columns });
const source = new DataSource({ type: "postgres", url: connectionString, entities: [entity], poolSize: 4 });
await source.initialize();
const books = source.getRepository(entity);
const lines = Array.from({ length: LINES }, (_, line) => line + 1);

async function oneByOne() {
  for (const line of lines) await pool.query(SQL, [line]);
}
async function onOneClient() {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    for (const line of lines) await client.query(SQL, [line]);
    await client.query("COMMIT");
  } finally {
    client.release();
  }
}
function byCallbacks(done, rest = lines) {
  const [line, ...others] = rest;
  if (line === undefined) return done();
  pool.query(SQL, [line], (error) => (error ? done(error) : byCallbacks(done, others)));
}
async function byKnex() {
  for (const id of lines) await builder("books").where({ id }).first("id", "title");
}
async function bySequelize() {
  for (const id of lines) await Book.findByPk(id);
}
async function byTypeOrm() {
  for (const id of lines) await books.findOneBy({ id });
}

async function starved() {
  const held = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
  setTimeout(() => {
    for (const client of held) client.release();
  }, 1100);
  await pool.query("SELECT max(id) FROM books");
}

const page = (read) => (_request, response, next) => read().then(() => response.json({ lines: LINES }), next);
const app = express();
app.get("/pool", page(oneByOne));
app.get("/client", page(onOneClient));
app.get("/callbacks", (_request, response, next) => byCallbacks((error) => (error ? next(error) : response.end())));
app.get("/knex", page(byKnex));
app.get("/sequelize", page(bySequelize));
app.get("/typeorm", page(byTypeOrm));
app.get(
  "/fan-out",
  page(() => Promise.all(lines.map((line) => pool.query(SQL, [line])))),
);
app.get(
  "/knex-fan-out",
  page(() => Promise.all(lines.map((id) => builder("books").where({ id }).first("id", "title")))),
);
app.get(
  "/typeorm-fan-out",
  page(() => Promise.all(lines.map((id) => books.findOneBy({ id })))),
);
app.get(
  "/few",
  page(async () => pool.query(SQL, [(await pool.query("SELECT max(id) FROM books")).rows[0].max])),
);
app.get("/starved", page(starved));
app.get("/none", (_request, response) => response.end());
app.get(
  "/wrong",
  page(() => pool.query("SELECT no_such_column FROM books")),
);
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
