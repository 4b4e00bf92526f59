// A shop on MariaDB by every way that mysql2 has; prints its port as JSON.
import express from "express";
import mysql from "mysql2";

const LINES = 7;
const SQL = "SELECT title FROM `books` WHERE id = ?";
const options = { socketPath: process.env.MYSQL_SOCKET, user: "root", multipleStatements: true };
const setup = mysql.createConnection(options).promise();
await setup.query("CREATE DATABASE IF NOT EXISTS shop; CREATE TABLE IF NOT EXISTS shop.books (id int, title text)");
await setup.query(`INSERT INTO shop.books VALUES ${Array.from({ length: LINES }, (_, id) => `(${id}, 'secret')`)}`);
await setup.end();

const pool = mysql.createPool({ ...options, database: "shop", connectionLimit: 4, queueLimit: 30 });
const promises = pool.promise();
const lines = Array.from({ length: LINES }, (_, line) => line);

async function oneByOne() {
  for (const line of lines) await promises.query(SQL, [line]);
}
async function prepared() {
  for (const line of lines) await promises.execute(SQL, [line]);
}
function byCallbacks(done, rest = lines) {
  const [line, ...others] = rest;
  if (line === undefined) return done();
  pool.query(SQL, [line], (error) => (error ? done(error) : byCallbacks(done, others)));
}
const asEvents = () =>
  new Promise((done, failed) => {
    const rows = [];
    pool
      .query(SQL, [1])
      .on("error", failed)
      .on("result", (row) => rows.push(row))
      .on("end", () => done(rows));
  });

const app = express();
const page = (read) => (_request, response, next) => read().then((answer) => response.json(answer ?? null), next);
app.get("/promise", page(oneByOne));
app.get("/prepared", page(prepared));
app.get("/callbacks", (_request, response, next) =>
  byCallbacks((error) => (error ? next(error) : response.json(null))),
);
app.get("/events", page(asEvents));
app.get(
  "/fan-out",
  page(() => Promise.all(lines.map((line) => promises.query(SQL, [line])))),
);
app.get(
  "/literals",
  page(() => promises.query("SELECT title FROM books WHERE title = \"secret\" OR title = 'a \\' secret'")),
);
app.get(
  "/wrong",
  page(() => promises.query("SELECT no_such_column FROM books").catch(({ code }) => code)),
);
app.get(
  "/prepared-wrong",
  page(() => promises.execute("SELECT 1 FROM no_such_table").catch(({ code }) => code)),
);
app.get(
  "/undefined",
  page(() => promises.execute(SQL, [undefined]).catch(({ name }) => name)),
);
app.get(
  "/full",
  page(async () => {
    const asked = Array.from({ length: 40 }, () => promises.query("SELECT sleep(0.02)"));
    const answers = await Promise.allSettled(asked);
    return answers.filter(({ status }) => status === "rejected").length;
  }),
);
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
