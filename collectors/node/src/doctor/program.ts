// A program with known waits. Copied to a folder of its own: the agent does not look for culprits in its package.
import { pbkdf2 } from "node:crypto";
import { access } from "node:fs";
import { createServer, get } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { resourceUsage } from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { PoolReport, QueryReport, Report, StallReport, Truth, Wait } from "./report.ts";

const HASHES_IN_FLIGHT = 16;
const HASH_ITERATIONS = 20_000;
const HASHING_MS = 4000;
const TASK_GAP_MS = 40;
const BLOCK_MS = 300;
const BLOCK_EVERY_MS = 1000;
const BLOCKS = 8;
const CALLERS = 20;
const CALLER_ROUNDS = 3;
const POOL_SIZE = 4;
/** Longer than an export interval. */
const QUIET_MS = 1000;
const QUERY = "SELECT pg_sleep(0.05)";
const REPEATS = 7;
const REQUESTS = 24;
const REQUEST_MS = 100;

/** A thread that sends the moments at which it sends, 500 a second at uneven gaps. */
const SENDER = `
  const { parentPort } = require("node:worker_threads");
  const next = () => setTimeout(() => { parentPort.postMessage(Number(process.hrtime.bigint()) / 1e6); next(); },
    1 + 2 * Math.random());
  next();`;

interface Client {
  query(text: string): Promise<unknown>;
  release(): void;
}
interface Pool {
  connect(): Promise<Client>;
  end(): Promise<void>;
}

process.once("message", async ({ driver, database }: { driver: string | undefined; database: string }) => {
  const report: Report = {
    pool: await hash(),
    stall: await stall(),
    requests: await requests(),
    query: driver === undefined ? undefined : await query(driver, database),
  };
  process.send?.(report, () => process.disconnect());
});
process.send?.("ready");

/** Keeps 16 hashes in flight, and lets small tasks queue among them. */
async function hash(): Promise<PoolReport> {
  const startMs = Date.now();
  const waits: Wait[] = [];
  const running = () => Date.now() - startMs < HASHING_MS;
  const one = () => new Promise((done) => pbkdf2("secret", "salt", HASH_ITERATIONS, 64, "sha512", done));
  const hasher = async () => {
    while (running()) await one();
  };
  const task = () => {
    const askedMs = performance.now();
    access("/", () => waits.push(ended(performance.now() - askedMs)));
  };
  const tasks = async () => {
    while (running()) {
      await pause(TASK_GAP_MS * (0.5 + Math.random()));
      task();
    }
  };
  await Promise.all([...Array.from({ length: HASHES_IN_FLIGHT }, hasher), tasks()]);
  return { startMs, endMs: Date.now(), waits };
}

/** Blocks the event loop for 300 ms each second, while another thread sends messages. */
async function stall(): Promise<StallReport> {
  const clock = () => Number(process.hrtime.bigint()) / 1e6;
  const waits: Wait[] = [];
  const sender = new Worker(SENDER, { eval: true, execArgv: [] });
  sender.on("message", (sentMs: number) => waits.push(ended(clock() - sentMs)));
  await new Promise((up) => sender.once("message", up));
  waits.length = 0;
  const startMs = Date.now();
  for (let block = 0; block < BLOCKS; block++) {
    blockOnPurpose();
    await pause(startMs + (block + 1) * BLOCK_EVERY_MS - Date.now());
  }
  const endMs = Date.now();
  await sender.terminate();
  return { startMs, endMs, waits, culprit: blockOnPurpose.name };
}

function blockOnPurpose(): void {
  const end = performance.now() + BLOCK_MS;
  while (performance.now() < end) resourceUsage();
}

/** Answers requests to itself after a known time. */
async function requests(): Promise<Truth> {
  const times: number[] = [];
  const url = await serve((finished) => {
    const startMs = performance.now();
    setTimeout(() => {
      finished();
      times.push((performance.now() - startMs) / 1000);
    }, REQUEST_MS);
  });
  await Promise.all(Array.from({ length: REQUESTS }, () => ask(url)));
  return truth(times);
}

/** 20 callers share 4 connections; then one request repeats a statement. */
async function query(driver: string, database: string): Promise<QueryReport> {
  const { Pool } = createRequire(import.meta.url)(driver) as { Pool: new (options: object) => Pool };
  const pool = new Pool({ connectionString: database, max: POOL_SIZE });
  const clients = await Promise.all(Array.from({ length: POOL_SIZE }, () => pool.connect()));
  for (const client of clients) client.release();
  const startMs = Date.now();
  await pause(QUIET_MS); // what opened them is in an interval of its own
  const waits: Wait[] = [];
  const durations: number[] = [];
  const caller = async () => {
    for (let round = 0; round < CALLER_ROUNDS; round++) {
      const askedMs = performance.now();
      const client = await pool.connect();
      const gotMs = performance.now();
      await client.query(QUERY);
      waits.push(ended(gotMs - askedMs));
      durations.push((performance.now() - gotMs) / 1000);
      client.release();
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  await pause(QUIET_MS);
  const endMs = Date.now();
  const url = await serve(async (finished) => {
    const client = await pool.connect();
    for (let number = 0; number < REPEATS; number++) await client.query(`SELECT ${number} AS repeated`);
    client.release();
    finished();
  });
  await ask(url);
  await pool.end();
  return { startMs, endMs, waits, duration: truth(durations), repeats: REPEATS, capacity: POOL_SIZE };
}

async function serve(handler: (finished: () => void) => void): Promise<string> {
  const server = createServer((_request, response) => handler(() => response.end("done")));
  server.unref();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function ask(url: string): Promise<void> {
  return new Promise((done, failed) => {
    get(url, { agent: false }, (response) => response.on("end", done).resume()).on("error", failed);
  });
}

/** A wait of `milliseconds` that ends now. */
function ended(milliseconds: number): Wait {
  return { endedMs: Date.now(), seconds: milliseconds / 1000 };
}

function truth(seconds: readonly number[]): Truth {
  const sum = seconds.reduce((total, value) => total + value, 0);
  return { count: seconds.length, mean: sum / seconds.length, max: Math.max(...seconds) };
}
