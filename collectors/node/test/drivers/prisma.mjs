// A shop on PostgreSQL by Prisma's client, whose pages ask in different ways; prints its port as JSON.
import { PrismaPg } from "@prisma/adapter-pg";
import express from "express";
import { PrismaClient } from "./prisma-client.mjs";

const LINES = 7;
const lines = Array.from({ length: LINES }, (_, line) => line + 1);
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.POSTGRES_URL, max: 2 }) });
const find = (id) => prisma.books.findFirst({ where: { id } });

async function byUnique() {
  for (const id of lines) await prisma.books.findUnique({ where: { id } });
}
async function byFirst() {
  for (const id of lines) await prisma.books.findFirst({ where: { id } });
}
async function byRaw() {
  for (const id of lines) await prisma.$queryRaw`SELECT title FROM books WHERE id = ${id}`;
}
const pages = {
  "/unique": byUnique,
  "/first": byFirst,
  "/raw": byRaw,
  "/fan-out": () => Promise.all(lines.map(find)),
  "/one": () => prisma.books.findUnique({ where: { id: 1 } }),
  "/wrong": () => prisma.$queryRaw`SELECT no_such_column FROM books`.catch((error) => error.code),
};

const app = express();
for (const [path, read] of Object.entries(pages)) {
  app.get(path, (_request, response, next) => read().then((answer) => response.json(answer ?? null), next));
}
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
