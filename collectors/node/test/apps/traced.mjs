// An Express service that calls another one, for the tests of traces; prints its port as JSON.
import { createServer, get } from "node:http";
import { text } from "node:stream/consumers";
import { trace } from "@opentelemetry/api";
import express from "express";

const pause = (ms) => new Promise((passed) => setTimeout(passed, ms));
const call = (url) => new Promise((done, failed) => get(url, (response) => done(text(response))).on("error", failed));

// What it got is what the caller's context was when it called.
const leaf = createServer((request, response) => response.end(request.headers.traceparent ?? "none"));
await new Promise((listening) => leaf.listen(0, "127.0.0.1", listening));
const leafUrl = `http://127.0.0.1:${leaf.address().port}`;

const app = express();
app.get("/never", () => {});
app.use((_request, _response, next) => {
  trace.getActiveSpan()?.setAttribute("app.set", "by the application");
  next();
});
app.get("/chain/:number", async (request, response) => {
  await pause(Math.random() * 20);
  const first = await call(`${leafUrl}/?number=${request.params.number}`);
  await pause(Math.random() * 20);
  response.json({ number: request.params.number, calls: [first, await call(`${leafUrl}/again`)] });
});
app.post("/body", (request, response) => {
  request.on("end", async () => response.json({ calls: [await call(leafUrl)] }));
  request.resume();
});
app.get("/slow", async (_request, response) => {
  await pause(1100);
  response.end("slow");
});
app.get("/broken", () => {
  throw new Error("broken on purpose");
});
app.use((_error, _request, response, _next) => response.status(500).end());
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
