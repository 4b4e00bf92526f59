// A Koa service that calls another one by fetch; prints its port as JSON.
import { createServer } from "node:http";
import Router from "@koa/router";
import Koa from "koa";

const leaf = createServer((request, response) => response.end(request.headers.traceparent ?? "none"));
await new Promise((listening) => leaf.listen(0, "127.0.0.1", listening));

const router = new Router({ prefix: "/shop" });
router.get("/items/:item", async (context) => {
  const called = await fetch(`http://127.0.0.1:${leaf.address().port}/?key=secret`);
  context.body = { item: context.params.item, route: context._matchedRoute, called: await called.text() };
});
const app = new Koa();
app.use(router.routes());
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
