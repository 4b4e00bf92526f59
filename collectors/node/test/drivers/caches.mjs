// A service with Redis by both of its drivers; prints its port as JSON.
import { createClient } from "@redis/client";
import express from "express";
import Redis from "ioredis";

const socket = process.env.REDIS_SOCKET;
const ioredis = new Redis({ path: socket, lazyConnect: true });
const nodeRedis = createClient({ socket: { path: socket } });
await Promise.all([ioredis.connect(), nodeRedis.connect()]);

const app = express();
const page = (ask) => (_request, response, next) => ask().then((answer) => response.json(answer), next);
app.get(
  "/ioredis",
  page(async () => [await ioredis.set("secret-key", "secret"), await ioredis.get("secret-key")]),
);
app.get(
  "/ioredis-pipeline",
  page(() => ioredis.pipeline().incr("counter").incr("counter").exec()),
);
app.get(
  "/ioredis-wrong",
  page(() => ioredis.lpush("secret-key", 1).catch(({ name, message }) => ({ name, message }))),
);
app.get("/ioredis-callback", (_request, response) =>
  ioredis.get("secret-key", (_error, value) => response.json(value)),
);
app.get(
  "/redis",
  page(async () => [await nodeRedis.set("secret-key", "secret"), await nodeRedis.get("secret-key")]),
);
app.get(
  "/redis-multi",
  page(() => nodeRedis.multi().incr("counter").incr("counter").exec()),
);
app.get(
  "/redis-wrong",
  page(() => nodeRedis.lPush("secret-key", "1").catch(({ name, message }) => ({ name, message }))),
);
app.get(
  "/slow",
  page(() => nodeRedis.sendCommand(["BLPOP", "nothing", "0.2"])),
);
app.get("/none", (_request, response) => response.json("none"));
// Nobody handles this failure: it must end the process, with the agent as without it.
app.get("/die", (_request, response) => {
  response.end();
  ioredis.lpush("secret-key", 1);
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
