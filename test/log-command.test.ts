import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@tidemark/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drained, remove } from "./support/chaos/campaign.ts";
import { type Pair, pairIn, rows } from "./support/services.ts";
import { entryOf, until } from "./support/tidemark.ts";

const MAIN = entryOf("tidemark");

let directory: string;
let pair: Pair;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tidemark-log-"));
  pair = await pairIn(directory, { TIDEMARK_FLUSH_INTERVAL: "0.1" });
  await pair.engine.start();
  await migrate(pair.clickhouseUrl);
});
afterAll(async () => {
  await pair.ingest.end("SIGTERM");
  await pair.engine.end("SIGTERM");
  await remove(directory);
});

async function send(otlp: string, metric: string, values: readonly number[]): Promise<number> {
  const timeUnixNano = `${Date.now()}000000`;
  const dataPoints = values.map((asDouble) => ({ asDouble, timeUnixNano }));
  const response = await fetch(`${otlp}/v1/metrics`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: metric, gauge: { dataPoints } }] }] }],
    }),
  });
  await response.arrayBuffer();
  return response.status;
}

const stored = async (metric: string) =>
  (
    await rows<{ value: number }>(
      pair.clickhouseUrl,
      `SELECT value FROM samples WHERE metric = '${metric}' ORDER BY value`,
    )
  ).map(({ value }) => value);

function tidemark(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, TIDEMARK_CLICKHOUSE_URL: pair.clickhouseUrl },
  });
}

describe("tidemark log", () => {
  it("shows what waits, and replays the log of an ingest that is gone, each row once", async () => {
    const dataDir = join(directory, "gone");
    const gone = await pairIn(directory, {
      TIDEMARK_DATA_DIR: dataDir,
      TIDEMARK_CLICKHOUSE_URL: "http://127.0.0.1:9/x",
    });
    await gone.ingest.start();
    expect(await send(gone.otlp, "log.gone", [1, 2, 3])).toBe(200);
    const running = JSON.parse(tidemark("log", "show", "--data-dir", dataDir, "--json").stdout);
    expect(running).toMatchObject({ owner: `${gone.ingest.pid}` });
    expect(running.waiting.points).toBeGreaterThanOrEqual(3);
    const [segment] = running.files;
    const file = join(dataDir, "log", segment.file);
    const refused = tidemark("log", "replay", file);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain(`process id ${gone.ingest.pid} works on it`);
    await gone.ingest.end("SIGKILL");

    const shown = tidemark("log", "show", "--data-dir", dataDir);
    expect(shown.status).toBe(0);
    expect(shown.stdout).toMatch(/in use by +nobody/);
    expect(shown.stdout).toContain("samples 3");
    const waiting = readdirSync(join(dataDir, "log")).filter((name) => name.endsWith(".log"));
    const files = waiting.map((name) => join(dataDir, "log", name));
    const planned = tidemark("log", "replay", "--dry-run", ...files);
    expect(planned.stderr).toContain("3 rows (3 points) into samples");
    expect(await stored("log.gone")).toEqual([]);
    for (let time = 0; time < 2; time++) {
      const replayed = tidemark("log", "replay", "--json", ...files);
      expect(replayed.stderr).not.toContain(new URL(pair.clickhouseUrl).password);
      expect(replayed.status).toBe(0);
      expect(JSON.parse(replayed.stdout).files).toHaveLength(files.length);
      expect(await stored("log.gone")).toEqual([1, 2, 3]);
    }
  });

  it("says in one sentence that there is no log", () => {
    const { status, stderr } = tidemark("log", "show", "--data-dir", join(directory, "nowhere"));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^tidemark: There is no log in .*nowhere.*--data-dir/);
  });
});

describe("several ingests", () => {
  it("write into one ClickHouse, each from a directory of its own; a second one on the same directory is refused", async () => {
    const other = await pairIn(join(directory, "other"), {
      TIDEMARK_CLICKHOUSE_URL: pair.clickhouseUrl,
      TIDEMARK_FLUSH_INTERVAL: "0.1",
    });
    await Promise.all([pair.ingest.start(), other.ingest.start()]);
    try {
      const values = Array.from({ length: 40 }, (_, i) => i);
      const both = [pair.otlp, other.otlp];
      await Promise.all(
        values.map(async (value) => expect(await send(both[value % 2]!, "log.both", [value])).toBe(200)),
      );
      await Promise.all([drained(pair), drained(other)]);
      expect(await stored("log.both")).toEqual(values);

      const second = await pairIn(join(directory, "second"), { TIDEMARK_DATA_DIR: join(directory, "ingest") });
      await expect(second.ingest.start()).rejects.toThrow(
        `The log in ${pair.logDirectory} is in use by process ${pair.ingest.pid}`,
      );
    } finally {
      await other.ingest.end("SIGTERM");
    }
  });

  it("run from two copies of one directory: what was in it is stored once, what each takes is stored too", async () => {
    const first = join(directory, "first");
    const away = await pairIn(directory, { TIDEMARK_DATA_DIR: first, TIDEMARK_CLICKHOUSE_URL: "http://127.0.0.1:9/x" });
    await away.ingest.start();
    expect(await send(away.otlp, "log.copied", [0])).toBe(200);
    await away.ingest.end("SIGKILL");
    const copy = join(directory, "copy");
    cpSync(first, copy, { recursive: true, verbatimSymlinks: true });
    // The copied lock names the killed owner; were that one alive, the copy would be refused until it is removed.
    unlinkSync(join(copy, "log", "lock"));

    const settings = { TIDEMARK_CLICKHOUSE_URL: pair.clickhouseUrl, TIDEMARK_FLUSH_INTERVAL: "0.1" };
    const twins = await Promise.all([
      pairIn(directory, { ...settings, TIDEMARK_DATA_DIR: first }),
      pairIn(directory, { ...settings, TIDEMARK_DATA_DIR: copy }),
    ]);
    try {
      await Promise.all(twins.map(({ ingest }) => ingest.start()));
      for (const [index, { otlp }] of twins.entries()) {
        for (const round of [0, 1]) expect(await send(otlp, "log.copied", [1 + index * 2 + round])).toBe(200);
      }
      await Promise.all(twins.map(drained));
      expect(
        await until("all five points", async () =>
          (await stored("log.copied")).length >= 5 ? stored("log.copied") : undefined,
        ),
      ).toEqual([0, 1, 2, 3, 4]);
    } finally {
      await Promise.all(twins.map(({ ingest }) => ingest.end("SIGTERM")));
    }
  });
});
