// An Express service that blocks its event loop in many ways, for the tests of stalls; prints its port as JSON.
import { execSync } from "node:child_process";
import { pbkdf2Sync } from "node:crypto";
import inspector from "node:inspector";
import express from "express";

const pause = (ms) => new Promise((passed) => setTimeout(passed, ms));
const document = JSON.stringify(Array.from({ length: 600_000 }, (_, index) => ({ index, name: `item ${index}` })));

/** Answers the longest time between two looks at the clock: how long something else held this thread. */
function spin(ms) {
  const end = performance.now() + ms;
  let longest = 0;
  let last = performance.now();
  while (last < end) {
    const now = performance.now();
    if (now - last > longest) longest = now - last;
    last = now;
  }
  return longest;
}
function parseDocument() {
  return JSON.parse(document).length;
}
function runProgram() {
  execSync("sleep 0.5");
}
function deriveKey() {
  pbkdf2Sync("secret", "salt", 500_000, 64, "sha512");
}

const app = express();
app.get("/spin/:ms", (request, response) => {
  response.json(spin(Number(request.params.ms)));
});
// The loop is free between the two: the request did not start in this turn.
app.get("/later/:ms", async (request, response) => {
  await pause(20);
  response.json(spin(Number(request.params.ms)));
});
app.get("/parse", (_request, response) => response.json(parseDocument()));
app.get("/program", (_request, response) => response.json(runProgram() ?? null));
app.get("/key", (_request, response) => response.json(deriveKey() ?? null));
app.get("/wait/:ms", async (request, response) => {
  const startedMs = performance.now();
  await pause(Number(request.params.ms));
  response.json(performance.now() - startedMs);
});
app.get("/inspect", (_request, response) => {
  inspector.open(0, "127.0.0.1");
  response.end();
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
