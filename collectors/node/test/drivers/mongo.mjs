// A shop on MongoDB; prints its port as JSON.
import express from "express";
import { MongoClient } from "mongodb";

const LINES = 7;
const client = new MongoClient(process.env.MONGODB_URL, { maxPoolSize: 4 });
const books = client.db("shop").collection("books");
const lines = Array.from({ length: LINES }, (_, line) => line);
await books.deleteMany({});
await books.insertMany(lines.map((id) => ({ _id: id, title: "secret", author: id % 2 })));

async function oneByOne() {
  for (const _id of lines) await books.findOne({ _id });
}

const app = express();
const page = (read) => (_request, response, next) => read().then((answer) => response.json(answer ?? null), next);
app.get("/one-by-one", page(oneByOne));
app.get(
  "/fan-out",
  page(() => Promise.all(lines.map((_id) => books.findOne({ _id })))),
);
app.get(
  "/fields",
  page(async () => [await books.findOne({ title: "secret", author: 1 }), await books.findOne({ author: 1 })]),
);
app.get(
  "/write",
  page(async () => (await books.updateOne({ _id: 1 }, { $set: { title: "secret" } })).matchedCount),
);
app.get(
  "/aggregate",
  page(() => books.aggregate([{ $match: { title: "secret" } }, { $count: "books" }]).toArray()),
);
app.get(
  "/wrong",
  page(() =>
    books
      .aggregate([{ $noSuchStage: 1 }])
      .toArray()
      .catch(({ name }) => name),
  ),
);
app.get(
  "/none",
  page(async () => null),
);
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
