// An Express-free Node service: /hash fills the libuv pool, /stat is the victim.
import { pbkdf2 } from "node:crypto";
import { stat } from "node:fs";
import { createServer } from "node:http";

const ITERATIONS = 150_000;

const server = createServer((request, response) => {
  if (request.url === "/hash") pbkdf2("password", "salt", ITERATIONS, 32, "sha256", () => response.end("hashed"));
  else if (request.url === "/stat") stat("/", () => response.end("found"));
  else response.end("ready");
});
server.listen(Number(process.env.PORT), "127.0.0.1");
