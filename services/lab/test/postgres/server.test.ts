import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres } from "../../src/postgres/server.ts";
import { isAlive } from "../../src/postgres/stale.ts";
import { processTree } from "../processes.ts";

const INDEX = new URL("../../dist/index.js", import.meta.url).href;

let parent: string;
beforeAll(async () => {
  parent = path.join(await mkdtemp(path.join(tmpdir(), "tidemark-lab-test-")), "a folder");
  await mkdir(parent);
  // Root lends the server to another account, which must get through and may, as in /tmp, remove what is its own.
  await chmod(path.dirname(parent), 0o755);
  await chmod(parent, 0o1777);
});
afterAll(() => rm(path.dirname(parent), { recursive: true, force: true }));

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text, rowMode: "array" })).rows[0] as unknown[];
  } finally {
    await client.end();
  }
}

/** A process that starts a server and holds it; its server's processes. */
async function holder() {
  const code = `const { startPostgres } = await import(${JSON.stringify(INDEX)});
    await startPostgres({ parentDirectory: ${JSON.stringify(parent)} });
    process.stdout.write("ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const [self, guard, ...rest] = processTree(child.pid as number) as [number, number, ...number[]];
  return { child, self, guard, servers: rest };
}

describe("the embedded server", () => {
  it("starts below a folder with a space in its name, holds the whole content, and stops without a trace", async () => {
    const startMs = performance.now();
    const postgres = await startPostgres({ parentDirectory: parent });
    const readySeconds = (performance.now() - startMs) / 1000;
    const processes = processTree(postgres.pid as number);
    expect(
      await query(
        postgres.databaseUrl,
        "SELECT (SELECT count(*)::int FROM authors), (SELECT count(*)::int FROM books), (SELECT count(*)::int FROM orders), (SELECT sum(quantity)::int FROM orders)",
      ),
    ).toEqual([200, 2000, 10_000, 30_000]);
    expect(await query(postgres.eventsDatabaseUrl, "SELECT count(*)::int FROM events")).toEqual([400]);
    await postgres.stop();
    await postgres.stop();
    expect(processes.filter(isAlive)).toEqual([]);
    expect(await readdir(parent)).toEqual([]);
    // Five seconds is the bar on a quiet machine; the tests of other rooms run beside this one.
    expect(readySeconds).toBeLessThan(15);
  });

  it("goes when the process that started it is killed", async () => {
    const { child, servers, guard } = await holder();
    expect(servers.length).toBeGreaterThan(1);
    child.kill("SIGKILL");
    await expect.poll(() => [guard, ...servers].filter(isAlive), { timeout: 30_000 }).toEqual([]);
    await expect.poll(() => readdir(parent), { timeout: 30_000 }).toEqual([]);
  });

  it("is removed by the next start when its guard was killed too", async () => {
    const { child, guard, servers } = await holder();
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    process.kill(guard, "SIGKILL");
    await exited;
    const next = await startPostgres({ parentDirectory: parent });
    await expect.poll(() => servers.filter(isAlive), { timeout: 30_000 }).toEqual([]);
    expect(await readdir(parent)).toHaveLength(1);
    await next.stop();
    expect(await readdir(parent)).toEqual([]);
  });
});

describe("a server given by URL", () => {
  it("gets the content once, keeps what was added, and is left running", async () => {
    const server = await startPostgres({ parentDirectory: parent });
    try {
      const url = new URL(server.databaseUrl);
      url.pathname = "/postgres";
      const first = await startPostgres({ url: url.href });
      await query(first.eventsDatabaseUrl, "INSERT INTO events (kind) VALUES ('view') RETURNING id");
      await first.stop();
      const second = await startPostgres({ url: url.href });
      expect(await query(second.eventsDatabaseUrl, "SELECT count(*)::int FROM events")).toEqual([401]);
      await second.stop();
    } finally {
      await server.stop();
    }
  });

  it("is named when it cannot be reached", async () => {
    await expect(startPostgres({ url: "postgresql://nobody@127.0.0.1:1/postgres" })).rejects.toThrow(
      /ECONNREFUSED 127\.0\.0\.1:1/,
    );
  });
});
