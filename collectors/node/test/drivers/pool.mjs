// Twenty callers share a pool of four connections; prints how long each waited for one by its own clock, as JSON.
const CALLERS = 20;
const ROUNDS = 30;
const pool = await { pg: pgPool, mysql2: mysqlPool, knex: knexPool, sequelize: sequelizePool }[process.env.POOL]();
const waits = [];

async function pgPool() {
  const { default: pg } = await import("pg");
  const made = new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 4 });
  return {
    get: () => made.connect(),
    sleep: (client) => client.query("SELECT pg_sleep($1)", [0.01]),
    release: (client) => client.release(),
    end: () => made.end(),
  };
}
async function mysqlPool() {
  const { default: mysql } = await import("mysql2/promise");
  const made = mysql.createPool({ socketPath: process.env.MYSQL_SOCKET, user: "root", connectionLimit: 4 });
  return {
    get: () => made.getConnection(),
    sleep: (connection) => connection.query("SELECT sleep(?)", [0.01]),
    release: (connection) => connection.release(),
    end: () => made.end(),
  };
}
async function knexPool() {
  const { default: knex } = await import("knex");
  const made = knex({ client: "pg", connection: process.env.POSTGRES_URL, version: "18", pool: { min: 0, max: 4 } });
  return {
    get: () => made.client.acquireConnection(),
    sleep: (connection) => connection.query("SELECT pg_sleep($1)", [0.01]),
    release: (connection) => made.client.releaseConnection(connection),
    end: () => made.destroy(),
  };
}

async function sequelizePool() {
  const { Sequelize } = await import("sequelize");
  const options = { logging: false, databaseVersion: "18.0.0", pool: { min: 0, max: 4 } };
  const made = new Sequelize(process.env.POSTGRES_URL, options);
  return {
    get: () => made.connectionManager.getConnection(),
    sleep: (connection) => connection.query("SELECT pg_sleep($1)", [0.01]),
    release: (connection) => made.connectionManager.releaseConnection(connection),
    end: () => made.close(),
  };
}

async function caller() {
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    const connection = await pool.get();
    waits.push(performance.now() - startMs);
    try {
      await pool.sleep(connection);
    } finally {
      await pool.release(connection);
    }
  }
}

await Promise.all(Array.from({ length: CALLERS }, caller));
waits.sort((a, b) => a - b);
console.log(JSON.stringify({ p50: waits[waits.length >> 1], count: waits.length }));
await pool.end();
