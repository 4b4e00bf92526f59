// Twenty callers share a pool of four connections; prints how long each waited for one by its own clock, as JSON.
import pg from "pg";

const CALLERS = 20;
const ROUNDS = 30;
const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 4 });
const waits = [];

async function caller() {
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    const client = await pool.connect();
    waits.push(performance.now() - startMs);
    try {
      await client.query("SELECT pg_sleep($1)", [0.01]);
    } finally {
      client.release();
    }
  }
}

await Promise.all(Array.from({ length: CALLERS }, caller));
waits.sort((a, b) => a - b);
console.log(JSON.stringify({ p50: waits[waits.length >> 1], count: waits.length }));
await pool.end();
